//! The write path: one write of a key at a time, tier after tier from the fastest to the slowest.
//!
//! In that order a failure leaves the older value intact: the tiers below the one that failed have not
//! been touched, and those above it drop what they took.

use std::sync::Arc;

use cache_core::{
    EntryRead, Error, ErrorKind, GetOptions, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome,
    PutStatus, Refusal, Result,
};
use futures::channel::oneshot;

use crate::{
    layered::LayeredStore,
    tee,
    tier::{Tier, largest_known},
};

/// What each tier did, fastest first.
type Statuses = Vec<(Arc<str>, PutStatus)>;

impl LayeredStore {
    pub(crate) async fn write(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.facts().max_blob_bytes)?;
        let streams = entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
        let (store, key) = (self.clone(), key.clone());
        match (options.mode, streams) {
            (PutMode::Replace, true) => self.write_streams(key, entry, options).await,
            (PutMode::Replace, false) => {
                self.to_its_end("put", async move {
                    let _turn = store.locks().write(&key).await;
                    store.write_through(&key, entry, &options).await
                })
                .await
            }
            // A stream is its source's to drop until its end: it cannot be left to itself.
            (_, true) => {
                let _turn = store.locks().write(&key).await;
                store.write_in_place(&key, entry, options).await
            }
            (_, false) => {
                self.to_its_end("put", async move {
                    let _turn = store.locks().write(&key).await;
                    store.write_in_place(&key, entry, options).await
                })
                .await
            }
        }
    }

    /// Writes a whole entry that is in hand.
    async fn write_through(&self, key: &Key, entry: PutEntry, options: &PutOptions) -> Result<PutOutcome> {
        let largest = largest_known(&entry);
        let (copies, _no_streams) = tee::split(entry, self.tiers().len());
        let mut statuses = Statuses::new();
        for (tier, copy) in self.tiers().iter().zip(copies) {
            let put = if tier.is_too_large(largest) {
                tier.store.evict(key).await.map(|()| PutStatus::Refused(Refusal::PassedOver))
            } else {
                tier.store.put(key, copy.freely(), options.clone()).await.map(|outcome| outcome.status)
            };
            match put {
                Ok(status) => statuses.push((Arc::clone(&tier.name), status)),
                Err(error) => return Err(self.take_back(key, &statuses, tier.failed("put", error)).await),
            }
        }
        Ok(outcome(statuses))
    }

    /// Writes a whole entry that streams in. The tiers read along; the key's turn is taken when the source
    /// has ended, so that a slow one holds nobody up, and from there on the write runs to its end.
    async fn write_streams(&self, key: Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let largest = largest_known(&entry);
        let (copies, pump) = tee::split(entry, self.tiers().len());
        let (ended, source_ended) = oneshot::channel();
        let store = self.clone();
        let commit = self.to_its_end("put", async move {
            let (first_may_end, mut may_end) = oneshot::channel();
            let mut puts = Vec::new();
            for (tier, copy) in store.tiers().iter().zip(copies) {
                let (next_may_end, next) = oneshot::channel();
                let gate = std::mem::replace(&mut may_end, next);
                puts.push(put_behind(tier, &key, copy.hold_ends(gate), &options, largest, next_may_end));
            }
            let turn = async {
                let turn = match source_ended.await {
                    Ok(()) => Some(store.locks().write(&key).await),
                    // The source was dropped, and so will be every put.
                    Err(oneshot::Canceled) => None,
                };
                _ = first_may_end.send(());
                turn
            };
            let (_turn, puts) = futures::join!(turn, futures::future::join_all(puts));
            store.settle(&key, puts).await
        });
        let pumped = async {
            if pump.run().await {
                _ = ended.send(());
            }
        };
        let ((), outcome) = futures::join!(pumped, commit);
        outcome
    }

    /// What a streamed write came to in all tiers.
    async fn settle(&self, key: &Key, puts: Vec<Result<PutStatus>>) -> Result<PutOutcome> {
        let mut statuses = Statuses::new();
        let mut too_large = Vec::new();
        for (tier, put) in self.tiers().iter().zip(puts) {
            match put {
                Ok(status) => statuses.push((Arc::clone(&tier.name), status)),
                // The stream turned out to be over the limit of this tier, which may be its alone.
                Err(error) if error.kind() == ErrorKind::TooLarge && tier.info.max_blob_bytes.is_some() => {
                    statuses.push((Arc::clone(&tier.name), PutStatus::Refused(Refusal::PassedOver)));
                    too_large.push((tier, error));
                }
                Err(error) => return Err(self.take_back(key, &statuses, tier.failed("put", error)).await),
            }
        }
        let answered = statuses.len() - too_large.len();
        for (tier, error) in too_large {
            if answered == 0 {
                return Err(tier.failed("put", error));
            }
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
        }
        Ok(outcome(statuses))
    }

    /// Takes a write that failed further down from the tiers that stored it.
    async fn take_back(&self, key: &Key, statuses: &Statuses, failure: Error) -> Error {
        for tier in self.tiers() {
            let stored =
                statuses.iter().any(|(name, status)| *name == tier.name && *status == PutStatus::Stored);
            if stored && let Err(error) = tier.store.evict(key).await {
                let also = format!("and tier {} could not drop the new value: {error}", tier.name);
                return failure.with_detail(also);
            }
        }
        failure
    }

    /// Adds blobs where the whole entry is, which is the slowest tier that has it. Slower tiers get a whole
    /// copy; faster ones drop theirs, and the next read brings it back to them whole.
    async fn write_in_place(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let home = self.home(key, largest_known(&entry)).await?;
        let mut statuses = Statuses::new();
        // Beforehand, so that nothing old is left in them wherever this ends.
        for tier in self.tiers().iter().take(home) {
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
            statuses.push((Arc::clone(&tier.name), PutStatus::Refused(Refusal::PassedOver)));
        }
        let Some(tier) = self.tiers().get(home) else { return Ok(outcome(statuses)) };
        let put = tier.store.put(key, entry, options).await.map_err(|error| tier.failed("put", error))?;
        statuses.push((Arc::clone(&tier.name), put.status));
        for slower in self.tiers().iter().skip(home + 1) {
            let copied = copy_whole(key, tier, slower).await.map_err(|error| slower.failed("put", error))?;
            statuses.push((Arc::clone(&slower.name), copied));
        }
        Ok(outcome(statuses))
    }

    /// Which tier a merge goes to: the slowest that has the entry, else the slowest that lets the blob in.
    async fn home(&self, key: &Key, largest_blob: u64) -> Result<usize> {
        let too_large = |tier: &Tier| {
            let detail = "the entry's blobs lie in this tier, and the new one is over its limit";
            tier.failed("put", Error::new(ErrorKind::TooLarge, "", "").with_detail(detail))
        };
        let mut admitting = None;
        for (at, tier) in self.tiers().iter().enumerate().rev() {
            let admits = !tier.is_too_large(largest_blob);
            if tier.store.contains(key).await.map_err(|error| tier.failed("put", error))? {
                return if admits { Ok(at) } else { Err(too_large(tier)) };
            }
            if admits {
                admitting = admitting.or(Some(at));
            }
        }
        admitting
            .ok_or_else(|| Error::new(ErrorKind::TooLarge, "", "").with_detail("no tier lets the blob in"))
    }

    /// Takes the entry from every tier; goes on after a failure and reports the first.
    pub(crate) async fn evict_everywhere(&self, key: &Key) -> Result<()> {
        let (store, key) = (self.clone(), key.clone());
        self.to_its_end("evict", async move {
            let _turn = store.locks().write(&key).await;
            let mut evicted = Ok(());
            for tier in store.tiers() {
                let one = tier.store.evict(&key).await.map_err(|error| tier.failed("evict", error));
                evicted = evicted.and(one);
            }
            evicted
        })
        .await
    }
}

/// One tier's part of a streamed write. Lets the next tier's stream end once this one has its entry.
async fn put_behind(
    tier: &Tier,
    key: &Key,
    copy: PutEntry,
    options: &PutOptions,
    largest: u64,
    next_may_end: oneshot::Sender<()>,
) -> Result<PutStatus> {
    let put = if tier.is_too_large(largest) {
        drop(copy);
        tier.store.evict(key).await.map(|()| PutStatus::Refused(Refusal::PassedOver))
    } else {
        tier.store.put(key, copy, options.clone()).await.map(|outcome| outcome.status)
    };
    let too_large = put.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooLarge);
    if put.is_ok() || too_large {
        _ = next_may_end.send(());
    }
    put
}

/// Copies the entry that one tier has into another one, if it has it still.
async fn copy_whole(key: &Key, from: &Tier, to: &Tier) -> Result<PutStatus> {
    let passed_over = PutStatus::Refused(Refusal::PassedOver);
    match from.store.get_entry(key, GetOptions::default()).await? {
        Some(entry) => {
            let mut options = PutOptions::default();
            options.created = entry.meta.modified;
            Ok(to.store.put(key, whole(entry), options).await?.status)
        }
        None => to.store.evict(key).await.map(|()| passed_over),
    }
}

/// What was read, to be written.
pub(crate) fn whole(entry: EntryRead) -> PutEntry {
    entry.blobs.into_iter().fold(PutEntry::default(), |copy, (name, blob)| {
        let len = Some(blob.len());
        match blob.bytes().cloned() {
            Some(bytes) => copy.with(name, bytes),
            None => copy.with_blob(name, PutBlob::Stream { len, stream: blob.into_stream() }),
        }
    })
}

/// Stored if any tier stored it. Why nothing was is best said by the slowest tier that was asked.
fn outcome(tiers: Statuses) -> PutOutcome {
    let passed_over = PutStatus::Refused(Refusal::PassedOver);
    let stored = tiers.iter().any(|(_, status)| *status == PutStatus::Stored);
    let refusal = tiers.iter().rev().map(|(_, status)| *status).find(|status| *status != passed_over);
    let mut outcome = PutOutcome::stored();
    outcome.status = if stored { PutStatus::Stored } else { refusal.unwrap_or(passed_over) };
    outcome.tiers = tiers;
    outcome
}
