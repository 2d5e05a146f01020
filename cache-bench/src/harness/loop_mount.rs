//! A file system of its own in a file without a name, by the commands of the system.

use std::{
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use crate::failure::Result;

/// An ext4 with a journal, mounted. The kernel lets go of the loop device when it is unmounted, and of the
/// image when this process ends.
#[derive(Debug)]
pub(crate) struct LoopMount {
    image: File,
    point: PathBuf,
}

impl LoopMount {
    /// Makes a file system of so many bytes in `parent` and mounts it at `point`; it takes the room of what
    /// is written to it.
    pub(crate) fn make(parent: &Path, point: &Path, bytes: u64) -> Result<Self> {
        let image = tempfile::tempfile_in(parent)?;
        image.set_len(bytes)?;
        // An inode for every 4 KiB. No table is left for the kernel to write while something is timed.
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-F", "-i", "4096", "-E", lazy, &path(&image)])?;
        mount(&image, point)?;
        Ok(Self { image, point: point.to_owned() })
    }

    /// Unmounts it and mounts it again: the kernel forgets all that it knew of it.
    pub(crate) fn again(&self) -> Result<()> {
        self.unmount()?;
        mount(&self.image, &self.point)
    }

    fn unmount(&self) -> Result<()> {
        let point = self.point.to_string_lossy();
        // What was closed just now may be busy for a moment.
        for _ in 0..50 {
            if run("umount", &[&point]).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        run("umount", &["--lazy", &point]).map(|_| ())
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        if let Err(failure) = self.unmount() {
            eprintln!("cache-bench: {failure}");
        }
    }
}

/// By which commands reach a file without a name.
fn path(image: &File) -> String {
    format!("/proc/{}/fd/{}", process::id(), image.as_raw_fd())
}

fn mount(image: &File, point: &Path) -> Result<()> {
    let device = run("losetup", &["--find", "--show", "--direct-io=on", &path(image)])?;
    let mounted = run("mount", &["-t", "ext4", &device, &point.to_string_lossy()]);
    // Of a mounted device this only says that it is to be let go after the mount.
    let detached = run("losetup", &["--detach", &device]);
    mounted.and(detached).map(|_| ())
}

/// Runs a command of the system; answers what it printed.
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
