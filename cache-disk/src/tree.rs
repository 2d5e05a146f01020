//! What the standard library does not do relative to an open directory.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use cache_core::{Error, ErrorKind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat},
    io::{Errno, retry_on_intr},
    path::Arg,
};

pub(crate) const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How long a lock may be held elsewhere. All that happens under one is over in a moment; who holds it for
/// longer was stopped, and may never go on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for the advisory lock of an open file; it is `ETIMEDOUT` if others hold it for too long. It ends
/// with the descriptor.
pub(crate) fn lock(fd: impl AsFd) -> Result<(), Errno> {
    lock_within(fd, PATIENCE)
}

fn lock_within(fd: impl AsFd, patience: Duration) -> Result<(), Errno> {
    if try_lock(fd.as_fd())? {
        return Ok(());
    }
    let begun = Instant::now();
    let mut pause = Duration::from_micros(20);
    while begun.elapsed() < patience {
        thread::sleep(pause);
        if try_lock(fd.as_fd())? {
            return Ok(());
        }
        pause = (pause * 2).min(Duration::from_millis(1));
    }
    Err(Errno::TIMEDOUT)
}

/// Takes the advisory lock of an open file, unless it is held elsewhere: then the answer is false.
pub(crate) fn try_lock(fd: impl AsFd) -> Result<bool, Errno> {
    try_flock(fd, FlockOperation::NonBlockingLockExclusive)
}

/// As [`try_lock`], together with others that do so.
pub(crate) fn try_lock_shared(fd: impl AsFd) -> Result<bool, Errno> {
    try_flock(fd, FlockOperation::NonBlockingLockShared)
}

fn try_flock(fd: impl AsFd, operation: FlockOperation) -> Result<bool, Errno> {
    match retry_on_intr(|| flock(fd.as_fd(), operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether what has this name is still the open file.
pub(crate) fn same_file(dir: BorrowedFd<'_>, name: &str, open: &OwnedFd) -> bool {
    match (statat(dir, name, AtFlags::SYMLINK_NOFOLLOW), fstat(open)) {
        (Ok(there), Ok(here)) => (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino),
        _ => false,
    }
}

/// A name that nobody can guess: 128 random bits.
pub(crate) fn random_name(operation: &'static str) -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "disk", operation).with_source(io::Error::other(error))
    })?;
    Ok(bytes.iter().fold(String::new(), |name, byte| format!("{name}{byte:02x}")))
}

/// Whether [`random_name`] may have made this.
pub(crate) fn is_random_name(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The names in a directory, without the dot names and those that are not UTF-8.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes a file, or a directory with everything in it. What is not there is fine.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<(), Errno> {
    let dir = match openat(parent, name, DIR_FLAGS, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::LOOP | Errno::NOTDIR) => return gone(unlinkat(parent, name, AtFlags::empty())),
        Err(error) => return Err(error),
    };
    let mut dir = Dir::new(dir)?;
    while let Some(entry) = dir.next() {
        let entry = entry?;
        let child = entry.file_name();
        if child == c"." || child == c".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            remove_tree(dir.fd()?, child)?;
            continue;
        }
        match gone(unlinkat(dir.fd()?, child, AtFlags::empty())) {
            // The file system does not say of what type an entry is; this one is a directory.
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(dir.fd()?, child)?,
            removed => removed?,
        }
    }
    gone(unlinkat(parent, name, AtFlags::REMOVEDIR))
}

fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    match removed {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests;
