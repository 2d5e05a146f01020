//! The write path: one write of a key at a time, tier after tier from the fastest to the slowest.
//!
//! In that order a failure leaves the older value intact: the tiers below the one that failed have not
//! been touched, and those above it drop what they took.
//!
//! A tier for spill gets what the tier above it is too small for, and keeps what it has up to date: so a put that
//! fails, or is lost with the process before a flush, leaves the older value.

use std::sync::Arc;

use cache_core::{
    EntryRead, Error, ErrorKind, GetOptions, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome,
    PutStatus, Refusal, Result,
};
use futures::channel::oneshot;

use crate::{
    WritePolicy,
    gather::gather,
    layered::LayeredStore,
    tee,
    tier::{Tier, known_bytes, largest_known},
};

/// What each tier did, fastest first.
type Statuses = Vec<(Arc<str>, PutStatus)>;

/// Where a merge goes.
enum Home {
    /// To the slowest tier that has the entry.
    Has(usize),
    /// No tier has it: to the slowest that lets the blob in.
    None(usize),
}

impl LayeredStore {
    pub(crate) async fn write(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.facts().max_blob_bytes)?;
        let entry = match self.spilling() {
            // What streams past the tier that evicts cannot be taken back from it.
            Some(spilling) => gather(entry, spilling.most_in_hand(), self.facts().max_blob_bytes).await?,
            None => entry,
        };
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
        let (bytes, largest) = (known_bytes(&entry), largest_known(&entry));
        // Asked before anything is changed.
        let is_below = match self.spilling() {
            Some(spilling) => spilling.is_below(key).await?,
            None => false,
        };
        let replacing = match self.spilling().filter(|_| !is_below) {
            Some(spilling) => spilling.begin_replacing(key),
            None => None,
        };
        let (copies, _no_streams) = tee::split(entry, self.tiers().len());
        let mut statuses = Statuses::new();
        for (tier, copy) in self.tiers().iter().zip(copies) {
            let above = statuses.last().map(|(_, status)| *status);
            let is_too_small = tier.source.is_some() && !tier.admits(bytes, largest);
            let has_nothing =
                tier.write == WritePolicy::Spill && !is_below && above == Some(PutStatus::Stored);
            let put = if is_too_small || has_nothing {
                Ok(PutStatus::Refused(Refusal::PassedOver))
            } else if tier.is_too_large(largest) {
                tier.store.evict(key).await.map(|()| PutStatus::Refused(Refusal::PassedOver))
            } else {
                tier.store.put(key, copy.freely(), options.clone()).await.map(|outcome| outcome.status)
            };
            match put {
                Ok(status) => statuses.push((Arc::clone(&tier.name), status)),
                Err(error) => {
                    let failure = self.take_back(key, &statuses, tier.failed("put", error)).await;
                    if let (Some(spilling), Some((older, _in_limbo))) = (self.spilling(), replacing) {
                        spilling.restore(key, older).await;
                    }
                    return Err(failure);
                }
            }
        }
        self.end_write(key, &statuses).await?;
        Ok(outcome(statuses))
    }

    /// Takes an older value from the tier that was passed over because it evicts, once the newer one is below.
    async fn end_write(&self, key: &Key, statuses: &Statuses) -> Result<()> {
        let Some(spilling) = self.spilling() else { return Ok(()) };
        let stored = |at: usize| statuses.get(at).is_some_and(|(_, status)| *status == PutStatus::Stored);
        if let Some(tier) = self.tiers().get(spilling.source_at()).filter(|_| !stored(spilling.source_at())) {
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
        }
        spilling.wrote(key, !stored(spilling.source_at()) || stored(spilling.below_at()));
        Ok(())
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
        self.end_write(key, &statuses).await?;
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
        let streams = entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
        let home = match (self.home(key, largest_known(&entry)).await?, self.spilling()) {
            (Home::Has(at), Some(spilling)) if at == spilling.source_at() => {
                // Where it cannot be refused for the room of others.
                if spilling.copy_down(key).await? { spilling.below_at() } else { at }
            }
            (Home::None(_), Some(_)) if !streams => {
                let mut whole = options;
                whole.mode = PutMode::Replace;
                return self.write_through(key, entry, &whole).await;
            }
            (Home::Has(at) | Home::None(at), _) => at,
        };
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
            let above = statuses.last().map(|(_, status)| *status);
            if slower.write == WritePolicy::Spill && above == Some(PutStatus::Stored) {
                statuses.push((Arc::clone(&slower.name), PutStatus::Refused(Refusal::PassedOver)));
                continue;
            }
            let copied = copy_whole(key, tier, slower).await.map_err(|error| slower.failed("put", error))?;
            statuses.push((Arc::clone(&slower.name), copied));
        }
        if let Some(spilling) = self.spilling() {
            spilling.wrote(key, home != spilling.source_at());
        }
        Ok(outcome(statuses))
    }

    /// Which tier a merge goes to.
    async fn home(&self, key: &Key, largest_blob: u64) -> Result<Home> {
        let too_large = |tier: &Tier| {
            let detail = "the entry's blobs lie in this tier, and the new one is over its limit";
            tier.failed("put", Error::new(ErrorKind::TooLarge, "", "").with_detail(detail))
        };
        let mut admitting = None;
        for (at, tier) in self.tiers().iter().enumerate().rev() {
            let admits = !tier.is_too_large(largest_blob);
            if tier.store.contains(key).await.map_err(|error| tier.failed("put", error))? {
                return if admits { Ok(Home::Has(at)) } else { Err(too_large(tier)) };
            }
            if admits {
                admitting = admitting.or(Some(at));
            }
        }
        admitting
            .map(Home::None)
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
            if let (Ok(()), Some(spilling)) = (&evicted, store.spilling()) {
                spilling.wrote(&key, true);
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
    let put = if tier.source.is_some() {
        // It is for what is in hand; an older value goes when the newer one is below.
        drop(copy);
        Ok(PutStatus::Refused(Refusal::PassedOver))
    } else if tier.is_too_large(largest) {
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
