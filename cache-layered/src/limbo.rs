//! Keys whose older value memory may drop before the newer one is below.
//!
//! A tier that evicts and finds no victim that can go refuses a put, and drops the older value. Until the newer one
//! is in the tier below, readers find neither: they must not call that a miss.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cache_core::Key;

#[derive(Clone, Debug, Default)]
pub(crate) struct Limbo(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    keys: Mutex<HashSet<Key>>,
    /// How often a key has left.
    left: AtomicU64,
}

impl Limbo {
    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the key may be found nowhere, until the guard is dropped. Its turn is taken.
    pub(crate) fn enter(&self, key: &Key) -> InLimbo {
        self.keys().insert(key.clone());
        InLimbo { limbo: self.clone(), key: key.clone() }
    }

    /// To be taken before tiers are asked.
    pub(crate) fn mark(&self) -> u64 {
        self.0.left.load(Ordering::Acquire)
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.keys().contains(key)
    }
}

#[derive(Debug)]
pub(crate) struct InLimbo {
    limbo: Limbo,
    key: Key,
}

impl Drop for InLimbo {
    fn drop(&mut self) {
        // Before the key is gone, so that who does not find it there sees this.
        self.limbo.0.left.fetch_add(1, Ordering::AcqRel);
        self.limbo.keys().remove(&self.key);
    }
}
