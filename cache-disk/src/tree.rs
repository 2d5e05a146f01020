//! What the standard library does not do relative to an open directory.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use cache_core::{Error, ErrorKind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, statat, unlinkat},
    io::{Errno, retry_on_intr},
    path::Arg,
};

pub(crate) const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Waits for the advisory lock of an open file. It ends with the descriptor.
pub(crate) fn lock(fd: &OwnedFd) -> Result<(), Errno> {
    retry_on_intr(|| flock(fd, FlockOperation::LockExclusive))
}

/// Takes the advisory lock of an open file, unless it is held elsewhere: then the answer is false.
pub(crate) fn try_lock(fd: &OwnedFd) -> Result<bool, Errno> {
    try_flock(fd, FlockOperation::NonBlockingLockExclusive)
}

/// As [`try_lock`], together with others that do so.
pub(crate) fn try_lock_shared(fd: &OwnedFd) -> Result<bool, Errno> {
    try_flock(fd, FlockOperation::NonBlockingLockShared)
}

fn try_flock(fd: &OwnedFd, operation: FlockOperation) -> Result<bool, Errno> {
    match retry_on_intr(|| flock(fd, operation)) {
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
    for entry in Dir::read_from(&dir)? {
        let entry = entry?;
        let child = entry.file_name();
        if child == c"." || child == c".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            remove_tree(dir.as_fd(), child)?;
            continue;
        }
        match gone(unlinkat(&dir, child, AtFlags::empty())) {
            // The file system does not say of what type an entry is; this one is a directory.
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(dir.as_fd(), child)?,
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
