//! One writer at a time for each key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cache_core::Key;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks of keys, first come first served.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLocks(Arc<Mutex<HashMap<Key, Arc<AsyncMutex<()>>>>>);

/// A key that is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    locks: KeyLocks,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyLocks {
    fn table(&self) -> MutexGuard<'_, HashMap<Key, Arc<AsyncMutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the key.
    pub(crate) async fn lock(&self, key: &Key) -> Locked {
        let lock = Arc::clone(self.table().entry(key.clone()).or_default());
        // Who is dropped while it waits leaves the lock to the others, the last of whom tidies up.
        let _waiting = Waiting { locks: self, key };
        let guard = lock.lock_owned().await;
        Locked { locks: self.clone(), key: key.clone(), guard: Some(guard) }
    }

    /// Takes the key if nobody has it.
    pub(crate) fn try_lock(&self, key: &Key) -> Option<Locked> {
        let mut table = self.table();
        if table.contains_key(key) {
            return None;
        }
        let lock = Arc::<AsyncMutex<()>>::default();
        let guard = Arc::clone(&lock).try_lock_owned().ok()?;
        table.insert(key.clone(), lock);
        Some(Locked { locks: self.clone(), key: key.clone(), guard: Some(guard) })
    }

    /// Forgets the lock of a key that nobody has or waits for.
    fn tidy(&self, key: &Key) {
        let mut table = self.table();
        if table.get(key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            table.remove(key);
        }
    }
}

struct Waiting<'a> {
    locks: &'a KeyLocks,
    key: &'a Key,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.locks.tidy(self.key);
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.guard.take());
        self.locks.tidy(&self.key);
    }
}

#[cfg(test)]
mod tests;
