//! What was put and is not durable yet.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache_core::{Error, ErrorKind, Key, Result};
use xxhash_rust::xxh3::Xxh3;

use crate::root::Root;

/// So many entries wait for a flush at most; a put beyond that flushes by itself, so that a caller who
/// never does cannot make the set grow for ever.
const MOST: usize = 1 << 20;

/// Entries by a 128-bit hash of their key.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    sets: Mutex<Sets>,
    /// Held while syncing: the kernel reports a failed write-back once, to one of them.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Sets {
    waiting: HashSet<u128>,
    /// Entries whose sync failed. Trying again proves nothing: the kernel has dropped their pages.
    lost: HashSet<u128>,
}

fn hash(key: &Key) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(key.digest.as_bytes());
    hash.update(key.namespace.encoded().as_bytes());
    hash.digest128()
}

impl Pending {
    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry was written. Answers whether it is time to flush.
    pub(crate) fn add(&self, key: &Key) -> bool {
        let mut sets = self.sets();
        let hash = hash(key);
        sets.lost.remove(&hash);
        sets.waiting.insert(hash);
        sets.waiting.len() > MOST
    }

    /// An entry went away.
    pub(crate) fn forget(&self, key: &Key) {
        let mut sets = self.sets();
        let hash = hash(key);
        sets.lost.remove(&hash);
        sets.waiting.remove(&hash);
    }

    /// Makes everything durable that was added before. Answers how many entries that were.
    pub(crate) fn flush(&self, root: &Root) -> Result<u64> {
        self.flush_with(|| sync(root).map_err(|error| Error::from_io("disk", "flush", error)))
    }

    fn flush_with(&self, sync: impl FnOnce() -> Result<()>) -> Result<u64> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the sync: what is added from here on waits for the next one.
        let taken = std::mem::take(&mut self.sets().waiting);
        let count = taken.len() as u64;
        let synced = sync();
        let mut sets = self.sets();
        if let Err(error) = synced {
            // Those written again meanwhile wait already, and their new bytes may still make it.
            let lost: Vec<u128> = taken.into_iter().filter(|hash| !sets.waiting.contains(hash)).collect();
            sets.lost.extend(lost);
            return Err(error);
        }
        match sets.lost.len() {
            0 => Ok(count),
            lost => Err(Error::new(ErrorKind::Unavailable, "disk", "flush").with_detail(format!(
                "{lost} entries could not be made durable by an earlier flush; put them again or evict them"
            ))),
        }
    }
}

#[cfg(target_os = "linux")]
fn sync(root: &Root) -> std::io::Result<()> {
    // The descriptor is held since the store was opened, so no failure in between goes unreported.
    Ok(rustix::fs::syncfs(root.fd())?)
}

#[cfg(not(target_os = "linux"))]
fn sync(_root: &Root) -> std::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

#[cfg(test)]
mod tests;
