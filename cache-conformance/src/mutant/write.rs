use std::collections::BTreeMap;

use async_trait::async_trait;
use cache_core::{Key, PutEntry, PutMode, PutOptions, PutOutcome, Refusal, Result, Store};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "creates_now",
        fault: "It does not keep the given time of creation.",
        killed_by: &["put_keeps_a_given_creation_time", "clean_by_age_goes_by_the_newest_blob"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CreatesNow(reference.store(setup)?)),
    },
    Mutant {
        id: "fill_overwrites",
        fault: "`Fill` overwrites names that are present.",
        killed_by: &["fill_writes_only_absent_names"],
        fresh: Reference::default,
        open: |reference, setup| twisted(FillOverwrites(reference.store(setup)?)),
    },
    Mutant {
        id: "forgets_on_replace",
        fault: "A put over an entry loses the first of its blobs.",
        killed_by: &["replace_leaves_exactly_the_new_blobs", "get_entry_reads_all_blobs"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ForgetsOnReplace(reference.store(setup)?)),
    },
    Mutant {
        id: "replace_merges",
        fault: "`Replace` keeps the names that are not put.",
        killed_by: &["replace_leaves_exactly_the_new_blobs", "usage_is_true"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ReplaceMerges(reference.store(setup)?)),
    },
    Mutant {
        id: "stores_the_unknown",
        fault: "A put without blobs succeeds.",
        killed_by: &["put_of_no_blobs_is_invalid", "metrics_count_puts_and_refusals"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StoresTheUnknown(reference.store(setup)?)),
    },
    Mutant {
        id: "merge_needs_an_entry",
        fault: "A merge into an absent entry is dropped.",
        killed_by: &["merge_creates_an_absent_entry"],
        fresh: Reference::default,
        open: |reference, setup| twisted(MergeNeedsAnEntry(reference.store(setup)?)),
    },
    Mutant {
        id: "merge_replaces",
        fault: "`Merge` drops the names that are not put.",
        killed_by: &[
            "merge_keeps_other_blobs",
            "concurrent_merges_lose_no_blob",
            "entry_of_a_hundred_blobs_round_trips",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(MergeReplaces(reference.store(setup)?)),
    },
    Mutant {
        id: "refuses_idle_fills",
        fault: "A `Fill` that has nothing to add says that it was refused.",
        killed_by: &["put_says_stored"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RefusesIdleFills(reference.store(setup)?)),
    },
    Mutant {
        id: "takes_the_last_of_twins",
        fault: "Of a name that is put twice the last blob is taken.",
        killed_by: &["put_of_a_name_twice_is_invalid"],
        fresh: Reference::default,
        open: |reference, setup| twisted(TakesTheLastOfTwins(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct CreatesNow(ReferenceStore);

#[async_trait]
impl Twist for CreatesNow {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        options.created = None;
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct FillOverwrites(ReferenceStore);

#[async_trait]
impl Twist for FillOverwrites {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Fill {
            options.mode = PutMode::Merge;
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct ForgetsOnReplace(ReferenceStore);

#[async_trait]
impl Twist for ForgetsOnReplace {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, mut entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Replace && self.0.meta(key).await?.is_some() && entry.blobs().len() > 1 {
            let kept = entry.into_blobs().into_iter().skip(1);
            entry = kept.fold(PutEntry::default(), |entry, (name, blob)| entry.with_blob(name, blob));
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct ReplaceMerges(ReferenceStore);

#[async_trait]
impl Twist for ReplaceMerges {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Replace {
            options.mode = PutMode::Merge;
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct StoresTheUnknown(ReferenceStore);

#[async_trait]
impl Twist for StoresTheUnknown {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if entry.blobs().is_empty() {
            return Ok(PutOutcome::stored());
        }
        self.0.put(key, entry, options).await
    }
}

twist! { MergeNeedsAnEntry {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Merge && self.0.meta(key).await?.is_none() {
            return entry.check(self.0.info().max_blob_bytes).map(|()| PutOutcome::stored());
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { MergeReplaces {
    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Merge {
            options.mode = PutMode::Replace;
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { RefusesIdleFills {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let fill = options.mode == PutMode::Fill;
        let names: Vec<_> = entry.blobs().iter().map(|(name, _)| name.clone()).collect();
        let held = self.0.meta(key).await?.map_or(Vec::new(), |meta| meta.blobs);
        let outcome = self.0.put(key, entry, options).await?;
        let idle = names.iter().all(|name| held.iter().any(|blob| blob.name == *name));
        Ok(if fill && idle { PutOutcome::refused(Refusal::NoRoom) } else { outcome })
    }
} }

twist! { TakesTheLastOfTwins {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let blobs: BTreeMap<_, _> = entry.into_blobs().into_iter().collect();
        let entry = blobs.into_iter().fold(PutEntry::default(), |entry, (name, blob)| entry.with_blob(name, blob));
        self.0.put(key, entry, options).await
    }
} }
