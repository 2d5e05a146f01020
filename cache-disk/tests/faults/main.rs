//! The disk store while its process is killed, the power fails, system calls fail and many processes
//! share it.
//!
//! This executable is both sides: it starts itself again as the worker that uses a store and is killed,
//! and then looks at what is left. All it knows of the store is its public interface and its directory.
//!
//! What cannot be tried on a machine is shown as ignored, with the reason. `CACHE_DISK_LONG=1` tries far
//! more points. A point that failed is tried again by the command that the failure tells.
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may fail"
    )
)]

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
