//! Where this process prepares entries and puts what it removes: `.tmp/<random>`, guarded by the
//! advisory lock of `.tmp/<random>.lock` for as long as the store is open. A lock that is free belongs
//! to a process that died, and its directory is swept.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use cache_core::{Error, ErrorKind, Result};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, openat, statat, unlinkat,
    },
    io::Errno,
};

use crate::root::{DIR_MODE, FILE_MODE, Root};

const TEMP: &str = ".tmp";
const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(crate) struct Session {
    temp: OwnedFd,
    id: String,
    dir: OwnedFd,
    _lock: OwnedFd,
}

impl Session {
    pub(crate) fn begin(root: &Root) -> Result<Self> {
        let failed = |error: Errno| {
            Error::from_io("disk", "open", error.into()).with_detail(root.path.display().to_string())
        };
        let temp = root.make_dir(TEMP).map_err(failed)?;
        for _ in 0..16 {
            let id = random_name()?;
            let lock_name = lock_name(&id);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let lock = openat(&temp, &lock_name, flags, FILE_MODE).map_err(failed)?;
            // A sweep elsewhere may have taken the file for a dead one before it was locked.
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
                || !same_file(&temp, &lock_name, &lock)
            {
                continue;
            }
            mkdirat(&temp, &id, DIR_MODE).map_err(failed)?;
            let dir = openat(&temp, &id, DIR_FLAGS, Mode::empty()).map_err(failed)?;
            return Ok(Self { temp, id, dir, _lock: lock });
        }
        Err(Error::new(ErrorKind::Internal, "disk", "open")
            .with_detail("no temporary directory could be claimed"))
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Removes what dead processes left. Answers how many of them there were.
    pub(crate) fn sweep(&self) -> Result<usize, Errno> {
        let mut swept = 0;
        for name in names(self.temp.as_fd())? {
            let Some(id) = name.strip_suffix(".lock") else { continue };
            if id == self.id {
                continue;
            }
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(lock) = openat(&self.temp, &name, flags, Mode::empty()) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
                && same_file(&self.temp, &name, &lock)
            {
                // The lock file goes last: a directory without one would never be swept.
                remove_tree(self.temp.as_fd(), id)?;
                unlinkat(&self.temp, &name, AtFlags::empty())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What fails here is swept by the next process that opens the store.
        if remove_tree(self.temp.as_fd(), &self.id).is_ok() {
            _ = unlinkat(&self.temp, lock_name(&self.id), AtFlags::empty());
        }
    }
}

fn lock_name(id: &str) -> String {
    format!("{id}.lock")
}

fn same_file(dir: &OwnedFd, name: &str, open: &OwnedFd) -> bool {
    match (statat(dir, name, AtFlags::SYMLINK_NOFOLLOW), fstat(open)) {
        (Ok(there), Ok(here)) => (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino),
        _ => false,
    }
}

/// A name that nobody can guess: 128 random bits.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "disk", "open").with_source(io::Error::other(error))
    })?;
    Ok(bytes.iter().fold(String::new(), |name, byte| format!("{name}{byte:02x}")))
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
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let gone = |result: Result<(), Errno>| match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    };
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
            remove_tree(dir.as_fd(), &child.to_string_lossy())?;
        } else {
            gone(unlinkat(&dir, child, AtFlags::empty()))?;
        }
    }
    gone(unlinkat(parent, name, AtFlags::REMOVEDIR))
}
