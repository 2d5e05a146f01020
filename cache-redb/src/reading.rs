//! Which chunks open streams still need, so that they are not swept under their hands.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cache_core::Result;

/// The ids of blobs that streams read.
///
/// A stream reads each piece from the newest snapshot, so that it pins none between them. What makes that safe is an
/// order on both sides: a reader registers the id, and then finds it in the newest snapshot still; the writer
/// publishes a snapshot without the blob, and then asks whether its id is registered, before it removes any chunk.
/// Whichever comes first, one of them sees the other.
pub(crate) struct Readings {
    open: Mutex<HashMap<u64, Open>>,
    on_release: Box<dyn Fn(u64) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Open {
    streams: usize,
    /// Whether the writer would have removed the chunks.
    is_awaited: bool,
}

impl Readings {
    /// `on_release` is told of an id that the writer was [refused](Self::may_remove) when its last stream has ended.
    pub(crate) fn new(on_release: impl Fn(u64) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), on_release: Box::new(on_release) })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers an id until the answer is dropped.
    pub(crate) fn begin(self: &Arc<Self>, id: u64) -> Reading {
        self.open().entry(id).or_default().streams += 1;
        Reading { readings: Arc::clone(self), id }
    }

    /// Looks something up in the newest snapshot until the chunks that it is made of are registered and still there.
    /// `look` answers their ids with what it finds; it loads the newest snapshot each time.
    ///
    /// # Errors
    ///
    /// What `look` fails with.
    pub(crate) fn hold<T, E>(
        self: &Arc<Self>,
        mut look: impl FnMut() -> Result<Option<(Vec<u64>, T)>, E>,
    ) -> Result<Option<(Vec<Reading>, T)>, E> {
        let mut held: Vec<Reading> = Vec::new();
        loop {
            let Some((ids, found)) = look()? else { return Ok(None) };
            if ids.iter().eq(held.iter().map(|reading| &reading.id)) {
                return Ok(Some((held, found)));
            }
            held = ids.into_iter().map(|id| self.begin(id)).collect();
        }
    }

    /// Whether the chunks of an id that no snapshot has any more may be removed. If not, `on_release` tells when.
    pub(crate) fn may_remove(&self, id: u64) -> bool {
        match self.open().get_mut(&id) {
            Some(open) => {
                open.is_awaited = true;
                false
            }
            None => true,
        }
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").field("open", &*self.open()).finish_non_exhaustive()
    }
}

/// An id that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    readings: Arc<Readings>,
    id: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut is_awaited = false;
        if let Entry::Occupied(mut open) = self.readings.open().entry(self.id) {
            open.get_mut().streams -= 1;
            if open.get().streams == 0 {
                is_awaited = open.remove().is_awaited;
            }
        }
        if is_awaited {
            (self.readings.on_release)(self.id);
        }
    }
}

#[cfg(test)]
mod tests;
