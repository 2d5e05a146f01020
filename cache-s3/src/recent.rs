//! Which entries were put just now: those put while a clean goes on are too new for it.

mod order;

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache_core::{EntryMeta, Key};

use self::order::Order;

/// Keys of entries that were put, as long as somebody asks; and in which order the latest were.
#[derive(Debug, Default)]
pub(crate) struct RecentPuts {
    noted: Mutex<Option<HashSet<Key>>>,
    order: Mutex<Order>,
}

impl RecentPuts {
    fn noted(&self) -> MutexGuard<'_, Option<HashSet<Key>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells entries apart that a listing tells the same time of.
    pub(crate) fn tell_apart(&self, entries: &mut [EntryMeta]) {
        self.order().tell_apart(entries);
    }

    /// Notes puts from now on, until the answer is dropped. One at a time may ask.
    pub(crate) fn watch(&self) -> Watched<'_> {
        *self.noted() = Some(HashSet::new());
        Watched(self)
    }

    pub(crate) fn note(&self, key: &Key) {
        self.order().put(key);
        if let Some(noted) = &mut *self.noted() {
            noted.insert(key.clone());
        }
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.noted().as_ref().is_some_and(|noted| noted.contains(key))
    }
}

#[derive(Debug)]
pub(crate) struct Watched<'a>(&'a RecentPuts);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        *self.0.noted() = None;
    }
}
