//! Where figures were taken: they mean nothing without it.

use std::{fs, path::Path, process::Command, thread};

use serde::Serialize;

/// A figure without these cannot be compared with any other.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// The names and versions of the caches that are compared with.
    pub(crate) rivals: Vec<String>,
}

impl Machine {
    /// `rivals` are packages that take part.
    pub(crate) fn look(rivals: &[&str]) -> Self {
        Self {
            cpu: cpu().unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            rustc: rustc().unwrap_or_else(unknown),
            rivals: if cfg!(feature = "rivals") { versions(rivals) } else { Vec::new() },
        }
    }
}

/// The load average of the last minute, which counts this process too.
pub(crate) fn load() -> Option<f64> {
    line("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(model.trim_start_matches(['\t', ' ', ':']).to_owned())
}

/// Of the toolchain whose cargo built this program.
fn rustc() -> Option<String> {
    let output = Command::new(Path::new(env!("CARGO")).with_file_name("rustc")).arg("--version").output();
    Some(String::from_utf8(output.ok()?.stdout).ok()?.trim().to_owned())
}

fn versions(rivals: &[&str]) -> Vec<String> {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        // The newest, should there be several.
        let (_, rest) = lock.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?;
        let (version, _) = rest.split_once('"')?;
        Some(format!("{name} {version}"))
    };
    rivals.iter().copied().filter_map(version).collect()
}
