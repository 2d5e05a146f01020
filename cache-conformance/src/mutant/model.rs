use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, GetOptions, Key, KeyManagement, Namespace, PutBlob, PutEntry,
    PutMode, PutOptions, PutOutcome, Result, Store,
};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "forgets_a_fill_after_a_merged_entry",
        fault: "Where a clean took an entry that had been merged into, the next fill is lost.",
        killed_by: &["random_operations_agree_with_a_model"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(ForgetsAFill {
                inner: reference.store(setup)?,
                merged: Mutex::default(),
                ghosts: Mutex::default(),
            })
        },
    },
    Mutant {
        id: "serves_what_a_budget_took_before",
        fault: "What was first put under a key is answered when the budget has taken the entry.",
        killed_by: &["random_operations_under_a_budget_agree_with_a_model"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(ServesOldVictims { inner: reference.store(setup)?, first: Mutex::default() })
        },
    },
    Mutant {
        id: "caches_what_a_put_overtook",
        fault: "A read that a put overtakes leaves the old bytes in a cache.",
        killed_by: &["concurrent_histories_are_legal"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(CachesTheOvertaken { inner: reference.store(setup)?, cached: Mutex::default() })
        },
    },
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct ForgetsAFill {
    inner: ReferenceStore,
    merged: Mutex<BTreeSet<Key>>,
    ghosts: Mutex<BTreeSet<Key>>,
}

#[async_trait]
impl Twist for ForgetsAFill {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Fill && lock(&self.ghosts).remove(key) {
            return Ok(PutOutcome::stored());
        }
        if options.mode == PutMode::Merge {
            lock(&self.merged).insert(key.clone());
        }
        self.inner.put(key, entry, options).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let report = self.inner.clean(scope, policy).await?;
        let merged = std::mem::take(&mut *lock(&self.merged));
        for key in merged {
            let stayed = self.inner.meta(&key).await?.is_some();
            lock(if stayed { &self.merged } else { &self.ghosts }).insert(key);
        }
        Ok(report)
    }
}

#[derive(Debug)]
struct ServesOldVictims {
    inner: ReferenceStore,
    first: Mutex<BTreeMap<(Key, BlobName), Bytes>>,
}

#[async_trait]
impl Twist for ServesOldVictims {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        for (name, blob) in entry.blobs() {
            if let PutBlob::Bytes(bytes) = blob {
                lock(&self.first).entry((key.clone(), name.clone())).or_insert_with(|| bytes.clone());
            }
        }
        self.inner.put(key, entry, options).await
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.inner.get(key, blob, options.clone()).await?;
        if found.is_some() || self.inner.info().max_bytes.is_none() || self.inner.contains(key).await? {
            return Ok(found);
        }
        let first = lock(&self.first).get(&(key.clone(), blob.clone())).cloned();
        Ok(first.filter(|_| options.range.is_none()).map(Blob::from_bytes))
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        lock(&self.first).retain(|(first, _), _| first != key);
        self.inner.evict(key).await
    }
}

#[derive(Debug)]
struct CachesTheOvertaken {
    inner: ReferenceStore,
    cached: Mutex<BTreeMap<(Key, BlobName), Bytes>>,
}

impl CachesTheOvertaken {
    fn forget(&self, key: &Key) {
        lock(&self.cached).retain(|(cached, _), _| cached != key);
    }
}

#[async_trait]
impl Twist for CachesTheOvertaken {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let place = (key.clone(), blob.clone());
        let found = self.inner.get(key, blob, options.clone()).await?;
        if options != GetOptions::default() {
            return Ok(found);
        }
        if let Some(cached) = lock(&self.cached).get(&place) {
            return Ok(Some(Blob::from_bytes(cached.clone())));
        }
        let read = found.as_ref().and_then(Blob::bytes).cloned();
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        if let Some(bytes) = read {
            lock(&self.cached).insert(place, bytes);
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let outcome = self.inner.put(key, entry, options).await;
        self.forget(key);
        outcome
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key).await?;
        self.forget(key);
        Ok(())
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let report = self.inner.clean(scope, policy).await;
        lock(&self.cached).clear();
        report
    }
}
