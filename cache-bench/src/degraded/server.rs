//! The server of the bucket: a container, or a process.

use std::{
    fmt, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{failure::Result, subject::buckets::served::SERVE};

pub(crate) const BUCKET: &str = "degraded";

const IMAGE: &str = "cache-bench-degraded";
#[derive(Debug)]
enum How {
    /// By its name, which is that of its image, too.
    Container(String),
    Process(Option<Child>),
}

/// Serves at an address that stays. What it has is in memory: it ends with it.
#[derive(Debug)]
pub(crate) struct Server {
    how: How,
    program: PathBuf,
    address: SocketAddr,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.how {
            How::Container(_) => "a container",
            How::Process(_) => "a process",
        })
    }
}

impl Server {
    /// Has a program serve, or this one.
    pub(crate) fn start(without_docker: bool, program: Option<&Path>) -> Result<Self> {
        let address = free_address()?;
        let program = program.map_or_else(std::env::current_exe, |program| Ok(program.to_owned()))?;
        let name = format!("{IMAGE}-{}-{}", std::process::id(), address.port());
        let how = if without_docker { How::Process(None) } else { How::Container(name) };
        // From here on, whatever fails: what was begun is removed.
        let mut server = Self { how, program, address };
        match &mut server.how {
            How::Container(name) => {
                build(name, &server.program)?;
                let port = format!("{address}:9000");
                // It ends when its standard input does.
                docker(&["run", "--detach", "--interactive", "--name", name, "--publish", &port, name])?;
            }
            How::Process(child) => *child = Some(spawn(&server.program, address)?),
        }
        server.wait_until_it_answers()?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing that it is asked is answered any more.
    pub(crate) fn pause(&self) -> Result<()> {
        match &self.how {
            How::Container(name) => docker(&["pause", name]),
            How::Process(child) => signal(child.as_ref(), "-STOP"),
        }
    }

    pub(crate) fn resume(&self) -> Result<()> {
        match &self.how {
            How::Container(name) => docker(&["unpause", name]),
            How::Process(child) => signal(child.as_ref(), "-CONT"),
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        match &mut self.how {
            How::Container(name) => docker(&["kill", name]),
            How::Process(child) => {
                if let Some(mut child) = child.take() {
                    child.kill()?;
                    child.wait()?;
                }
                Ok(())
            }
        }
    }

    /// Begins anew where it was, with an empty bucket.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        match &mut self.how {
            How::Container(name) => docker(&["start", name])?,
            How::Process(child) => *child = Some(spawn(&self.program, self.address)?),
        }
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        let begun = Instant::now();
        while self.ask().is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err("the server does not answer".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ask(&self) -> Option<()> {
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        connection.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        connection.read_exact(&mut [0]).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &mut self.how {
            How::Container(name) => {
                // One that is paused or was never begun, too. No other is touched.
                for arguments in [["rm", "--force", name], ["rmi", "--force", name]] {
                    if let Err(failure) = docker(&arguments) {
                        eprintln!("{failure}");
                    }
                }
            }
            How::Process(Some(child)) => {
                _ = child.kill();
                _ = child.wait();
            }
            How::Process(None) => {}
        }
    }
}

/// Below those that systems hand out.
fn free_address() -> Result<SocketAddr> {
    for _ in 0..100 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(20_000..30_000)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".into())
}

fn spawn(program: &Path, address: SocketAddr) -> Result<Child> {
    let mut command = Command::new(program);
    command.args([SERVE, &address.to_string(), BUCKET]);
    // It ends when its standard input does: with this process, however that ends.
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?)
}

fn signal(child: Option<&Child>, signal: &str) -> Result<()> {
    let child = child.ok_or("the server does not run")?;
    succeed(Command::new("kill").args([signal, &child.id().to_string()]))
}

fn docker(arguments: &[&str]) -> Result<()> {
    succeed(Command::new("docker").args(arguments))
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}", said.trim()).into())
}

/// An image of the program and of the libraries that it needs: no registry is asked.
fn build(name: &str, own: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    fs::create_dir(&root)?;
    let server = root.join("server");
    let stripped = Command::new("strip").arg("-o").arg(&server).arg(own).output();
    if !stripped.is_ok_and(|output| output.status.success()) {
        fs::copy(own, &server)?;
    }
    let listed = Command::new("ldd").arg(own).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for library in
        listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
    {
        let target = root.join(library.trim_start_matches('/'));
        target.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(Path::new(library), target)?;
    }
    let dockerfile = format!(
        "FROM scratch\nCOPY root/ /\nEXPOSE 9000\nENTRYPOINT [\"/server\", \"{SERVE}\", \"0.0.0.0:9000\", \"{BUCKET}\"]\n"
    );
    fs::write(dir.path().join("Dockerfile"), dockerfile)?;
    let context = dir.path().to_str().ok_or("the temporary directory has an odd name")?;
    docker(&["build", "--tag", name, context])
}
