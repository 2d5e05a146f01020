//! The write path: collect what streams in under a reservation, then make it visible in one step.

use bytes::Bytes;
use cache_core::{
    Error, ErrorKind, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, Refusal, Result,
};
use futures::TryStreamExt;

use crate::{
    MemoryStore,
    engine::{Gone, Held},
};

impl MemoryStore {
    /// What a refused put leaves: nothing under its key, unless it was a fill.
    fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> PutOutcome {
        if mode != PutMode::Fill {
            let mut gone = Gone::default();
            self.engine().remove(key, &mut gone);
        }
        PutOutcome::refused(reason)
    }

    pub(crate) async fn put_entry(
        &self,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<(PutOutcome, u64)> {
        let limits = &self.0.options;
        entry.check(limits.max_blob_bytes)?;
        if let Some(reason) = entry.refusal(limits.max_bytes) {
            return Ok((self.refuse(key, options.mode, reason), 0));
        }
        let mut reservation = Reservation { store: self, key, bytes: 0 };
        let now = self.0.clock.now();
        let created = options.created.unwrap_or(now);
        let mut blobs = Vec::new();
        for (name, blob) in entry.into_blobs() {
            let bytes = match blob {
                PutBlob::Bytes(bytes) => bytes,
                blob @ PutBlob::Stream { .. } => {
                    let mut stream = blob.into_checked_stream(&name, limits.max_blob_bytes);
                    let mut collected = Vec::new();
                    while let Some(piece) = stream.try_next().await? {
                        if let Err(reason) = reservation.grow(piece.len() as u64) {
                            return Ok((self.refuse(key, options.mode, reason), 0));
                        }
                        // By an eighth at a time: what doubles its room takes up to twice what is counted.
                        if collected.capacity() - collected.len() < piece.len() {
                            collected.reserve_exact(piece.len().max(collected.len() / 8));
                        }
                        collected.extend_from_slice(&piece);
                    }
                    // Without the spare room that the vector grew: what is held is what is counted.
                    Bytes::from(collected.into_boxed_slice())
                }
            };
            blobs.push((name, Held { bytes, created }));
        }
        let total = blobs.iter().map(|(_, held)| held.bytes.len() as u64).sum();
        let mut gone = Gone::default();
        let put = {
            let mut engine = self.engine();
            engine.release(std::mem::take(&mut reservation.bytes));
            // A put that began before `close` must not bring anything back after it.
            if self.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "memory", "put"));
            }
            engine.put(key, blobs, options.mode, now, &mut gone)
        };
        self.settle(gone);
        Ok(match put {
            Ok(()) => (PutOutcome::stored(), total),
            Err(reason) => (PutOutcome::refused(reason), 0),
        })
    }
}

/// Bytes of a stream on their way in; given back when dropped.
struct Reservation<'a> {
    store: &'a MemoryStore,
    key: &'a Key,
    bytes: u64,
}

impl Reservation<'_> {
    fn grow(&mut self, by: u64) -> Result<(), Refusal> {
        if self.store.0.options.max_bytes.is_some_and(|max| self.bytes.saturating_add(by) > max) {
            return Err(Refusal::OverBudget);
        }
        let mut gone = Gone::default();
        let granted = self.store.engine().reserve(by, self.key, &mut gone);
        self.store.settle(gone);
        if !granted {
            return Err(Refusal::NoRoom);
        }
        self.bytes += by;
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.store.engine().release(self.bytes);
        }
    }
}
