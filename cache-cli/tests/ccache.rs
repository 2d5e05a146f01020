//! ccache compiles SQLite with `cache serve` as its remote storage: every compilation after the first
//! round has to be a hit, with ccache's own cache wiped, and again with the server killed in between.
//!
//! `CACHE_PROGRAM` names another build of `cache` to try, such as that of a release.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

/// What the source is compiled with, once for each: different objects, different keys.
const CONFIGURATIONS: [&[&str]; 3] =
    [&["-DSQLITE_THREADSAFE=0"], &["-DSQLITE_ENABLE_FTS5"], &["-DSQLITE_OMIT_JSON", "-DSQLITE_DEBUG=1"]];

const FLUSH_INTERVAL: &str = "200ms";

/// Several flush intervals, and time for the flush itself.
const FLUSHED_AFTER: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs ccache and a C compiler"]
fn recompiled_sqlite_comes_from_the_server_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let source = sqlite_source();
    let mut server = Server::start(&dir.path().join("store"));
    println!("source: {} bytes, {} configurations", source_len(&source), CONFIGURATIONS.len());

    let (cold, objects) = server.round(dir.path(), &source, "cold");
    cold.check(&Expected::Misses);

    let (warm, again) = server.round(dir.path(), &source, "warm");
    warm.check(&Expected::Hits);
    assert!(again == objects, "objects from the cache differ");

    sleep(FLUSHED_AFTER);
    server.kill();
    server = Server::start(&dir.path().join("store"));
    let (after_kill, again) = server.round(dir.path(), &source, "after-kill");
    after_kill.check(&Expected::Hits);
    assert!(again == objects, "objects from the cache differ after the kill");

    println!("wall time, cold:                    {:>8.3} s", cold.wall.as_secs_f64());
    println!("wall time, warm from memory + disk: {:>8.3} s", warm.wall.as_secs_f64());
    println!("wall time, warm after kill -9:      {:>8.3} s", after_kill.wall.as_secs_f64());
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// A server with memory over this directory, on a free port.
    fn start(store: &Path) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--listen", "127.0.0.1:0", "--flush-interval", FLUSH_INTERVAL])
            .args(["--store", "memory:?max_size=256MB"])
            .arg("--store")
            .arg(format!("disk:{}", store.display()))
            .env_remove("CACHE_TOKEN")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("listening on ") else { panic!("no address: {line:?}") };
        Self { url: url.to_owned(), child }
    }

    /// Ends it without a chance to flush.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Compiles every configuration with an empty local cache.
    fn round(&self, dir: &Path, source: &Path, name: &str) -> (Round, Vec<Vec<u8>>) {
        let local = dir.join("local");
        let _ = fs::remove_dir_all(&local);
        let config = dir.join("ccache.conf");
        fs::write(&config, "").unwrap();
        let ccache = || {
            let mut command = Command::new("ccache");
            for (variable, _) in env::vars_os() {
                if variable.to_string_lossy().starts_with("CCACHE_") {
                    command.env_remove(variable);
                }
            }
            command
                .current_dir(dir)
                .env("CCACHE_DIR", &local)
                .env("CCACHE_CONFIGPATH", &config)
                .env("CCACHE_REMOTE_STORAGE", format!("{}/e2e/ccache", self.url));
            command
        };
        run(ccache().arg("-z"));

        let outputs: Vec<PathBuf> =
            (0..CONFIGURATIONS.len()).map(|at| dir.join(format!("{name}-{at}.o"))).collect();
        let start = Instant::now();
        for (flags, output) in CONFIGURATIONS.iter().zip(&outputs) {
            run(ccache().args(["cc", "-O0", "-c"]).args(*flags).arg(source).arg("-o").arg(output));
        }
        let wall = start.elapsed();

        let text = run(ccache().args(["-s", "-v"]));
        println!("--- {name}\n{text}");
        let objects = outputs.iter().map(|output| fs::read(output).unwrap()).collect();
        (Round { wall, counts: counts(&text) }, objects)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment only")]
fn program() -> PathBuf {
    env::var_os("CACHE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_cache").into()).into()
}

/// What one round of compilations came to.
struct Round {
    wall: Duration,
    counts: BTreeMap<String, u64>,
}

enum Expected {
    Misses,
    Hits,
}

impl Round {
    #[track_caller]
    fn check(&self, expected: &Expected) {
        let all = CONFIGURATIONS.len() as u64;
        let (hits, misses) = match expected {
            Expected::Misses => (0, all),
            Expected::Hits => (all, 0),
        };
        let count = |name: &str| self.counts.get(name).copied();
        // ccache counts corrupt values as remote hits: direct hits and misses are the proof.
        assert_eq!(count("calls/direct"), Some(hits), "{:?}", self.counts);
        assert_eq!(count("calls/misses"), Some(misses), "{:?}", self.counts);
        assert_eq!(count("local/hits"), Some(0), "{:?}", self.counts);
        // Some versions count the manifest, too.
        let remote = count("remote/hits");
        assert!(remote == Some(hits) || remote == Some(hits * 2), "{:?}", self.counts);
        assert_eq!(count("remote/errors").unwrap_or(0), 0, "{:?}", self.counts);
        assert_eq!(count("remote/timeouts").unwrap_or(0), 0, "{:?}", self.counts);
    }
}

/// The first number of each line of `ccache -s -v`, by section and label.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        let Some((label, rest)) = line.split_once(':') else { continue };
        let label = label.to_ascii_lowercase();
        let indented = label.starts_with(' ');
        section = match label.trim() {
            _ if indented => section,
            "cacheable calls" | "summary" => "calls",
            "local storage" | "primary storage" => "local",
            "remote storage" | "secondary storage" => "remote",
            _ => "other",
        };
        if let Some(number) = rest.split_whitespace().next().and_then(|number| number.parse().ok()) {
            counts.entry(format!("{section}/{}", label.trim())).or_insert(number);
        }
    }
    counts
}

/// Runs a command to its good end: its standard output.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The SQLite amalgamation, out of the package of `libsqlite3-sys`.
#[expect(clippy::disallowed_methods, reason = "cargo tells by its environment where it is")]
fn sqlite_source() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = run(Command::new(cargo).current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
    ]));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata.get("packages").and_then(Value::as_array).unwrap();
    let manifest = packages
        .iter()
        .find(|package| package.get("name").and_then(Value::as_str) == Some("libsqlite3-sys"))
        .and_then(|package| package.get("manifest_path"))
        .and_then(Value::as_str)
        .unwrap();
    Path::new(manifest).with_file_name("sqlite3").join("sqlite3.c")
}

fn source_len(source: &Path) -> u64 {
    fs::metadata(source).unwrap_or_else(|error| panic!("{}: {error}", source.display())).len()
}
