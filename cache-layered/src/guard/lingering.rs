//! Writes that nobody waits for any more, and that have not ended: a later one must not be overtaken by them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cache_core::Key;
use tokio::sync::watch;

/// So many are kept of a tier that ends none, in memory with what they write.
const MOST: usize = 64;

/// The keys of such writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lingering(Arc<Mutex<Writes>>);

type Writes = HashMap<Key, Vec<Write>>;

#[derive(Clone, Debug)]
struct Write {
    /// Set under the lock of the map.
    has_ended: Arc<AtomicBool>,
    /// Its sender goes away after that.
    end: watch::Receiver<()>,
}

impl Lingering {
    fn map(&self) -> MutexGuard<'_, Writes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no write of `key` lingers.
    pub(crate) async fn ended(&self, key: &Key) {
        loop {
            let Some(mut write) = self.map().get(key).and_then(|writes| writes.first().cloned()) else {
                return;
            };
            // Nothing is ever sent: what comes is that the sender went away.
            _ = write.end.changed().await;
        }
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.map().contains_key(key)
    }

    /// Whether there are so many that no other write should begin. Those that have begun may come to linger all the
    /// same, as many as there are callers at a time.
    pub(crate) fn is_full(&self) -> bool {
        self.map().values().map(Vec::len).sum::<usize>() >= MOST
    }

    /// A write of `key` that begins: one half for itself, one for whoever waits for it.
    pub(crate) fn begin(&self, key: &Key) -> (Running, Waiting) {
        let (sender, end) = watch::channel(());
        let has_ended = Arc::new(AtomicBool::new(false));
        let running = Running {
            lingering: self.clone(),
            key: key.clone(),
            has_ended: Arc::clone(&has_ended),
            _end: sender,
        };
        let waiting = Waiting { lingering: self.clone(), key: key.clone(), write: Write { has_ended, end } };
        (running, waiting)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }
}

/// Held by a write until its end.
#[derive(Debug)]
pub(crate) struct Running {
    lingering: Lingering,
    key: Key,
    has_ended: Arc<AtomicBool>,
    /// Dropped after the map has been told, so that who waits finds it told.
    _end: watch::Sender<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut map = self.lingering.map();
        self.has_ended.store(true, Ordering::Release);
        if let Some(writes) = map.get_mut(&self.key) {
            writes.retain(|write| !write.has_ended.load(Ordering::Acquire));
            if writes.is_empty() {
                map.remove(&self.key);
            }
        }
    }
}

/// Held by whoever waits for a write. Dropped before the write has ended, that lingers.
#[derive(Debug)]
pub(crate) struct Waiting {
    lingering: Lingering,
    key: Key,
    write: Write,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.write.has_ended.load(Ordering::Acquire) {
            return;
        }
        let mut map = self.lingering.map();
        if !self.write.has_ended.load(Ordering::Acquire) {
            map.entry(self.key.clone()).or_default().push(self.write.clone());
        }
    }
}
