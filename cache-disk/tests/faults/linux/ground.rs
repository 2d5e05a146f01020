//! Where workers work: a file system in memory of its own if there may be one, so that no sync has to wait
//! for what others write, and else a temporary directory.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A file system in a file, mounted through a loop device. It goes with this.
#[derive(Debug)]
pub(crate) struct Loop {
    image: PathBuf,
    at: PathBuf,
    _dir: TempDir,
}

fn ok(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
    Err(io::Error::other(format!("{}: {text}", command.get_program().to_string_lossy())))
}

pub(crate) fn mount(args: &[&str], at: &Path) -> io::Result<()> {
    ok(Command::new("mount").args(args).arg(at))
}

/// What is busy may be so for a moment only: a process that another thread has just forked has the files open that this
/// one had, until it starts its program.
pub(crate) fn when_free(change: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match change() {
            Err(_) if begun.elapsed() < Duration::from_secs(10) => sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}

pub(crate) fn unmount(at: &Path) {
    // Lazily, should somebody still hold a file of it.
    if ok(Command::new("umount").arg(at)).is_err() {
        _ = ok(Command::new("umount").arg("-l").arg(at));
    }
}

impl Loop {
    /// Makes a file system of this kind with so many megabytes.
    pub(crate) fn new(kind: &str, megabytes: u64) -> io::Result<Self> {
        // In memory where there is room: what is tried is the file system, not the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let (image, at) = (dir.path().join("image"), dir.path().join("mounted"));
        std::fs::create_dir(&at)?;
        std::fs::File::create(&image)?.set_len(megabytes << 20)?;
        let force = if kind == "ext4" { "-F" } else { "-f" };
        ok(Command::new(format!("mkfs.{kind}")).args(["-q", force]).arg(&image))?;
        let made = Self { image, at, _dir: dir };
        made.mount()?;
        Ok(made)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    fn mount(&self) -> io::Result<()> {
        mount(&["-o", "loop", &self.image.display().to_string()], &self.at)
    }

    /// Cuts the power: nothing that was not written by now ever is, not even the journal.
    pub(crate) fn cut(&self) -> io::Result<()> {
        ok(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.at))
    }

    /// Switches the power on again.
    pub(crate) fn mount_again(&self) -> io::Result<()> {
        when_free(|| ok(Command::new("umount").arg(&self.at)))?;
        self.mount()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}

#[derive(Debug)]
pub(crate) enum Ground {
    Own(Loop),
    Shared(TempDir),
}

impl Ground {
    pub(crate) fn new() -> Self {
        match Loop::new("ext4", 512) {
            Ok(own) => Self::Own(own),
            Err(_) => Self::Shared(tempfile::tempdir().unwrap()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(own) => own.path(),
            Self::Shared(dir) => dir.path(),
        }
    }
}
