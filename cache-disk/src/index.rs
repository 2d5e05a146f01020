//! What the store holds, kept beside the entries so that nobody has to walk through them: the size and the
//! last known use of each, in a log per shard, and the sum of the sizes.
//!
//! An entry is never visible before its record is written, and every record is written under its shard's
//! lock, together with the rename that it is about. So who dies leaves records without entries at worst;
//! an eviction finds that there is nothing. Where entries without records are possible the index is
//! *suspect*: it was lost, damaged, or the machine died. Then it is compared with the directories.

mod log;
mod record;
mod replay;
mod review;
mod sizes;
mod turn;
mod walk;

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

use cache_core::{Key, Result};
use rustix::{
    fs::{AtFlags, OFlags, openat, statat, unlinkat},
    io::Errno,
};

pub(crate) use {
    log::Log,
    record::{Held, Used},
    replay::Replay,
    review::{Findings, Look, compact, review},
    sizes::Totals,
    turn::{Turn, Wait},
    walk::{Tree, is_missing},
};

use crate::{
    root::{FILE_MODE, Root},
    tree::names,
};
use log::{State, lock_log};
use sizes::Sizes;

const INDEX: &str = ".index";
const SIZES: &str = "sizes";
const FLAGS: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// How often something is opened again that others replace meanwhile.
const TRIES: usize = 1000;

/// The index of one directory, for one store.
pub(crate) struct Index {
    files: Mutex<Arc<Files>>,
    /// Tells this store from others that evict.
    me: u64,
    /// What could not be healed when it was tried, and is left to the next flush.
    hopeless: AtomicU64,
    /// A shard whose log is worth compacting, after 256.
    long: AtomicU16,
}

/// The index's files, for as long as they are in their place.
pub(crate) struct Files {
    dir: OwnedFd,
    sizes: Sizes,
}

impl Files {
    fn open(root: &Root, operation: &'static str) -> Result<Self> {
        let failed = |error: io::Error| root.failed(operation, &below(SIZES), error);
        let dir = root.make_dir(INDEX, operation)?;
        for _ in 0..TRIES {
            let file = open_or_clear(&dir, SIZES).map_err(|error| failed(error.into()))?;
            let sizes = Sizes::begin(file, number, || is_empty(root)).map_err(failed)?;
            if !sizes.is_gone() {
                return Ok(Self { dir, sizes });
            }
        }
        Err(failed(Errno::BUSY.into()))
    }

    /// The index may lack entries that there are.
    fn ask(&self) -> io::Result<()> {
        self.sizes.ask(number()?)
    }
}

impl Index {
    /// Opens the index, and makes one if there is none, or none that is of use.
    pub(crate) fn open(root: &Root, operation: &'static str) -> Result<Self> {
        let files = Arc::new(Files::open(root, operation)?);
        let me = number().map_err(|error| root.failed(operation, INDEX, error))?;
        Ok(Self { files: Mutex::new(files), me, hopeless: AtomicU64::default(), long: AtomicU16::default() })
    }

    fn current(&self) -> MutexGuard<'_, Arc<Files>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.current())
    }

    /// Begins a new index in place of one whose files were removed.
    fn renew(&self, gone: &Arc<Files>, root: &Root, operation: &'static str) -> Result<()> {
        if !Arc::ptr_eq(&self.current(), gone) {
            return Ok(());
        }
        let files = Arc::new(Files::open(root, operation)?);
        let mut current = self.current();
        if Arc::ptr_eq(&current, gone) {
            *current = files;
        }
        Ok(())
    }

    /// What all processes together hold, closely looked at.
    pub(crate) fn totals(&self, root: &Root, operation: &'static str) -> Result<Totals> {
        let failed = |error: io::Error| root.failed(operation, &below(SIZES), error);
        for _ in 0..TRIES {
            let files = self.files();
            let mut totals = files.sizes.totals().map_err(failed)?;
            if !totals.sound {
                // A cell may be read while it is written.
                totals = files.sizes.totals().map_err(failed)?;
            }
            if !totals.lost && !files.sizes.is_gone() {
                return Ok(totals);
            }
            self.renew(&files, root, operation)?;
        }
        Err(failed(Errno::BUSY.into()))
    }

    /// As [`totals`](Self::totals), without looking closely.
    pub(crate) fn glance(&self) -> io::Result<Totals> {
        self.files().sizes.with_cell(0).map(|(totals, _)| totals)
    }

    /// Says that the index may lack entries that there are. If that cannot be said, it is known to nobody.
    pub(crate) fn suspect(&self) {
        _ = self.files().ask();
    }

    pub(crate) fn is_hopeless(&self, asked: u64) -> bool {
        self.hopeless.load(Ordering::Relaxed) == asked
    }

    pub(crate) fn give_up(&self, asked: u64) {
        self.hopeless.store(asked, Ordering::Relaxed);
    }

    /// Remembers a log that is worth compacting, if this one is. Of several, the last; the others are found again.
    pub(crate) fn note_length(&self, log: &Log) {
        if log.is_long() {
            self.long.store(u16::from(log.shard) | 256, Ordering::Relaxed);
        }
    }

    /// The shard whose log is worth compacting, told once.
    pub(crate) fn take_long(&self) -> Option<u8> {
        if self.long.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let [shard, is_one] = self.long.swap(0, Ordering::Relaxed).to_le_bytes();
        (is_one != 0).then_some(shard)
    }

    /// Whether nothing was ever written down of a shard. If in doubt, something was.
    pub(crate) fn is_unused(&self, shard: u8) -> bool {
        let files = self.files();
        let found = statat(&files.dir, name(shard), AtFlags::SYMLINK_NOFOLLOW);
        let cell = files.sizes.with_cell(shard).map(|(_, cell)| cell);
        found.is_err_and(|error| error == Errno::NOENT)
            && cell.is_ok_and(|cell| cell == Some(sizes::Cell::default()))
    }

    /// The log of a key's shard, locked. Of several locks this one is the last but for the stripe: a
    /// shard's own lock is taken before.
    pub(crate) fn lock(&self, root: &Root, key: &Key, operation: &'static str) -> Result<Log> {
        self.lock_shard(root, key.digest.as_bytes().first().copied().unwrap_or(0), operation)
            .map_err(|error| error.with_key(key))
    }

    pub(crate) fn lock_shard(&self, root: &Root, shard: u8, operation: &'static str) -> Result<Log> {
        let name = name(shard);
        let failed = |error: io::Error| root.failed(operation, &below(&name), error);
        for _ in 0..TRIES {
            let files = self.files();
            let file = match openat(&files.dir, name.as_str(), FLAGS | OFlags::CREATE, FILE_MODE) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => {
                    self.renew(&files, root, operation)?;
                    continue;
                }
                Err(Errno::LOOP) => {
                    clear(&files.dir, &name).map_err(|error| failed(error.into()))?;
                    files.ask().map_err(failed)?;
                    continue;
                }
                Err(error) => return Err(failed(error.into())),
            };
            match lock_log(&file).map_err(|error| failed(error.into()))? {
                State::Whole(len) => {
                    let log = Log::take(Arc::clone(&files), shard, file, len).map_err(failed)?;
                    if log.totals().lost || files.sizes.is_gone() {
                        drop(log);
                        self.renew(&files, root, operation)?;
                        continue;
                    }
                    return Ok(log);
                }
                State::Replaced => {}
                State::Strange => {
                    clear(&files.dir, &name).map_err(|error| failed(error.into()))?;
                    files.ask().map_err(failed)?;
                }
            }
        }
        Err(failed(Errno::BUSY.into()))
    }
}

/// Opens a file, and makes it if need be. What is none of ours goes.
fn open_or_clear(dir: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    for _ in 0..TRIES {
        match openat(dir, name, FLAGS | OFlags::CREATE, FILE_MODE) {
            Err(Errno::LOOP) => clear(dir, name)?,
            Err(error) => return Err(error),
            Ok(file) => match rustix::fs::fstat(&file)? {
                stat if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_nlink == 1 => {
                    return Ok(file);
                }
                stat if stat.st_nlink == 0 => {}
                _ => clear(dir, name)?,
            },
        }
    }
    Err(Errno::BUSY)
}

fn clear(dir: &OwnedFd, name: &str) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// Whether a directory holds nothing that could be an entry. If it cannot be read, it may.
fn is_empty(root: &Root) -> bool {
    names(root.fd()).is_ok_and(|names| names.iter().all(|name| name.starts_with('.')))
}

/// A number that no other one is equal to, and not 0.
fn number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(bytes).max(1))
}

fn name(shard: u8) -> String {
    format!("{shard:02x}")
}

fn below(name: &str) -> String {
    format!("{INDEX}/{name}")
}

#[cfg(test)]
mod tests;
