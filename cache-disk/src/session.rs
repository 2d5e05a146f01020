//! Where this process prepares entries and puts what it removes: `.tmp/<random>`, guarded by the
//! advisory lock of `.tmp/<random>.lock` for as long as the store is open. A lock that is free belongs
//! to a process that died, and its directory is swept.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use cache_core::{Error, ErrorKind, Result};
use rustix::{
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, statat, unlinkat},
    io::Errno,
};

use crate::{
    root::{DIR_MODE, FILE_MODE, Root},
    tree::{DIR_FLAGS, is_random_name, names, random_name, remove_tree, same_file, try_lock},
};

pub(crate) const TEMP: &str = ".tmp";

#[derive(Debug)]
pub(crate) struct Session {
    temp: OwnedFd,
    id: String,
    dir: OwnedFd,
    /// How many names were given in it.
    named: AtomicU64,
    _lock: OwnedFd,
}

impl Session {
    pub(crate) fn begin(root: &Root, operation: &'static str) -> Result<Self> {
        let failed = |error: Errno| root.failed(operation, TEMP, error.into());
        let temp = root.make_dir(TEMP, operation)?;
        for _ in 0..16 {
            let id = random_name(operation)?;
            let lock_name = lock_name(&id);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let lock = openat(&temp, &lock_name, flags, FILE_MODE).map_err(failed)?;
            // A sweep elsewhere may have taken the file for a dead one before it was locked.
            if !try_lock(&lock).map_err(failed)? || !same_file(temp.as_fd(), &lock_name, &lock) {
                continue;
            }
            mkdirat(&temp, &id, DIR_MODE).map_err(failed)?;
            let dir = openat(&temp, &id, DIR_FLAGS, Mode::empty()).map_err(failed)?;
            return Ok(Self { temp, id, dir, named: AtomicU64::new(0), _lock: lock });
        }
        Err(Error::new(ErrorKind::Unavailable, "disk", operation)
            .with_detail("no temporary directory could be claimed"))
    }

    /// A name in this session's directory that no other entry has; shorter than a random one.
    pub(crate) fn new_name(&self) -> String {
        format!("{:x}", self.named.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Removes what dead processes left; the first failure is the answer, after the rest was removed.
    /// Tells of each that may have left something before anything of it is removed.
    pub(crate) fn sweep(&self, dead: impl Fn()) -> Result<(), Errno> {
        let mut outcome = Ok(());
        for id in self.others()? {
            outcome = outcome.and(self.sweep_one(&id, &dead));
        }
        outcome
    }

    fn sweep_one(&self, id: &str, dead: impl Fn()) -> Result<(), Errno> {
        let name = lock_name(id);
        let Ok(lock) = self.open_lock(id) else { return Ok(()) };
        if !try_lock(&lock)? || !same_file(self.temp.as_fd(), &name, &lock) {
            return Ok(());
        }
        // Who has no directory is about to begin, or has left in order.
        let is_absent = |error| error == Errno::NOENT;
        if !statat(&self.temp, id, AtFlags::SYMLINK_NOFOLLOW).is_err_and(is_absent) {
            dead();
        }
        // The lock file goes last: a directory without one would never be swept.
        remove_tree(self.temp.as_fd(), id)?;
        unlinkat(&self.temp, &name, AtFlags::empty())
    }

    /// All other sessions. Names that no session has are strangers.
    fn others(&self) -> Result<Vec<String>, Errno> {
        let names = names(self.temp.as_fd())?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(".lock"));
        Ok(ids.filter(|id| is_random_name(id) && *id != self.id).map(str::to_owned).collect())
    }

    fn open_lock(&self, id: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.temp, lock_name(id), flags, Mode::empty())
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

/// The names of all sessions' directories and locks. Other names are strangers.
pub(crate) fn names_of_sessions(temp: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    let is_ours = |name: &String| is_random_name(name.strip_suffix(".lock").unwrap_or(name));
    Ok(names(temp)?.into_iter().filter(is_ours).collect())
}

fn lock_name(id: &str) -> String {
    format!("{id}.lock")
}
