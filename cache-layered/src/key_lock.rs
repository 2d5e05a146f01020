//! Keeps the tiers in step: writes of one key run one after another, and a promotion never brings
//! back what a write has replaced since the promotion's value was read.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cache_core::Key;
use tokio::sync::OwnedMutexGuard;

/// The keys that somebody works on now.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLocks(Arc<Mutex<Slots>>);

/// Slots, and how many watch each.
type Slots = HashMap<Key, (usize, Arc<Slot>)>;

#[derive(Debug, Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Counts finished writes.
    writes: AtomicU64,
}

impl KeyLocks {
    fn map(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, key: &Key) -> Watch {
        let mut map = self.map();
        let (watchers, slot) = map.entry(key.clone()).or_default();
        *watchers += 1;
        Watch { locks: self.clone(), key: key.clone(), slot: Arc::clone(slot) }
    }

    /// Waits for this key's turn to write.
    pub(crate) async fn write(&self, key: &Key) -> WriteGuard {
        let watch = self.watch(key);
        let lock = Arc::clone(&watch.slot.lock).lock_owned().await;
        WriteGuard { watch, _lock: lock }
    }

    /// Waits until nobody writes the key, or one of those who do has ended.
    pub(crate) async fn quiet(&self, key: &Key) {
        let watch = self.watch(key);
        drop(watch.slot.lock.lock().await);
    }

    /// The right to copy the key's entry to another tier, unless somebody writes, copies or removes it now.
    pub(crate) fn try_spill(&self, key: &Key) -> Option<SpillGuard> {
        let watch = self.watch(key);
        let lock = Arc::clone(&watch.slot.lock).try_lock_owned().ok()?;
        Some(SpillGuard { _lock: lock, _watch: watch })
    }

    /// Taken before a value is read that may be promoted.
    pub(crate) fn ticket(&self, key: &Key) -> Ticket {
        let watch = self.watch(key);
        let writes = watch.slot.writes.load(Ordering::Acquire);
        Ticket { watch, writes }
    }
}

/// Keeps a key's slot in the map while somebody needs it.
#[derive(Debug)]
struct Watch {
    locks: KeyLocks,
    key: Key,
    slot: Arc<Slot>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut map = self.locks.map();
        if let Some((watchers, _)) = map.get_mut(&self.key) {
            *watchers -= 1;
            if *watchers == 0 {
                map.remove(&self.key);
            }
        }
    }
}

/// The right to write a key.
#[derive(Debug)]
pub(crate) struct WriteGuard {
    watch: Watch,
    _lock: OwnedMutexGuard<()>,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        // Before the lock is given back, so that whoever gets it next sees the write.
        self.watch.slot.writes.fetch_add(1, Ordering::AcqRel);
    }
}

/// The right to copy a key's entry, which stays the version that it is.
#[derive(Debug)]
pub(crate) struct SpillGuard {
    _lock: OwnedMutexGuard<()>,
    _watch: Watch,
}

/// What a promotion needs to know that its value is still the newest.
#[derive(Debug)]
pub(crate) struct Ticket {
    watch: Watch,
    writes: u64,
}

impl Ticket {
    /// The right to promote; `None` if a write came in between or is under way, or if another
    /// promotion of the key is.
    pub(crate) fn claim(&self) -> Option<OwnedMutexGuard<()>> {
        let lock = Arc::clone(&self.watch.slot.lock).try_lock_owned().ok()?;
        (self.watch.slot.writes.load(Ordering::Acquire) == self.writes).then_some(lock)
    }
}

#[cfg(test)]
mod tests;
