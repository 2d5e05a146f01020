//! System calls by number: which there are, and how one of them is made to fail or to kill, by strace.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{burn::Burner, worker::Job};

/// The calls that a store may make on files. Not `close`, which when it fails has closed all the same.
const CALLS: &str = "openat,openat2,mkdir,mkdirat,unlink,unlinkat,rmdir,link,linkat,symlinkat,rename,renameat,\
                     renameat2,read,pread64,readv,preadv,preadv2,write,pwrite64,writev,pwritev,pwritev2,fstat,\
                     newfstatat,statx,statfs,fstatfs,getdents64,flock,fsync,fdatasync,syncfs,utimensat,ftruncate,\
                     fallocate,fchmod,lseek,copy_file_range,fcntl";

/// What follows the last step.
pub(crate) const CLOSING: u64 = 999_999;
/// What the worker does to the store's files by itself.
pub(crate) const OUTSIDE: u64 = 999_998;

/// A call fails for so many times if it fails for good: more often than a step makes it.
const FOR_GOOD: u64 = 400;

/// Whether a flush stands and falls with this call.
pub(crate) fn is_sync(call: &str) -> bool {
    call == "syncfs"
}

/// Which thread of a worker makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The one that awaits the store's futures.
    Acting,
    /// The one that may block.
    Blocking,
}

/// A call: the `nth` of its name on its thread, in this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) step: u64,
    pub(crate) role: Role,
    pub(crate) call: String,
    pub(crate) nth: u64,
}

/// All calls of a run.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) points: Vec<Point>,
    main: BTreeMap<String, u64>,
    counts: BTreeMap<(Role, String), u64>,
}

/// A point, and what is done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) call: String,
    pub(crate) role: Role,
    pub(crate) nth: u64,
    pub(crate) step: u64,
    /// Where the count begins on the thread that is aimed at.
    base: u64,
    /// The error that the call fails with; without one it kills the process.
    pub(crate) error: Option<String>,
    /// Whether all calls of that name fail from there to the end of the step.
    pub(crate) persists: bool,
}

impl Aim {
    pub(crate) fn to_arg(&self) -> String {
        let Self { call, role, nth, step, base, error, persists } = self;
        let error = error.as_deref().unwrap_or("SIGKILL");
        format!("{call}:{role:?}:{nth}:{step}:{base}:{error}:{persists}")
    }

    pub(crate) fn from_arg(text: &str) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |at: usize| parts[at].parse().unwrap();
        Self {
            call: parts[0].to_owned(),
            role: if parts[1] == "Acting" { Role::Acting } else { Role::Blocking },
            nth: number(2),
            step: number(3),
            base: number(4),
            error: (parts[5] != "SIGKILL").then(|| parts[5].to_owned()),
            persists: parts[6] == "true",
        }
    }

    /// How many calls a thread makes first, so that only the one that is aimed at reaches the number.
    pub(crate) fn burn(&self, role: Role) -> u64 {
        if role == self.role { self.base } else { 0 }
    }

    /// How many calls the thread makes until they succeed again.
    pub(crate) fn rest(&self) -> u64 {
        if self.persists { FOR_GOOD + 1 } else { 0 }
    }

    fn inject(&self) -> String {
        let first = self.base + self.nth;
        let what = match &self.error {
            None => "signal=SIGKILL".to_owned(),
            Some(error) => format!("error={error}"),
        };
        let when = if self.persists { format!("{first}..{}", first + FOR_GOOD) } else { first.to_string() };
        format!("inject={}:{what}:when={when}", self.call)
    }
}

impl Trace {
    /// Aims at a point; `None` if it cannot be told from the same call of another thread.
    pub(crate) fn aim(&self, point: &Point, error: Option<&str>, persists: bool) -> Option<Aim> {
        if !Burner::new().once(&point.call) {
            return None;
        }
        let other = if point.role == Role::Acting { Role::Blocking } else { Role::Acting };
        let elsewhere = self.counts.get(&(other, point.call.clone())).copied().unwrap_or(0);
        let base = self.main.get(&point.call).copied().unwrap_or(0).max(elsewhere) + 40;
        let Point { step, role, call, nth } = point.clone();
        Some(Aim { call, role, nth, step, base, error: error.map(str::to_owned), persists })
    }
}

/// Runs a worker under strace to its end, or to that of an aim.
pub(crate) fn run(job: &Job, output: &Path) -> io::Result<Output> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(output);
    match &job.aim {
        None => strace.args(["-e", &format!("trace={CALLS}")]),
        Some(aim) => {
            let trace = format!("trace={}", aim.call);
            // With the filter strace is faster, and sends no signals.
            strace.args(aim.error.iter().map(|_| "--seccomp-bpf"));
            strace.args(["-e", &trace, "-e", &aim.inject()])
        }
    };
    strace
        .env("RUST_BACKTRACE", "0")
        .arg(std::env::current_exe()?)
        .args(job.to_args())
        .stdin(Stdio::null())
        .output()
}

/// Why strace is of no use here.
pub(crate) fn cannot_trace() -> Option<String> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=openat"]);
    strace.args(["-e", "inject=openat:error=EIO:when=100..200", "true"]);
    match strace.stdin(Stdio::null()).output() {
        Err(error) => Some(format!("needs strace: {error}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(format!(
                "needs a strace that may trace and inject: {}",
                text.lines().next().unwrap_or_default()
            ))
        }
    }
}

/// Reads what a traced run wrote.
pub(crate) fn trace(output: &Path) -> Trace {
    let text = fs::read_to_string(output).unwrap();
    let calls: Vec<(&str, &str, &str)> = text.lines().filter_map(call).collect();
    let main = calls.first().expect("an empty trace").0;
    let acting = calls.iter().find(|(_, _, rest)| rest.contains("/@step/")).expect("no mark in the trace").0;
    let mut trace = Trace { points: Vec::new(), main: BTreeMap::new(), counts: BTreeMap::new() };
    let mut step = OUTSIDE;
    for (thread, call, rest) in calls {
        if thread == main {
            *trace.main.entry(call.to_owned()).or_default() += 1;
            continue;
        }
        let role = if thread == acting { Role::Acting } else { Role::Blocking };
        let nth = trace.counts.entry((role, call.to_owned())).or_default();
        *nth += 1;
        if let Some((_, number)) = rest.split_once("/@step/") {
            let digits = number.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(number.len());
            step = number[..digits].parse().unwrap();
        } else if step != OUTSIDE && !is_ours(call, rest) {
            trace.points.push(Point { step, role, call: call.to_owned(), nth: *nth });
        }
    }
    trace
}

/// Whether the worker wrote into its log.
fn is_ours(call: &str, rest: &str) -> bool {
    call == "write" && ["\"b ", "\"d ", "\"r ", "\"e ", "\"end"].iter().any(|line| rest.contains(line))
}

/// Thread, name and the rest of a line that begins a call.
fn call(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(char::is_whitespace)?;
    let (name, rest) = rest.trim_start().split_once('(')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && !name.is_empty()).then_some((thread, name, rest))
}
