//! A put that is in hand, tier after tier.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::{
    BlobName, Error, ErrorKind, Key, PutBlob, PutEntry, PutOptions, PutOutcome, PutStatus, Refusal, Result,
};

use crate::{
    Quorum, WritePolicy,
    flush::adding,
    layered::LayeredStore,
    quorum::Spare,
    tee,
    tier::{Tier, known_bytes, largest_known},
    write::Statuses,
};

/// What a tier is owed that failed, where the write goes on.
enum Owed<'a> {
    Put(&'a Tier),
    Eviction(&'a Tier),
}

impl LayeredStore {
    /// Writes a whole entry that is in hand. The key's turn is taken.
    pub(crate) async fn write_through(
        &self,
        key: &Key,
        entry: PutEntry,
        options: &PutOptions,
    ) -> Result<PutOutcome> {
        let (bytes, largest) = (known_bytes(&entry), largest_known(&entry));
        // Asked before anything is changed.
        let (may_come_below, is_below) = match self.spilling() {
            Some(spilling) => (spilling.may_come_below(key), spilling.is_below(key).await?),
            None => (false, false),
        };
        let replacing = match self.spilling().filter(|_| !is_below) {
            Some(spilling) => spilling.begin_replacing(key),
            None => None,
        };
        let tiers = self.written_tiers();
        let owed = if self.quorum() == Quorum::All { Vec::new() } else { in_hand(&entry) };
        let (copies, _no_streams) = tee::split(entry, tiers.len());
        let spare = Spare::of(tiers, self.quorum());
        let (mut statuses, mut failed, mut unread) = (Statuses::new(), Vec::new(), None);
        for (at, (tier, copy)) in tiers.iter().zip(copies).enumerate() {
            let above = statuses.last().map(|(_, status)| *status);
            let is_too_small = tier.source.is_some() && !tier.admits(bytes, largest);
            let has_nothing = tier.options.write == WritePolicy::Spill
                && !(is_below || may_come_below)
                && above == Some(PutStatus::Stored);
            let passed_over = PutStatus::Refused(Refusal::PassedOver);
            let is_for_others = tier.is_too_large(largest) || tier.is_entry_too_large(bytes);
            let put = if is_too_small || has_nothing {
                Ok(passed_over)
            } else if is_for_others {
                tier.store.evict(key).await.map(|()| passed_over)
            } else {
                tier.store.put(key, copy.freely(), options.clone()).await.map(|outcome| outcome.status)
            };
            match put {
                Ok(status) => statuses.push((Arc::clone(&tier.name), status)),
                Err(error) if is_for_others && spare.covers(tier, &error) && tier.has_room(key, &[]) => {
                    statuses.push((Arc::clone(&tier.name), passed_over));
                    failed.push(Owed::Eviction(tier));
                }
                // Before anything slower is touched: whoever fails has the older value.
                Err(error) if !is_for_others && spare.covers(tier, &error) && tier.has_room(key, &owed) => {
                    statuses.push((Arc::clone(&tier.name), PutStatus::Failed(error.kind())));
                    failed.push(Owed::Put(tier));
                }
                // All that is read has the newer value by now, and none the older one.
                Err(error) if at >= self.kept_tiers().len() => {
                    statuses.push((Arc::clone(&tier.name), PutStatus::Failed(error.kind())));
                    unread = unread.or(Some(tier.failed("put", error)));
                }
                Err(error) => {
                    let failure = self.take_back(key, &statuses, tier.failed("put", error)).await;
                    if let (Some(spilling), Some((older, _in_limbo))) = (self.spilling(), replacing) {
                        spilling.restore(key, older).await;
                    }
                    return Err(failure);
                }
            }
        }
        for owes in failed {
            match owes {
                Owed::Put(tier) => tier.owe_put(key, &owed, options),
                Owed::Eviction(tier) => tier.owe_evict(key),
            }
        }
        self.end_write(key, &statuses).await?;
        unread.map_or_else(|| Ok(self.outcome(statuses)), Err)
    }

    /// Takes a write that failed further down from the tiers that took it.
    pub(crate) async fn take_back(&self, key: &Key, statuses: &Statuses, failure: Error) -> Error {
        let mut keep_it = Vec::new();
        for tier in self.written_tiers() {
            let has_it = statuses.iter().any(|(name, status)| *name == tier.name && status.is_visible());
            if has_it && let Err(error) = tier.store.evict(key).await {
                keep_it.push(format!("tier {} could not drop the new value: {error}", tier.name));
            }
        }
        if keep_it.is_empty() { failure } else { adding(failure, &keep_it.join("; ")) }
    }
}

/// The bytes of an entry that is in hand.
fn in_hand(entry: &PutEntry) -> Vec<(BlobName, Bytes)> {
    let in_hand = |(name, blob): &(BlobName, PutBlob)| match blob {
        PutBlob::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        PutBlob::Stream { .. } => None,
    };
    entry.blobs().iter().filter_map(in_hand).collect()
}

/// Whether the limits of this tier alone are what a stream turned out to be over.
pub(crate) fn is_over_own_limit(tier: &Tier, error: &Error) -> bool {
    let has_limits = tier.info.max_blob_bytes.is_some() || tier.options.max_entry_bytes.is_some();
    error.kind() == ErrorKind::TooLarge && has_limits
}
