use async_trait::async_trait;
use cache_core::{GetOptions, Key, Powers, PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore, Setup};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "forgets_reads",
        fault: "It declares recency, and reads protect nothing.",
        killed_by: &["a_read_protects_from_eviction", "clean_by_size_takes_the_least_recent"],
        fresh: || without(|powers| powers.recency = false),
        open: |reference, setup| twisted(ForgetsReads(reference.store(setup)?)),
    },
    Mutant {
        id: "ignores_budget",
        fault: "It shows a budget and keeps everything.",
        killed_by: &[
            "budget_is_kept_after_flush",
            "eviction_takes_whole_entries",
            "entry_over_the_budget_is_refused",
            "zero_budget_disables_the_cache",
            "contains_keeps_no_entry_alive",
        ],
        fresh: Reference::default,
        open: |reference, setup| {
            let mut unlimited = setup.clone();
            unlimited.max_bytes = None;
            twisted(IgnoresBudget(reference.store(&unlimited)?, setup.clone()))
        },
    },
    Mutant {
        id: "off_by_one_blob_limit",
        fault: "A blob exactly at the limit is too large.",
        killed_by: &["blob_at_the_limit_is_stored"],
        fresh: Reference::default,
        open: |reference, setup| {
            let mut smaller = setup.clone();
            smaller.max_blob_bytes = setup.max_blob_bytes.map(|max| max - 1);
            twisted(OffByOneBlobLimit(reference.store(&smaller)?, setup.clone()))
        },
    },
    Mutant {
        id: "refusal_keeps_the_old",
        fault: "A refused put leaves the older value.",
        killed_by: &["entry_over_the_budget_is_refused"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RefusalKeepsTheOld(reference.store(setup)?)),
    },
    Mutant {
        id: "ignores_blob_limit",
        fault: "It shows a limit on blobs and takes larger ones.",
        killed_by: &[
            "blob_over_the_limit_changes_nothing",
            "failure_of_one_stream_undoes_the_others",
            "metrics_count_puts_and_refusals",
        ],
        fresh: Reference::default,
        open: |reference, setup| {
            let mut unlimited = setup.clone();
            unlimited.max_blob_bytes = None;
            twisted(OffByOneBlobLimit(reference.store(&unlimited)?, setup.clone()))
        },
    },
];

#[derive(Debug)]
struct ForgetsReads(ReferenceStore);

#[async_trait]
impl Twist for ForgetsReads {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        let mut info = self.0.info();
        info.powers.recency = true;
        info
    }
}

#[derive(Debug)]
struct IgnoresBudget(ReferenceStore, Setup);

#[async_trait]
impl Twist for IgnoresBudget {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        self.0.info().with_max_bytes(self.1.max_bytes)
    }
}

#[derive(Debug)]
struct OffByOneBlobLimit(ReferenceStore, Setup);

#[async_trait]
impl Twist for OffByOneBlobLimit {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        self.0.info().with_max_blob_bytes(self.1.max_blob_bytes)
    }
}

#[derive(Debug)]
struct RefusalKeepsTheOld(ReferenceStore);

#[async_trait]
impl Twist for RefusalKeepsTheOld {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let old = self.0.get_entry(key, GetOptions::default()).await?;
        let outcome = self.0.put(key, entry, options).await?;
        if let (Some(old), false) = (old, outcome.is_stored()) {
            let mut entry = PutEntry::default();
            for (name, blob) in old.blobs {
                entry = entry.with(name, blob.collect(u64::MAX).await?);
            }
            self.0.put(key, entry, PutOptions::default()).await?;
        }
        Ok(outcome)
    }
}

fn without(set: fn(&mut Powers)) -> Reference {
    let mut powers = Reference::default().powers();
    set(&mut powers);
    Reference::with_powers(powers)
}
