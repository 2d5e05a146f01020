use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cache::Digest;

use crate::sandbox::Sandbox;

/// A server that runs until it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap_or_else(|| {
            let _ = child.kill();
            panic!("{line:?} is no address")
        });
        Self { address: address.to_owned(), child }
    }

    /// One request on a connection of its own: the status and the body.
    fn ask(&self, request: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses the head need not read the body.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let split = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[split..].to_vec())
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end: the exit code and what was written on standard error.
    fn ended(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(30), "the server does not end");
            sleep(Duration::from_millis(20));
        }
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ANY_PORT: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

fn name_of(content: &[u8]) -> String {
    format!("/team/cas/{}", Digest::of(content))
}

/// What the command line finds of what was put over HTTP.
fn get(sandbox: &Sandbox, content: &[u8]) -> Option<i32> {
    let digest = Digest::of(content).to_string();
    let answer = sandbox.run(["get", &digest, "--namespace", "team", "--namespace", "cas"]);
    assert!(answer.stdout == content || answer.stdout.is_empty());
    answer.code
}

#[test]
fn server_takes_and_answers_requests() {
    let sandbox = Sandbox::new();
    let server = Server::start(&mut sandbox.cache(ANY_PORT));
    let path = name_of(b"body");
    assert_eq!(server.ask(&format!("GET {path}"), "", b"").0, 404);
    assert_eq!(server.ask(&format!("PUT {path}"), "", b"body").0 / 100, 2);
    assert_eq!(server.ask(&format!("GET {path}"), "", b""), (200, b"body".to_vec()));
    assert_eq!(server.ask("GET /healthz", "", b"").0, 200);
    assert_eq!(server.ask(&format!("PUT {}", name_of(b"x")), "", b"y").0, 400);
    assert_eq!(server.ask(&format!("GET {}", name_of(b"x")), "", b"").0, 404);
}

#[test]
fn termination_and_interrupt_end_the_server_with_its_data_kept() {
    for signal in ["TERM", "INT"] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.bare();
        command.args(["--store", "memory:?max_size=10MB", "--store", &sandbox.store()]);
        let server = Server::start(command.args(ANY_PORT).args(["--flush-interval", "1h"]));
        assert_eq!(server.ask(&format!("PUT {}", name_of(b"kept")), "", b"kept").0 / 100, 2);
        server.signal(signal);
        assert_eq!(server.ended(), (Some(0), String::new()));
        assert_eq!(get(&sandbox, b"kept"), Some(0));
    }
}

#[test]
fn data_survives_a_kill_after_the_flush_interval() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.bare();
    command.args(["--store", "memory:?max_size=10MB", "--store", &sandbox.store()]);
    let server = Server::start(command.args(ANY_PORT).args(["--flush-interval", "100ms"]));
    for content in [&b"one"[..], b"two", &[3; 200_000]] {
        assert_eq!(server.ask(&format!("PUT {}", name_of(content)), "", content).0 / 100, 2);
        sleep(Duration::from_millis(300));
    }
    server.signal("KILL");
    assert_eq!(server.ended().0, None);
    for content in [&b"one"[..], b"two", &[3; 200_000]] {
        assert_eq!(get(&sandbox, content), Some(0));
    }
}

#[test]
fn token_from_the_environment_or_a_file_is_required_of_clients() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "from-a-file\n");
    let request = format!("GET {}", name_of(b"x"));
    let (mut by_file, mut by_environment) = (sandbox.cache(ANY_PORT), sandbox.cache(ANY_PORT));
    by_file.args(["--token-file", "token"]).env("CACHE_TOKEN", "other");
    by_environment.env("CACHE_TOKEN", "from-a-file");
    for mut command in [by_file, by_environment] {
        let server = Server::start(&mut command);
        assert_eq!(server.ask(&request, "", b"").0, 401);
        assert_eq!(server.ask(&request, "Authorization: Bearer other\r\n", b"").0, 401);
        assert_eq!(server.ask(&request, "Authorization: Bearer from-a-file\r\n", b"").0, 404);
    }
}

#[test]
fn body_over_the_limit_is_refused() {
    let sandbox = Sandbox::new();
    let server = Server::start(sandbox.cache(ANY_PORT).args(["--max-body", "1KiB"]));
    let (fits, over) = (vec![1; 1024], vec![1; 1025]);
    assert_eq!(server.ask(&format!("PUT {}", name_of(&fits)), "", &fits).0 / 100, 2);
    assert_eq!(server.ask(&format!("PUT {}", name_of(&over)), "", &over).0, 413);
    assert_eq!(get(&sandbox, &over), Some(1));
}

#[test]
fn served_namespace_is_below_the_one_that_was_named() {
    let sandbox = Sandbox::new();
    let server = Server::start(sandbox.cache(ANY_PORT).args(["--namespace", "outer"]));
    assert_eq!(server.ask(&format!("PUT {}", name_of(b"x")), "", b"x").0 / 100, 2);
    let listed = sandbox.run(["ls", "--recursive", "--namespace", "outer"]).done();
    assert!(listed.trim_end().ends_with("outer/team/cas"), "{listed}");
}

#[test]
fn address_is_told_to_machines_too() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.cache(ANY_PORT).arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(object["listening"].as_str().unwrap().starts_with("http://127.0.0.1:"));
}
