//! Writes of a handle.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use futures::FutureExt;
use tokio::time::Instant;

use crate::{
    BlobName, Cache, Digest, ErrorKind, Intent, Key, KeyRef, Operation, PutBlob, PutEntry, PutOptions,
    PutOutcome, Result,
    cache::shared_work::{contained, in_this_chain, settle, settle_ahead},
    flight::{Ahead, Boarded, Entered, Put, PutContent, PutEntered, WriteGuard},
    hook::within,
};

impl Cache {
    /// Makes `bytes` the whole value of `digest`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) over the limit for one blob; else if the store failed. The
    /// older value is intact.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old value or the new one.
    pub async fn put(&self, digest: Digest, bytes: impl Into<Bytes>) -> Result<PutOutcome> {
        let entry = PutEntry::data(bytes);
        self.put_with(digest, entry, PutOptions::default()).await
    }

    /// Writes named blobs at once, in hand or streamed, in any mode. Identical puts of bytes in hand that
    /// are under way at the same time are one write; each of them is counted.
    ///
    /// # Errors
    ///
    /// As [`Store::put`](crate::Store::put).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old entry or the new one.
    pub async fn put_with(&self, digest: Digest, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let key = self.key(digest);
        let (entry, bytes) = entry.counted();
        let begun = Instant::now();
        let put = self.put_entry(&key, entry, options);
        let outcome = if self.hooks().is_empty() {
            put.await
        } else {
            // Boxed: it is large, and most handles have no hooks.
            within(self.hooks(), || Operation::write("put", &key), put).boxed().await
        };
        self.counters().put_took(begun.elapsed());
        self.counters().put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    async fn put_entry(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        match in_hand(&entry) {
            Some(blobs) => self.put_shared(key, PutContent { options, blobs }).await,
            None => self.put_alone(key, entry, options).boxed().await,
        }
    }

    async fn put_alone(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (_writing, ahead) = self.flights().write(key);
        settle_ahead(self.tasks(), ahead).await;
        self.store().put(key, entry, options).await
    }

    async fn put_shared(&self, key: &Key, content: PutContent) -> Result<PutOutcome> {
        let boarded = self.board_put(key, &Arc::new(content));
        let outcome = settle(self.tasks(), boarded.ticket, false).await;
        if !boarded.led {
            self.counters().coalesced();
        }
        outcome
    }

    fn board_put(&self, key: &Key, content: &Arc<PutContent>) -> Boarded<Put> {
        let mut seen = Vec::new();
        loop {
            let entered = self.flights().put(key, content, &seen, |entered, writing, ahead| {
                let work = LedPut { entered, writing, ahead };
                in_this_chain(self.clone().lead_put(work, key.clone(), Arc::clone(content)))
            });
            match entered {
                PutEntered::Boarded(boarded) => return boarded,
                PutEntered::Compare { id, content: other } => {
                    // The bytes are compared outside the lock.
                    if other == *content
                        && let Some(boarded) = self.flights().join_put(key, id)
                    {
                        return boarded;
                    }
                    seen.push(id);
                }
            }
        }
    }

    async fn lead_put(self, work: LedPut, key: Key, content: Arc<PutContent>) -> Put {
        let LedPut { entered: _entered, writing: _writing, ahead } = work;
        settle_ahead(self.tasks(), ahead).await;
        let blobs = content.blobs.iter().cloned();
        let entry = blobs.fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes));
        let put = async { self.store().put(&key, entry, content.options.clone()).await };
        contained(ErrorKind::Internal, put)
            .await
            .map_err(|error| if error.store().is_empty() { error.at(self.info().kind, "put") } else { error })
    }

    /// Removes the entry; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// As [`contains`](Self::contains); the entry may still be there.
    ///
    /// # Cancel safety
    ///
    /// The entry is afterwards there as a whole or gone as a whole.
    pub async fn evict(&self, digest: impl Into<KeyRef>) -> Result<()> {
        let digest = digest.into();
        let evict = async {
            match self.resolve(digest, "evict").await? {
                Some(key) => self.evict_key(&key).await,
                None => Ok(()),
            }
        };
        within(self.hooks(), || self.operation("evict", digest, Intent::Write), evict).await
    }

    pub(crate) async fn evict_key(&self, key: &Key) -> Result<()> {
        let (_writing, ahead) = self.flights().write(key);
        settle_ahead(self.tasks(), ahead).await;
        self.store().evict(key).await?;
        self.counters().removal();
        Ok(())
    }
}

/// What the work of a shared put holds while it lasts.
struct LedPut {
    entered: Entered,
    writing: WriteGuard,
    ahead: Ahead,
}

/// The blobs of an entry, if none of them streams.
fn in_hand(entry: &PutEntry) -> Option<Vec<(BlobName, Bytes)>> {
    let bytes = |(name, blob): &(BlobName, PutBlob)| match blob {
        PutBlob::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        PutBlob::Stream { .. } => None,
    };
    entry.blobs().iter().map(bytes).collect()
}

#[cfg(test)]
mod tests;
