//! The write path: one write of a key at a time, tier after tier from the fastest to the slowest.
//!
//! In that order a failure leaves the older value intact: the tiers below the one that failed have not
//! been touched, and those above it drop what they took.
//!
//! A tier for spill gets what the tier above it is too small for, and keeps what it has up to date: so a put that
//! fails, or is lost with the process before a flush, leaves the older value.

use std::sync::Arc;

use cache_core::{
    Blob, BlobName, EntryRead, Error, ErrorKind, GetOptions, Key, PutBlob, PutEntry, PutMode, PutOptions,
    PutOutcome, PutStatus, Refusal, Result,
};

use crate::{
    WritePolicy,
    gather::gather,
    layered::LayeredStore,
    quorum::Spare,
    tier::{Tier, known_bytes, largest_known},
};

/// What each tier did, fastest first.
pub(crate) type Statuses = Vec<(Arc<str>, PutStatus)>;

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
        let mut options = options;
        if options.mode == PutMode::Replace {
            // The tiers agree on when it was made.
            options.created.get_or_insert_with(|| self.now());
        }
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
                    let _turn = store.locks().put(&key).await;
                    store.write_through(&key, entry, &options).await
                })
                .await
            }
            // A stream is its source's to drop until its end: it cannot be left to itself.
            (_, true) => {
                let _turn = store.locks().put(&key).await;
                store.write_in_place(&key, entry, options).await
            }
            (_, false) => {
                self.to_its_end("put", async move {
                    let _turn = store.locks().put(&key).await;
                    store.write_in_place(&key, entry, options).await
                })
                .await
            }
        }
    }

    /// Takes an older value from the tier that was passed over because it evicts, once the newer one is below.
    pub(crate) async fn end_write(&self, key: &Key, statuses: &Statuses) -> Result<()> {
        let Some(spilling) = self.spilling() else { return Ok(()) };
        let stored = |at: usize| statuses.get(at).is_some_and(|(_, status)| *status == PutStatus::Stored);
        if let Some(tier) = self.tiers().get(spilling.source_at()).filter(|_| !stored(spilling.source_at())) {
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
        }
        spilling.wrote(key, !stored(spilling.source_at()) || stored(spilling.below_at()));
        Ok(())
    }

    /// Adds blobs where the whole entry is, which is the slowest tier that has it. Slower tiers get a whole
    /// copy; faster ones drop theirs, and the next read brings it back to them whole.
    async fn write_in_place(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let streams = entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
        let home = match (self.home(key, known_bytes(&entry), largest_known(&entry)).await?, self.spilling())
        {
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
        let tiers = self.written_tiers();
        let mut statuses = Statuses::new();
        let spare = Spare::of(tiers, self.quorum());
        // Beforehand, so that nothing old is left in them wherever this ends.
        for tier in tiers.iter().take(home) {
            match tier.store.evict(key).await {
                Ok(()) => {}
                // What it has is not to be read from now on.
                Err(error) if spare.covers(tier, &error) && tier.has_room(key, &[]) => tier.owe_evict(key),
                Err(error) => return Err(tier.failed("put", error)),
            }
            statuses.push((Arc::clone(&tier.name), PutStatus::Refused(Refusal::PassedOver)));
        }
        let Some(tier) = tiers.get(home) else { return Ok(self.outcome(statuses)) };
        let put = tier.store.put(key, entry, options).await.map_err(|error| tier.failed("put", error))?;
        statuses.push((Arc::clone(&tier.name), put.status));
        if let Some(spilling) = self.spilling() {
            spilling.wrote(key, home != spilling.source_at());
        }
        for slower in tiers.iter().skip(home + 1) {
            let above = statuses.last().map(|(_, status)| *status);
            let is_for_spill = slower.options.write == WritePolicy::Spill && above == Some(PutStatus::Stored);
            // What was refused is nowhere: those below have neither it nor what was there.
            let status = if is_for_spill || !put.status.is_visible() {
                PutStatus::Refused(Refusal::PassedOver)
            } else {
                match copy_whole(key, tier, slower).await {
                    Err(error) if spare.covers(slower, &error) && owe_whole(key, tier, slower).await => {
                        PutStatus::Failed(error.kind())
                    }
                    copied => copied.map_err(|error| slower.failed("put", error))?,
                }
            };
            statuses.push((Arc::clone(&slower.name), status));
        }
        Ok(self.outcome(statuses))
    }

    /// Stored if any tier that is read stored it, else queued if one is to get it. Why nothing was is best said by the
    /// slowest tier that was asked.
    pub(crate) fn outcome(&self, tiers: Statuses) -> PutOutcome {
        let passed_over = PutStatus::Refused(Refusal::PassedOver);
        let read = tiers.iter().take(self.kept_tiers().len()).map(|(_, status)| *status);
        let is_telling =
            |status: &PutStatus| matches!(status, PutStatus::Refused(_)) && *status != passed_over;
        // Who failed is owed it, and reads find it there.
        let is_owed = |status: PutStatus| matches!(status, PutStatus::Queued | PutStatus::Failed(_));
        let mut outcome = PutOutcome::stored();
        outcome.status = if read.clone().any(|status| status == PutStatus::Stored) {
            PutStatus::Stored
        } else if read.clone().any(is_owed) {
            PutStatus::Queued
        } else {
            read.rev().find(is_telling).unwrap_or(passed_over)
        };
        outcome.tiers = tiers;
        outcome
    }

    /// Which tier a merge goes to.
    async fn home(&self, key: &Key, bytes: u64, largest_blob: u64) -> Result<Home> {
        let too_large = |tier: &Tier| {
            let detail = "the entry lies in this tier, and what is added is over its limits";
            tier.failed("put", Error::new(ErrorKind::TooLarge, "", "").with_detail(detail))
        };
        let mut admitting = None;
        for (at, tier) in self.kept_tiers().iter().enumerate().rev() {
            // What waits there may be lost when it is written, and then the entry is elsewhere.
            tier.settle(key).await.map_err(|error| tier.failed("put", error))?;
            let admits = !tier.is_too_large(largest_blob) && !tier.is_entry_too_large(bytes);
            if tier.options.max_entry_bytes.is_some() && admits {
                // What is added counts with what is there.
                let there = tier.store.meta(key).await.map_err(|error| tier.failed("put", error))?;
                let there = there.map_or(0, |meta| meta.counted_bytes());
                if tier.is_entry_too_large(bytes.saturating_add(there)) {
                    return Err(too_large(tier));
                }
            }
            if tier.store.contains(key).await.map_err(|error| tier.failed("put", error))? {
                return if admits { Ok(Home::Has(at)) } else { Err(too_large(tier)) };
            }
            if admits {
                admitting = admitting.or(Some(at));
            }
        }
        let Some(at) = admitting else {
            return Err(Error::new(ErrorKind::TooLarge, "", "").with_detail("no tier lets the blob in"));
        };
        Ok(if self.bring_up(key, at).await? { Home::Has(at) } else { Home::None(at) })
    }

    /// Has the entry of a tier that is never written in tier `at`, where it can be merged into: whether it is there.
    async fn bring_up(&self, key: &Key, at: usize) -> Result<bool> {
        let never = self.tiers().last().filter(|tier| tier.options.write == WritePolicy::Never);
        let (Some(from), Some(to)) = (never, self.tiers().get(at)) else { return Ok(false) };
        if !from.store.contains(key).await.map_err(|error| from.failed("put", error))? {
            return Ok(false);
        }
        let copied = copy_whole(key, from, to).await.map_err(|error| to.failed("put", error))?;
        Ok(copied.is_visible())
    }

    /// Takes the entry from every tier, if it is due when its turn has come: whether it was. Goes on after a failure
    /// and reports the first.
    pub(crate) async fn evict_everywhere(
        &self,
        key: &Key,
        is_due: impl FnOnce(&Key) -> bool + Send + 'static,
    ) -> Result<bool> {
        let (store, key) = (self.clone(), key.clone());
        self.to_its_end("evict", async move {
            let _turn = store.locks().write(&key).await;
            if !is_due(&key) {
                return Ok(false);
            }
            let spare = Spare::of(store.written_tiers(), store.quorum());
            let mut evicted = Ok(());
            for tier in store.written_tiers() {
                let one = match tier.store.evict(&key).await {
                    Err(error) if spare.covers(tier, &error) && tier.has_room(&key, &[]) => {
                        tier.owe_evict(&key);
                        Ok(())
                    }
                    one => one.map_err(|error| tier.failed("evict", error)),
                };
                evicted = evicted.and(one);
            }
            if let (Ok(()), Some(spilling)) = (&evicted, store.spilling()) {
                spilling.wrote(&key, true);
            }
            evicted.map(|()| true)
        })
        .await
    }
}

/// Copies the entry that one tier has into another one, if it has it still.
async fn copy_whole(key: &Key, from: &Tier, to: &Tier) -> Result<PutStatus> {
    let passed_over = PutStatus::Refused(Refusal::PassedOver);
    match from.store.get_entry(key, GetOptions::default()).await? {
        Some(entry) if to.is_entry_too_large(bytes_of(&entry)) || to.is_too_large(largest_of(&entry)) => {
            to.store.evict(key).await.map(|()| passed_over)
        }
        Some(entry) => {
            let mut options = PutOptions::default();
            options.created = entry.meta.modified;
            Ok(to.store.put(key, whole(entry), options).await?.status)
        }
        None => to.store.evict(key).await.map(|()| passed_over),
    }
}

fn bytes_of(entry: &EntryRead) -> u64 {
    entry.blobs.iter().map(|(_, blob)| blob.total_len()).fold(0, u64::saturating_add)
}

fn largest_of(entry: &EntryRead) -> u64 {
    entry.blobs.iter().map(|(_, blob)| blob.total_len()).max().unwrap_or(0)
}

/// Owes a tier the entry that another one has, if that is in hand: whether it will get it.
async fn owe_whole(key: &Key, from: &Tier, to: &Tier) -> bool {
    let Ok(Some(entry)) = from.store.get_entry(key, GetOptions::default()).await else { return false };
    let in_hand = |(name, blob): &(BlobName, Blob)| Some((name.clone(), blob.bytes()?.clone()));
    let blobs: Option<Vec<_>> = entry.blobs.iter().map(in_hand).collect();
    let mut options = PutOptions::default();
    options.created = entry.meta.modified;
    match blobs {
        Some(blobs) if to.has_room(key, &blobs) => {
            to.owe_put(key, &blobs, &options);
            true
        }
        _ => false,
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
