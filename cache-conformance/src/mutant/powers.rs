use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, CloseReport, GetOptions, Key, KeyManagement, Powers, PutEntry, PutMode, PutOptions,
    PutOutcome, Result, SpillSource, Store, StoreInfo,
};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Factory, Reference, ReferenceStore, Setup};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "declares_sharing",
        fault: "It declares that it is shared, and each store has entries of its own.",
        killed_by: &["shared_stores_see_each_other", "shared_stores_answer_whole_versions"],
        fresh: Reference::volatile,
        open: |reference, setup| declaring(reference, setup, |powers| powers.shared = true),
    },
    Mutant {
        id: "opens_twice",
        fault: "It declares that it is not shared, and opens a second time.",
        killed_by: &["only_shared_stores_open_twice"],
        fresh: Reference::default,
        open: |reference, setup| {
            declaring(reference, setup, |powers| (powers.shared, powers.cross_process_merge) = (false, false))
        },
    },
    Mutant {
        id: "streams_undeclared",
        fault: "It answers with streams and does not declare it.",
        killed_by: &["blobs_stream_only_where_declared"],
        fresh: Reference::default,
        open: |reference, setup| declaring(reference, setup, |powers| powers.streaming = false),
    },
    Mutant {
        id: "remembers_what_it_read",
        fault: "A blob that was read once is answered for ever, whatever others do.",
        killed_by: &["shared_stores_answer_whole_versions"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(RemembersWhatItRead { store: reference.store(setup)?, read: Mutex::default() })
        },
    },
    Mutant {
        id: "loses_merges_of_others",
        fault: "Its merges are in turn, and lose what another store merges meanwhile.",
        killed_by: &["merges_of_several_stores_lose_nothing_where_declared"],
        fresh: Reference::default,
        open: |reference, setup| {
            let turn = tokio::sync::Mutex::default();
            twisted(LosesMergesOfOthers { store: reference.store(setup)?, turn })
        },
    },
    Mutant {
        id: "closes_all",
        fault: "The first store that is closed closes the others of the same place.",
        killed_by: &["closing_one_store_leaves_the_others"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(ClosesAll { store: reference.store(setup)?, reference: reference.clone() })
        },
    },
    Mutant {
        id: "counts_its_own_only",
        fault: "It keeps the budget over the entries that it has put itself.",
        killed_by: &["budget_counts_what_others_put"],
        fresh: Reference::default,
        open: |reference, setup| {
            let mut unlimited = setup.clone();
            unlimited.max_bytes = None;
            let (store, max) = (reference.store(&unlimited)?, setup.max_bytes);
            twisted(CountsItsOwnOnly { store, max, own: Mutex::default() })
        },
    },
];

fn declaring(
    reference: &Reference,
    setup: &Setup,
    declare: fn(&mut Powers),
) -> Result<std::sync::Arc<dyn SpillSource>> {
    twisted(Declares { store: reference.store(setup)?, declare })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Declares {
    store: ReferenceStore,
    declare: fn(&mut Powers),
}

#[async_trait]
impl Twist for Declares {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    fn info(&self) -> StoreInfo {
        let mut info = self.store.info();
        (self.declare)(&mut info.powers);
        info
    }
}

#[derive(Debug)]
struct RemembersWhatItRead {
    store: ReferenceStore,
    read: Mutex<BTreeMap<(Key, BlobName), bytes::Bytes>>,
}

#[async_trait]
impl Twist for RemembersWhatItRead {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let place = (key.clone(), blob.clone());
        if let Some(bytes) = lock(&self.read).get(&place) {
            return Ok(Some(Blob::from_bytes(bytes.clone())));
        }
        let found = self.store.get(key, blob, options).await?;
        if let Some(bytes) = found.as_ref().and_then(Blob::bytes) {
            lock(&self.read).insert(place, bytes.clone());
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        lock(&self.read).retain(|(other, _), _| other != key);
        self.store.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct LosesMergesOfOthers {
    store: ReferenceStore,
    turn: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Twist for LosesMergesOfOthers {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn put(&self, key: &Key, mut entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode != PutMode::Merge {
            return self.store.put(key, entry, options).await;
        }
        let _turn = self.turn.lock().await;
        let read = self.store.get_entry(key, GetOptions::default()).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        for (name, blob) in read.into_iter().flat_map(|read| read.blobs) {
            if entry.blobs().iter().all(|(new, _)| *new != name) {
                entry = entry.with(name, blob.collect(u64::MAX).await?);
            }
        }
        self.store.put(key, entry, PutOptions::default()).await
    }
}

#[derive(Debug)]
struct ClosesAll {
    store: ReferenceStore,
    reference: Reference,
}

#[async_trait]
impl Twist for ClosesAll {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        if self.store.flush().await.is_ok()
            && let Some(crash) = self.reference.crash()
        {
            crash.crash().await?;
        }
        self.store.close(deadline).await
    }
}

#[derive(Debug)]
struct CountsItsOwnOnly {
    store: ReferenceStore,
    max: Option<u64>,
    own: Mutex<Vec<(Key, u64)>>,
}

#[async_trait]
impl Twist for CountsItsOwnOnly {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    fn info(&self) -> StoreInfo {
        self.store.info().with_max_bytes(self.max)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let outcome = self.store.put(key, entry, options).await?;
        let victims: Vec<_> = {
            let mut own = lock(&self.own);
            own.push((key.clone(), bytes.load(std::sync::atomic::Ordering::Relaxed)));
            let mut held: u64 = own.iter().map(|(_, bytes)| bytes).sum();
            let over = own.iter().take_while(|(_, bytes)| {
                let is_over = held > self.max.unwrap_or(u64::MAX);
                held -= bytes;
                is_over
            });
            let over = over.count();
            own.drain(..over).collect()
        };
        for (victim, _) in victims {
            self.store.evict(&victim).await?;
        }
        Ok(outcome)
    }
}
