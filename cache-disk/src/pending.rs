//! What was put and is not durable yet.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache_core::{Error, ErrorKind, Key, Result};

use crate::{entry_dir::EntryDir, root::Root};

/// So many entries wait for a flush at most; a put beyond that flushes by itself, so that a caller who
/// never does cannot make the set grow for ever.
const MOST: usize = 1 << 18;

/// Which entries a flush has to make durable.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    sets: Mutex<Sets>,
    /// Held while syncing: the kernel reports a failed write-back once, to one of them.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Sets {
    waiting: HashSet<Key>,
    /// Entries whose sync failed. Trying again proves nothing: the kernel has dropped their pages.
    lost: BTreeSet<Key>,
    /// How many syncs have failed.
    failures: u64,
    /// Whether all that this process did to the directory was synced, with what its predecessors left.
    clean: bool,
}

/// How many syncs had failed when a put began. If one fails before the put is visible, it may have
/// been the put's bytes that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Pending {
    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.sets().failures)
    }

    /// An entry is about to become visible: no flush may pass over it from here on. Answers whether it
    /// did not wait already.
    pub(crate) fn announce(&self, key: &Key) -> bool {
        let mut sets = self.sets();
        sets.clean = false;
        sets.waiting.insert(key.clone())
    }

    /// An entry that was announced did not become visible.
    pub(crate) fn retract(&self, key: &Key) {
        self.sets().waiting.remove(key);
    }

    /// An entry that was announced is visible. All its bytes were written since `begun`, if it is
    /// `whole`; else some are those of the entry that it replaces.
    pub(crate) fn written(&self, key: &Key, begun: Epoch, whole: bool) {
        let mut sets = self.sets();
        if Epoch(sets.failures) != begun {
            sets.lost.insert(key.clone());
        } else if whole {
            sets.lost.remove(key);
        }
    }

    /// Whether it is time to flush.
    pub(crate) fn is_full(&self) -> bool {
        self.sets().waiting.len() > MOST
    }

    /// An entry went away.
    pub(crate) fn forget(&self, key: &Key) {
        let mut sets = self.sets();
        sets.clean = false;
        sets.lost.remove(key);
        sets.waiting.remove(key);
    }

    /// Makes everything durable that was announced before. Answers how many entries that were.
    pub(crate) fn flush(&self, root: &Root) -> Result<u64> {
        let failed =
            |error| Error::from_io("disk", "flush", error).with_detail(root.path.display().to_string());
        // What cannot be looked at may well be there.
        let is_there = |key: &Key| !matches!(EntryDir::open(root, key, "flush"), Ok(None));
        self.flush_with(|| sync(root).map_err(failed), is_there)
    }

    fn flush_with(&self, sync: impl FnOnce() -> Result<()>, is_there: impl Fn(&Key) -> bool) -> Result<u64> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, suspects) = {
            let mut sets = self.sets();
            if sets.clean && sets.lost.is_empty() {
                return Ok(0);
            }
            // Before the sync: what is announced from here on waits for the next one.
            sets.clean = true;
            (std::mem::take(&mut sets.waiting), sets.lost.clone())
        };
        let count = taken.len() as u64;
        let synced = sync();
        // What another process took away is nobody's loss.
        let gone: Vec<Key> = suspects.into_iter().filter(|key| !is_there(key)).collect();
        let mut sets = self.sets();
        for key in &gone {
            if !sets.waiting.contains(key) {
                sets.lost.remove(key);
            }
        }
        if let Err(error) = synced {
            // Whichever was written before the failure was known may be what could not be written.
            sets.failures += 1;
            sets.clean = false;
            let during = std::mem::take(&mut sets.waiting);
            sets.lost.extend(taken.into_iter().chain(during));
            return Err(error);
        }
        match sets.lost.first() {
            None => Ok(count),
            Some(first) => {
                let detail = format!(
                    "{} entries, the first of them {first}, could not be made durable by an earlier flush; \
                     put them again or evict them",
                    sets.lost.len()
                );
                Err(Error::new(ErrorKind::Unavailable, "disk", "flush").with_detail(detail))
            }
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
