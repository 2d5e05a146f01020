//! Mounts that nobody else sees, and that end with this process however it ends.

use std::{env, os::unix::process::CommandExt, process::Command};

use crate::failure::Result;

/// The argument of a process that has its mounts to itself.
pub(crate) const INSIDE: &str = "private-mounts";

const UNSHARE: [&str; 3] = ["--mount", "--propagation", "private"];

/// Begins this program again where its mounts are its own; returns if that cannot be had.
pub(crate) fn begin() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let granted = Command::new("unshare").args(UNSHARE).arg("true").output();
    if !granted.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let mut again = Command::new("unshare");
    again
        .args(UNSHARE)
        .arg("--")
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg(format!("--{INSIDE}"));
    Err(again.exec().into())
}
