//! Orders what this process does to a key.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache_core::Key;

const STRIPES: usize = 256;

/// Locks that are held while an entry becomes visible or goes away, and while that is written down:
/// for a few system calls, never while waiting for another lock. A shard's advisory lock is taken
/// before.
#[derive(Debug)]
pub(crate) struct Stripes {
    locks: Vec<Mutex<()>>,
    /// A caller must not be able to choose keys that share a stripe.
    hasher: RandomState,
    /// Never used: there is always a stripe.
    spare: Mutex<()>,
}

impl Default for Stripes {
    fn default() -> Self {
        let locks = (0..STRIPES).map(|_| Mutex::new(())).collect();
        Self { locks, hasher: RandomState::new(), spare: Mutex::new(()) }
    }
}

impl Stripes {
    pub(crate) fn lock(&self, key: &Key) -> MutexGuard<'_, ()> {
        let at = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.locks.get(at).unwrap_or(&self.spare).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
