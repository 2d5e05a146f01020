use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, CleanPolicy, FlushReport, GetOptions, Key, KeyManagement, ListOptions, Namespace,
    PutEntry, PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo,
};
use futures::TryStreamExt;

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore, Setup};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "cuts_above_eight_mebibytes",
        fault: "Of a blob over 8 MiB the rest is missing.",
        killed_by: &["large_blob_round_trips", "blobs_around_eight_mebibytes_round_trip"],
        fresh: Reference::default,
        open: |reference, setup| twisted(Cuts(reference.store(setup)?, |len| len.min(8 << 20))),
    },
    Mutant {
        id: "cuts_full_blocks",
        fault: "A blob that ends with a block lacks its last byte.",
        killed_by: &[
            "blobs_around_block_borders_round_trip",
            "streamed_put_round_trips",
            "entry_as_large_as_the_budget_is_stored",
        ],
        fresh: Reference::default,
        open: |reference, setup| {
            let cut = |len: u64| if len.is_multiple_of(65_536) { len.saturating_sub(1) } else { len };
            twisted(Cuts(reference.store(setup)?, cut))
        },
    },
    Mutant {
        id: "evicts_equal_bytes",
        fault: "Equal entries are stored once, and an eviction of one takes the others.",
        killed_by: &["equal_bytes_are_separate_entries"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EvictsEqualBytes(reference.store(setup)?)),
    },
    Mutant {
        id: "forgets_bytes_over_a_restart",
        fault: "What was there when it was opened does not count towards the budget.",
        killed_by: &["budget_holds_over_a_restart"],
        fresh: Reference::default,
        open: |reference, setup| {
            let store = reference.store(&Setup { max_bytes: None, ..setup.clone() })?;
            twisted(ForgetsBytesOverARestart(store, setup.clone(), Mutex::default()))
        },
    },
    Mutant {
        id: "keeps_64_blobs",
        fault: "Of more than 64 blobs in a put the rest is lost.",
        killed_by: &["entry_of_a_hundred_blobs_round_trips"],
        fresh: Reference::default,
        open: |reference, setup| twisted(Keeps64Blobs(reference.store(setup)?)),
    },
    Mutant {
        id: "makes_room_before_it_refuses",
        fault: "A put that is too large evicts others before it is refused.",
        killed_by: &["refused_put_evicts_no_other_entry", "entry_over_the_budget_is_refused"],
        fresh: Reference::default,
        open: |reference, setup| twisted(MakesRoomBeforeItRefuses(reference.store(setup)?)),
    },
    Mutant {
        id: "refuses_what_fills_the_budget",
        fault: "An entry as large as the budget is refused.",
        killed_by: &["entry_as_large_as_the_budget_is_stored", "budget_of_one_byte_is_kept"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RefusesWhatFillsTheBudget(reference.store(setup)?)),
    },
    Mutant {
        id: "wastes_what_is_overwritten",
        fault: "Bytes that were overwritten go on counting towards the budget.",
        killed_by: &["overwriting_evicts_no_other_entry", "freed_bytes_can_be_used_again"],
        fresh: Reference::default,
        open: |reference, setup| twisted(WastesWhatIsOverwritten(reference.store(setup)?, AtomicU64::new(0))),
    },
];

twist! { Cuts(fn(u64) -> u64) {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options.clone()).await? else { return Ok(None) };
        let (total, cut) = (found.total_len(), (self.1)(found.total_len()));
        if cut == total || options.range.is_some() {
            return Ok(Some(found));
        }
        let mut bytes = found.collect(u64::MAX).await?;
        bytes.truncate(usize::try_from(cut).unwrap_or(usize::MAX));
        Ok(Some(Blob::from_bytes(bytes)))
    }
} }

twist! { EvictsEqualBytes {
    async fn evict(&self, key: &Key) -> Result<()> {
        let bytes = self.0.peek_blob(key, &BlobName::DATA).or_else(|| self.0.peek_blob(key, &BlobName::new("a").ok()?));
        self.0.evict(key).await?;
        let mut listing = self.0.list(ListOptions::default().recursive());
        while let Some(entry) = listing.try_next().await? {
            let names = entry.blobs.iter().map(|blob| &blob.name);
            if names.map(|name| self.0.peek_blob(&entry.key, name)).any(|found| found.is_some() && found == bytes) {
                self.0.evict(&entry.key).await?;
            }
        }
        Ok(())
    }
} }

twist! { ForgetsBytesOverARestart(Setup, Mutex<Option<u64>>) {
    fn info(&self) -> StoreInfo {
        self.0.info().with_max_bytes(self.1.max_bytes)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if let Some(reason) = entry.refusal(self.1.max_bytes) {
            return Ok(PutOutcome::refused(reason));
        }
        self.keep_budget().await?;
        let outcome = self.0.put(key, entry, options).await?;
        self.keep_budget().await?;
        Ok(outcome)
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.keep_budget().await?;
        self.0.flush().await
    }
} }

impl ForgetsBytesOverARestart {
    async fn keep_budget(&self) -> Result<()> {
        let Some(max) = self.1.max_bytes else { return Ok(()) };
        let held = self.0.usage(&Namespace::root()).await?.bytes;
        let at_open = *self.2.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(held);
        let policy = CleanPolicy::default().with_max_bytes(max + at_open);
        self.0.clean(&Namespace::root(), &policy).await.map(drop)
    }
}

twist! { Keeps64Blobs {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.0.info().max_blob_bytes)?;
        let some = entry.into_blobs().into_iter().take(64);
        let some = some.fold(PutEntry::default(), |entry, (name, blob)| entry.with_blob(name, blob));
        self.0.put(key, some, options).await
    }
} }

twist! { MakesRoomBeforeItRefuses {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if let (Some(max), Some(bytes)) = (self.0.info().max_bytes, entry.known_bytes()) {
            let policy = CleanPolicy::default().with_max_bytes(max.saturating_sub(bytes));
            self.0.clean(&Namespace::root(), &policy).await?;
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { RefusesWhatFillsTheBudget {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if entry.known_bytes().is_some_and(|bytes| Some(bytes) == self.0.info().max_bytes) {
            self.0.evict(key).await?;
            return Ok(PutOutcome::refused(Refusal::OverBudget));
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { WastesWhatIsOverwritten(AtomicU64) {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let old = self.0.meta(key).await?.and_then(|meta| meta.bytes).unwrap_or(0);
        let outcome = self.0.put(key, entry, options).await?;
        let wasted = self.1.fetch_add(old, Ordering::SeqCst) + old;
        if let Some(max) = self.0.info().max_bytes {
            let policy = CleanPolicy::default().with_max_bytes(max.saturating_sub(wasted));
            self.0.clean(&Namespace::root(), &policy).await?;
        }
        Ok(outcome)
    }
} }
