//! Copies entries into faster tiers. A promotion that fails costs its caller nothing but the time.

use cache_core::{EntryRead, PutBlob, PutEntry, PutMode, PutOptions};
use tokio::runtime::Handle;

use crate::{key_lock::Ticket, layered::LayeredStore, tee, tier::Tier};

impl LayeredStore {
    /// The tiers faster than tier `hit` that let this entry in.
    pub(crate) fn targets(&self, hit: usize, entry: &EntryRead) -> Vec<Tier> {
        let bytes = entry.blobs.iter().map(|(_, blob)| blob.total_len()).sum();
        let largest = entry.blobs.iter().map(|(_, blob)| blob.total_len()).max().unwrap_or(0);
        self.tiers().iter().take(hit).filter(|tier| tier.admits(bytes, largest)).cloned().collect()
    }

    /// Copies a whole entry, and waits for it. Runs to its end although its caller may not: what a
    /// store began on a blocking thread must not land after the key's lock was given back.
    pub(crate) async fn promote(&self, targets: Vec<Tier>, entry: EntryRead, ticket: Ticket) {
        let store = self.clone();
        let copying = async move { store.copy(targets, entry, ticket).await };
        match Handle::try_current() {
            // A panic of a tier is its own; the read has its answer.
            Ok(handle) => _ = self.tasks().spawn_on(copying, &handle).await,
            Err(_) => copying.await,
        }
    }

    async fn copy(&self, targets: Vec<Tier>, entry: EntryRead, ticket: Ticket) {
        let Some(_alone) = ticket.claim() else { return };
        let mut options = PutOptions::mode(PutMode::Fill);
        options.created = entry.meta.modified;
        let key = entry.meta.key;
        let copy = entry.blobs.into_iter().fold(PutEntry::default(), |copy, (name, blob)| {
            let len = Some(blob.len());
            match blob.bytes().cloned() {
                Some(bytes) => copy.with(name, bytes),
                None => copy.with_blob(name, PutBlob::Stream { len, stream: blob.into_stream() }),
            }
        });
        let (copies, pump) = tee::split(copy, targets.len());
        let puts = targets.iter().zip(copies).map(|(tier, copy)| tier.store.put(&key, copy, options.clone()));
        let ((), outcomes) = futures::join!(pump.run(), futures::future::join_all(puts));
        for outcome in outcomes {
            self.counters().promotion(outcome.is_ok_and(|outcome| outcome.is_stored()));
        }
    }
}
