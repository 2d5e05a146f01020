use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use cache_core::{GetOptions, Key, KeyManagement, PutEntry, PutOptions, Result, Store};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "contains_after_evict",
        fault: "`contains` answers from an index that evictions do not reach.",
        killed_by: &["contains_tells_presence", "evict_is_idempotent", "expand_of_a_full_digest_asks_nobody"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ContainsAfterEvict(reference.store(setup)?, Mutex::default())),
    },
    Mutant {
        id: "contains_is_a_read",
        fault: "`contains` reads the entry.",
        killed_by: &["contains_keeps_no_entry_alive", "metrics_count_contains_apart"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ContainsIsARead(reference.store(setup)?)),
    },
    Mutant {
        id: "evicts_half",
        fault: "An eviction leaves one of several blobs.",
        killed_by: &["evict_removes_the_whole_entry", "put_after_evict_is_visible"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EvictsHalf(reference.store(setup)?)),
    },
    Mutant {
        id: "evicts_other_namespaces",
        fault: "An eviction takes the digest from the root namespace, too.",
        killed_by: &["evict_leaves_other_entries"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EvictsOtherNamespaces(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct ContainsAfterEvict(ReferenceStore, Mutex<BTreeSet<Key>>);

#[async_trait]
impl Twist for ContainsAfterEvict {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn contains(&self, key: &Key) -> Result<bool> {
        let seen = self.1.lock().unwrap_or_else(PoisonError::into_inner).contains(key);
        Ok(self.0.contains(key).await? || seen)
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        self.0.evict(key).await
    }
}

#[derive(Debug)]
struct ContainsIsARead(ReferenceStore);

#[async_trait]
impl Twist for ContainsIsARead {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn contains(&self, key: &Key) -> Result<bool> {
        Ok(self.0.get_entry(key, GetOptions::default()).await?.is_some())
    }
}

#[derive(Debug)]
struct EvictsHalf(ReferenceStore);

#[async_trait]
impl Twist for EvictsHalf {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let read = self.0.get_entry(key, GetOptions::default()).await?;
        self.0.evict(key).await?;
        let Some(mut read) = read.filter(|read| read.blobs.len() > 1) else { return Ok(()) };
        let (name, blob) = read.blobs.swap_remove(0);
        let entry = PutEntry::default().with(name, blob.collect(u64::MAX).await?);
        self.0.put(key, entry, PutOptions::default()).await.map(drop)
    }
}

#[derive(Debug)]
struct EvictsOtherNamespaces(ReferenceStore);

#[async_trait]
impl Twist for EvictsOtherNamespaces {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.0.evict(&key.digest.into()).await?;
        self.0.evict(key).await
    }
}
