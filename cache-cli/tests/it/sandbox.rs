use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// Directories in which the binary can do no harm, and an environment that says nothing.
pub(crate) struct Sandbox {
    dir: TempDir,
}

/// What a run of the binary left.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The URL of the disk store that [`run`](Self::run) works on.
    pub(crate) fn store(&self) -> String {
        format!("disk:{}", self.path("store").display())
    }

    /// The binary, without a store.
    pub(crate) fn bare(&self) -> Command {
        self.command(Path::new(env!("CARGO_BIN_EXE_cache")))
    }

    /// Another copy of the binary, without a store.
    pub(crate) fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command
            .current_dir(self.dir.path())
            .env_remove("CACHE_STORE")
            .env_remove("CACHE_TOKEN")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_REGION")
            .env_remove("AWS_ENDPOINT_URL")
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("xdg"));
        command
    }

    /// The binary on the disk store.
    pub(crate) fn cache<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.bare();
        command.arg("--store").arg(self.store()).args(args);
        command
    }

    /// Runs the binary on the disk store.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Answer {
        answer(&mut self.cache(args))
    }

    /// Puts this content and answers its digest.
    pub(crate) fn put(&self, content: impl AsRef<[u8]>) -> String {
        self.put_into(&[], content)
    }

    /// Puts this content into a namespace.
    pub(crate) fn put_into(&self, namespace: &[&str], content: impl AsRef<[u8]>) -> String {
        let mut command = self.cache(["put", "-"]);
        for part in namespace {
            command.args(["--namespace", part]);
        }
        answer_to(&mut command, content.as_ref()).done().trim_end().to_owned()
    }
}

/// Runs a command without input.
#[track_caller]
pub(crate) fn answer(command: &mut Command) -> Answer {
    Answer::of(command.stdin(Stdio::null()).output().unwrap())
}

/// Runs a command with this input.
#[track_caller]
pub(crate) fn answer_to(command: &mut Command, input: &[u8]) -> Answer {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails may have ended before it has read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    Answer::of(child.wait_with_output().unwrap())
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Done, or a hit, without a word on standard error: what was written.
    #[track_caller]
    pub(crate) fn bytes(self) -> Vec<u8> {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// As [`bytes`](Self::bytes), as text.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// A miss: without a word.
    #[track_caller]
    pub(crate) fn missed(self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(1), ""));
        assert!(self.stdout.is_empty(), "a miss wrote {} bytes", self.stdout.len());
    }

    /// An error: one line, and nothing on standard output. The line.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert!(self.stdout.is_empty(), "an error wrote {} bytes", self.stdout.len());
        let Some(line) = self.stderr.strip_suffix('\n') else { panic!("no line: {:?}", self.stderr) };
        assert!(!line.contains('\n'), "several lines: {line}");
        assert!(line.starts_with("error: ") && line.len() > 7, "no error: {line}");
        assert!(!line.contains("panicked"), "{line}");
        line.to_owned()
    }
}
