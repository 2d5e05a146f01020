//! Puts and evictions: into the queue, or past it in the key's turn.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::{
    BlobName, ErrorKind, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, PutStatus, Refusal, Result,
};
use futures::{FutureExt, channel::oneshot};
use tokio::runtime::Handle;

use super::{
    Shared,
    word::{Held, What},
};
use crate::{WhenFull, layered::to_its_end, tee};

fn streams(entry: &PutEntry) -> bool {
    entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }))
}

fn in_hand(entry: &PutEntry) -> impl Iterator<Item = (BlobName, Bytes)> {
    entry.blobs().iter().filter_map(|(name, blob)| match blob {
        PutBlob::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        PutBlob::Stream { .. } => None,
    })
}

impl Shared {
    pub(super) fn hold(
        &self,
        blobs: impl IntoIterator<Item = (BlobName, Bytes)>,
        options: &PutOptions,
    ) -> What {
        What::Put(Arc::new(Held::new(blobs, options.created, self.clock.now())))
    }

    /// Takes a word in, if there is room and somebody to write it.
    pub(super) fn owe(self: &Arc<Self>, key: &Key, what: What, has_room: bool) -> bool {
        if Handle::try_current().is_err() {
            return false;
        }
        let accepted = {
            let mut queue = self.queue();
            let is_accepted = !queue.closed && (has_room || queue.has_room(key, &what));
            if is_accepted {
                queue.accept(key, what);
            }
            is_accepted
        };
        if accepted {
            self.drain();
            // It may have replaced a larger one.
            self.freed.notify_waiters();
        }
        accepted
    }

    pub(super) async fn put(
        self: &Arc<Self>,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        entry
            .check(self.info.max_blob_bytes)
            .map_err(|error| error.at(self.info.kind.clone(), "put").with_key(key))?;
        let is_replacing = options.mode == PutMode::Replace;
        if is_replacing && streams(&entry) {
            return self.put_stream(key.clone(), entry, options).await;
        }
        // What the tier refuses it is to refuse itself, and to drop the older value.
        let is_refused = entry.refusal(self.info.max_bytes).is_some();
        if self.is_behind && is_replacing && !is_refused {
            let what = self.hold(in_hand(&entry), &options);
            if what.cost(key) <= self.options.queue_bytes {
                return self.put_in_queue(key, what).await;
            }
        }
        let is_stream = streams(&entry);
        let (shared, put_key) = (Arc::clone(self), key.clone());
        let put = async move { shared.put_past(&put_key, entry, options).await };
        // A stream is its source's to drop until its end: it cannot be left to itself.
        if is_stream { put.await } else { to_its_end(&self.tasks, "put", put).await }
    }

    async fn put_in_queue(self: &Arc<Self>, key: &Key, what: What) -> Result<PutOutcome> {
        if Handle::try_current().is_err() {
            let error = self.error(ErrorKind::Unsupported, "put").with_key(key);
            return Err(error.with_detail("a tier that is written behind needs a tokio runtime"));
        }
        let mut outcome = PutOutcome::stored();
        outcome.status = PutStatus::Queued;
        match self.options.when_full {
            WhenFull::Refuse => {
                if self.owe(key, what, false) {
                    return Ok(outcome);
                }
                self.open_for("put")?;
                self.drop_older(key).await?;
                self.tally.dropped();
                Ok(PutOutcome::refused(Refusal::NoRoom))
            }
            WhenFull::Wait => self.wait_for_room(key, what).await.map(|()| outcome),
        }
    }

    /// Has nothing found under the key any more.
    async fn drop_older(self: &Arc<Self>, key: &Key) -> Result<()> {
        let hidden = self.queue().hide(key);
        if !hidden {
            return self.evict(key).await;
        }
        self.freed.notify_waiters();
        self.drain();
        Ok(())
    }

    async fn wait_for_room(self: &Arc<Self>, key: &Key, what: What) -> Result<()> {
        if let Ok(_first) = self.door.try_lock()
            && self.owe(key, what.clone(), false)
        {
            return Ok(());
        }
        let room = async {
            // One after another, so that many small ones do not keep a large one out for ever.
            let _first = self.door.lock().await;
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                self.open_for("put").map_err(|error| error.with_key(key))?;
                if self.owe(key, what.clone(), false) {
                    return Ok(());
                }
                freed.await;
            }
        };
        let Some(deadline) = self.options.deadline else { return room.await };
        tokio::time::timeout(deadline, room).await.unwrap_or_else(|_| {
            let error = self.error(ErrorKind::Timeout, "put").with_key(key);
            Err(error.with_detail(format!("there was no room in the queue for {deadline:?}")))
        })
    }

    /// Puts into the tier itself what does not stream as a whole.
    async fn put_past(
        self: Arc<Self>,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let _turn = self.locks.write(key).await;
        let is_replacing = options.mode == PutMode::Replace;
        if !is_replacing {
            // It adds to what is there.
            self.write_word(key).await?;
        }
        let newest = self.queue().newest();
        let outcome = self.inner.put(key, entry, options).await?;
        // What came since a merge began goes on top of it.
        self.supersede(key, if is_replacing { newest } else { 0 });
        Ok(outcome)
    }

    /// Puts into the tier itself what streams. The key's turn is taken when the source has ended, so that a slow one
    /// holds nobody up, and from there on the put runs to its end.
    async fn put_stream(
        self: &Arc<Self>,
        key: Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let (mut copies, pump) = tee::split(entry, 1);
        let Some(copy) = copies.pop() else { return Err(self.error(ErrorKind::Internal, "put")) };
        let (ended, source_ended) = oneshot::channel();
        let shared = Arc::clone(self);
        let had_word = self.queue().word(&key).is_some();
        let commit = to_its_end(&self.tasks, "put", async move {
            let (may_end, gate) = oneshot::channel();
            let put = shared.inner.put(&key, copy.hold_ends(gate.shared()), options);
            let turn = async {
                // A source that failed or was dropped fails the put.
                source_ended.await.ok()?;
                let turn = shared.locks.write(&key).await;
                let newest = shared.queue().newest();
                _ = may_end.send(());
                Some((turn, newest))
            };
            let (put, turn) = futures::join!(put, turn);
            let outcome = put?;
            let (_turn, newest) = match turn {
                Some(turn) => turn,
                // Refused without a look at how the source ends.
                None => (shared.locks.write(&key).await, shared.queue().newest()),
            };
            if had_word && !outcome.is_stored() {
                // The older value may have come to the tier after it had refused this one.
                shared.inner.evict(&key).await?;
            }
            shared.supersede(&key, newest);
            Ok(outcome)
        });
        let pumped = async {
            if pump.run().await {
                _ = ended.send(());
            }
        };
        let ((), outcome) = futures::join!(pumped, commit);
        outcome
    }

    /// The tier has what came after the words up to `newest`, and so is well. The key's turn is taken.
    fn supersede(self: &Arc<Self>, key: &Key, newest: u64) {
        {
            let mut queue = self.queue();
            queue.supersede(key, newest);
            queue.found_well();
        }
        self.freed.notify_waiters();
        self.drain();
    }

    /// Takes the entry from queue and tier. Once it has begun it runs to its end.
    pub(super) async fn evict(self: &Arc<Self>, key: &Key) -> Result<()> {
        let (shared, key) = (Arc::clone(self), key.clone());
        to_its_end(&self.tasks, "evict", async move {
            let _turn = shared.locks.write(&key).await;
            // A put that waits gives way to a word that has reads find nothing: if the tier cannot evict, it may have
            // a value that is older than the put, and that must not come back.
            let newest = {
                let mut queue = shared.queue();
                queue.hide(&key);
                queue.newest()
            };
            let evicted = shared.inner.evict(&key).await;
            match evicted {
                Ok(()) => shared.supersede(&key, newest),
                Err(_) => {
                    shared.freed.notify_waiters();
                    shared.drain();
                }
            }
            evicted
        })
        .await
    }
}
