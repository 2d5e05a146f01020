//! Finds the second program of this package, whose allocator counts. `cargo run` builds only the one it runs.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::Result;

const NAME: &str = "cache-bench-heap";

/// The program beside this one, built as this one was: with its profile and its features.
///
/// # Errors
///
/// If there is none and cargo cannot build it.
pub(crate) fn build() -> Result<PathBuf> {
    let this = env::current_exe()?;
    let beside = this.with_file_name(NAME).with_extension(env::consts::EXE_EXTENSION);
    let built = build_beside(&this);
    match built {
        Err(failure) if !beside.exists() => Err(failure),
        Err(failure) => {
            eprintln!("{NAME} may be older than this program: {failure}");
            Ok(beside)
        }
        Ok(()) if beside.exists() => Ok(beside),
        Ok(()) => Err(format!("cargo built no {}", beside.display()).into()),
    }
}

fn build_beside(this: &Path) -> Result<()> {
    let profile_dir = this.parent().ok_or("this program is in no directory")?;
    let target_dir = profile_dir.parent().ok_or("this program is in no target directory")?;
    let profile = match profile_dir.file_name().and_then(OsStr::to_str) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => return Err("this program is in no directory of a profile".into()),
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--bin", NAME, "--profile", profile]);
    cargo.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target_dir);
    if cfg!(feature = "rivals") {
        cargo.args(["--features", "rivals"]);
    }
    let status = cargo.status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo build: {status}").into()) }
}
