use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use cache_core::{
    ByteStream, Error, ErrorKind, Key, PutBlob, PutEntry, PutOptions, PutOutcome, Result, Store,
};
use futures::{StreamExt, stream};

use super::{inject::Fault, stream::restream_put};

/// Fails puts with [`NoSpace`](ErrorKind::NoSpace) once they have taken all the room.
///
/// A disk that is full fails in the middle of a write, and stays full until somebody cleans up. Blobs in
/// hand that do not fit fail before the store is asked; a stream ends in the error at the piece that does
/// not fit, and the store then publishes nothing. A put that fails, is refused or is dropped gives its room
/// back, as far as it was set before that put took it. Evictions and overwrites do not: room comes back with [`set_room`](Self::set_room) and
/// [`release`](Self::release). All other calls pass untouched, reads of a full store included.
///
/// Clones share store and room: keep one to fill, and hand the other one out.
#[derive(Debug)]
pub struct Full<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Room,
}

/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Left>>);

#[derive(Debug, Default)]
struct Left {
    /// Without end if `None`.
    bytes: Option<u64>,
    /// How often it was set: what was taken before is not given back.
    settings: u64,
}

impl<S: Store> Full<S> {
    /// Has room for so many bytes of blobs from the start.
    #[must_use]
    pub fn with_room(self, bytes: u64) -> Self {
        self.set_room(bytes);
        self
    }

    /// Has room for so many more bytes of blobs from now on; 0 is full.
    pub fn set_room(&self, bytes: u64) {
        self.fault.set(Some(bytes));
    }

    /// Has room without end from now on.
    pub fn release(&self) {
        self.fault.set(None);
    }

    /// The bytes of blobs that there is room for; `None` if there is no end to it.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.fault.left().bytes
    }
}

impl Room {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, bytes: Option<u64>) {
        let mut left = self.left();
        *left = Left { bytes, settings: left.settings + 1 };
    }
}

/// What one put has taken: given back in the end, unless the put was stored.
#[derive(Debug)]
struct Taken {
    room: Room,
    /// How many bytes since the room was last set, and its number.
    since: Mutex<(u64, u64)>,
    kept: AtomicBool,
}

impl Taken {
    fn take(&self, bytes: u64) -> Result<()> {
        let mut left = self.room.left();
        let rest = left.bytes.map(|left| left.checked_sub(bytes));
        if rest == Some(None) {
            return Err(Error::new(ErrorKind::NoSpace, "full", "put")
                .with_detail(format!("there is no room for {bytes} bytes more, as armed")));
        }
        left.bytes = rest.flatten();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if since.1 == left.settings { since.0 } else { 0 };
        *since = (before + bytes, left.settings);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (bytes, settings) = *self.since.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.room.left();
        if !*self.kept.get_mut() && left.settings == settings {
            left.bytes = left.bytes.map(|left| left + bytes);
        }
    }
}

/// A stream that ends in an error where there is no room for it.
fn taking(stream: ByteStream, taken: Arc<Taken>) -> ByteStream {
    stream::unfold(Some((stream, taken)), |state| async move {
        let (mut stream, taken) = state?;
        let piece = stream.next().await?.and_then(|piece| {
            taken.take(piece.len() as u64)?;
            Ok(piece)
        });
        let next = piece.is_ok().then_some((stream, taken));
        Some((piece, next))
    })
    .fuse()
    .boxed()
}

impl Fault for Room {
    async fn put(
        &self,
        store: &impl Store,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let taken = Arc::new(Taken { room: self.clone(), since: Mutex::default(), kept: false.into() });
        let in_hand = entry.blobs().iter().map(|(_, blob)| match blob {
            PutBlob::Bytes(bytes) => bytes.len() as u64,
            PutBlob::Stream { .. } => 0,
        });
        taken.take(in_hand.sum()).map_err(|error| error.with_key(key))?;
        let entry = restream_put(entry, |stream| taking(stream, Arc::clone(&taken)));
        let outcome = store.put(key, entry, options).await?;
        taken.kept.store(outcome.is_stored(), Ordering::Relaxed);
        Ok(outcome)
    }
}
