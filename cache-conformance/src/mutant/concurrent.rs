use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, ByteRange, CleanPolicy, CleanReport, EntryMeta, EntryRead, Error, ErrorKind, GetOptions,
    Key, KeyManagement, ListOptions, Metrics, Namespace, PutEntry, PutMode, PutOptions, PutOutcome, Result,
    Store, StoreInfo, Usage,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore, Setup};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "reads_entries_blob_by_blob",
        fault: "`get_entry` reads one blob after the other, of whatever version is there.",
        killed_by: &["reads_beside_writers_are_never_torn"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ReadsBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "streams_whatever_is_there",
        fault: "A stream reads each piece when it is asked for, of whatever version is there.",
        killed_by: &["reads_beside_writers_are_never_torn"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsWhateverIsThere(reference.store(setup)?)),
    },
    Mutant {
        id: "loses_puts_under_load",
        fault: "While many puts are under way, one more is acknowledged and dropped.",
        killed_by: &["acknowledged_puts_are_never_lost"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LosesPutsUnderLoad { inner: reference.store(setup)?, under_way: AtomicUsize::new(0) })
        },
    },
    Mutant {
        id: "acknowledges_before_it_is_visible",
        fault: "A put that meets another one is left to that one, and acknowledged before it is there.",
        killed_by: &["acknowledged_puts_are_never_lost"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(Acknowledges {
                inner: reference.store(setup)?,
                leads: Mutex::default(),
                left: Mutex::default(),
            })
        },
    },
    Mutant {
        id: "counts_racing_puts_twice",
        fault: "Usage is kept by looking first and counting later.",
        killed_by: &["identical_puts_leave_one_entry"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(CountsRacingPutsTwice { inner: reference.store(setup)?, extra: AtomicU64::new(0) })
        },
    },
    Mutant {
        id: "evicts_blob_by_blob",
        fault: "An eviction takes one blob after the other.",
        killed_by: &["puts_that_race_evictions_leave_all_or_nothing", "dropped_evict_leaves_all_or_nothing"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EvictsBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "fails_evictions_that_others_won",
        fault: "An eviction fails if the entry went while it was under way.",
        killed_by: &["concurrent_evictions_all_succeed"],
        fresh: Reference::default,
        open: |reference, setup| twisted(FailsLostEvictions(reference.store(setup)?)),
    },
    Mutant {
        id: "loses_counts_under_load",
        fault: "A hit is counted by reading the counter and writing it later.",
        killed_by: &["counts_are_true_after_concurrent_work"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LosesCounts {
                inner: reference.store(setup)?,
                gets: AtomicU64::new(0),
                lost: AtomicU64::new(0),
            })
        },
    },
    Mutant {
        id: "makes_room_before_it_stores",
        fault: "Room is made for each put, and may be taken by others before it is used.",
        killed_by: &["budget_is_kept_beside_concurrent_puts"],
        fresh: Reference::default,
        open: |reference, setup| {
            let mut unlimited = setup.clone();
            unlimited.max_bytes = None;
            twisted(MakesRoomFirst(reference.store(&unlimited)?, setup.clone()))
        },
    },
    Mutant {
        id: "lists_by_position",
        fault: "A listing goes on at a position, whatever has come or gone before it.",
        killed_by: &["listing_beside_writers_has_no_strangers"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListsByPosition(Arc::new(reference.store(setup)?))),
    },
    Mutant {
        id: "cleans_all_but_what_it_saw",
        fault: "A clean keeps what was new when it looked, and evicts the rest.",
        killed_by: &["clean_beside_puts_leaves_what_is_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansTheRest(reference.store(setup)?)),
    },
];

/// Where others get ahead of it.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[derive(Debug)]
struct ReadsBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for ReadsBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let Some(mut read) = self.0.get_entry(key, options.clone()).await? else { return Ok(None) };
        for (name, blob) in &mut read.blobs {
            pause().await;
            if let Some(later) = self.0.get(key, name, options.clone()).await? {
                *blob = later;
            }
        }
        Ok(Some(read))
    }
}

#[derive(Debug)]
struct StreamsWhateverIsThere(ReferenceStore);

#[async_trait]
impl Twist for StreamsWhateverIsThere {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options.clone()).await? else { return Ok(None) };
        if options.range.is_some() || found.bytes().is_some() {
            return Ok(Some(found));
        }
        let (store, key, blob, len) = (self.0.clone(), key.clone(), blob.clone(), found.len());
        let pieces = stream::iter((0..len).step_by(10_000)).then(move |start| {
            let (store, key, blob) = (store.clone(), key.clone(), blob.clone());
            async move {
                let range = ByteRange::new(start, Some(len.min(start + 10_000)))?;
                let piece = store.get(&key, &blob, GetOptions::default().with_range(range)).await?;
                piece.unwrap_or_else(|| Blob::from_bytes(bytes::Bytes::new())).collect(u64::MAX).await
            }
        });
        Ok(Some(Blob::from_stream(len, len, pieces.boxed())))
    }
}

#[derive(Debug)]
struct LosesPutsUnderLoad {
    inner: ReferenceStore,
    under_way: AtomicUsize,
}

#[async_trait]
impl Twist for LosesPutsUnderLoad {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if self.under_way.fetch_add(1, Ordering::SeqCst) >= 4 {
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            return Ok(PutOutcome::stored());
        }
        pause().await;
        let outcome = self.inner.put(key, entry, options).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}

type Left = Vec<(Key, PutEntry, PutOptions)>;

#[derive(Debug)]
struct Acknowledges {
    inner: ReferenceStore,
    /// Whether there is a put that does the work of the others.
    leads: Mutex<bool>,
    left: Mutex<Left>,
}

#[async_trait]
impl Twist for Acknowledges {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let led = std::mem::replace(&mut *self.leads.lock().unwrap_or_else(PoisonError::into_inner), true);
        if led {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.push((key.clone(), entry, options));
            return Ok(PutOutcome::stored());
        }
        let outcome = self.inner.put(key, entry, options).await;
        pause().await;
        *self.leads.lock().unwrap_or_else(PoisonError::into_inner) = false;
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, entry, options) in left {
            self.inner.put(&key, entry, options).await?;
        }
        outcome
    }
}

#[derive(Debug)]
struct CountsRacingPutsTwice {
    inner: ReferenceStore,
    extra: AtomicU64,
}

#[async_trait]
impl Twist for CountsRacingPutsTwice {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let before = self.inner.meta(key).await?.is_some();
        pause().await;
        if !before && self.inner.meta(key).await?.is_some() {
            self.extra.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.put(key, entry, options).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = self.inner.usage(scope).await?;
        usage.entries += self.extra.load(Ordering::SeqCst);
        Ok(usage)
    }
}

#[derive(Debug)]
struct EvictsBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for EvictsBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        while let Some(mut read) = self.0.get_entry(key, GetOptions::default()).await? {
            read.blobs.pop();
            let mut rest = PutEntry::default();
            for (name, blob) in read.blobs {
                rest = rest.with(name, blob.collect(u64::MAX).await?);
            }
            if rest.blobs().is_empty() {
                break;
            }
            self.0.put(key, rest, PutOptions::default()).await?;
            pause().await;
        }
        self.0.evict(key).await
    }
}

#[derive(Debug)]
struct FailsLostEvictions(ReferenceStore);

#[async_trait]
impl Twist for FailsLostEvictions {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let before = self.0.meta(key).await?.is_some();
        pause().await;
        if before && self.0.meta(key).await?.is_none() {
            return Err(Error::new(ErrorKind::Internal, "mutant", "evict"));
        }
        self.0.evict(key).await
    }
}

#[derive(Debug)]
struct LosesCounts {
    inner: ReferenceStore,
    gets: AtomicU64,
    lost: AtomicU64,
}

#[async_trait]
impl Twist for LosesCounts {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let before = self.gets.fetch_add(1, Ordering::SeqCst);
        pause().await;
        if self.gets.load(Ordering::SeqCst) != before + 1 {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.get(key, blob, options).await
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.inner.metrics();
        metrics.hits = metrics.hits.saturating_sub(self.lost.load(Ordering::SeqCst));
        metrics
    }
}

#[derive(Debug)]
struct MakesRoomFirst(ReferenceStore, Setup);

#[async_trait]
impl Twist for MakesRoomFirst {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        self.0.info().with_max_bytes(self.1.max_bytes)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if let Some(refusal) = entry.refusal(self.1.max_bytes) {
            if options.mode != PutMode::Fill {
                self.0.evict(key).await?;
            }
            return Ok(PutOutcome::refused(refusal));
        }
        if let (Some(max), Some(bytes)) = (self.1.max_bytes, entry.known_bytes()) {
            let policy = CleanPolicy::default().with_max_bytes(max - bytes);
            self.0.clean(&Namespace::root(), &policy).await?;
            pause().await;
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct ListsByPosition(Arc<ReferenceStore>);

#[async_trait]
impl Twist for ListsByPosition {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let store = Arc::clone(&self.0);
        let limit = options.limit.unwrap_or(usize::MAX);
        stream::iter(0..limit)
            .then(move |position| {
                let listed = store.list(options.clone());
                async move {
                    pause().await;
                    listed.skip(position).next().await
                }
            })
            .take_while(|entry| std::future::ready(entry.is_some()))
            .filter_map(std::future::ready)
            .boxed()
    }
}

#[derive(Debug)]
struct CleansTheRest(ReferenceStore);

#[async_trait]
impl Twist for CleansTheRest {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let report = self.0.clean(scope, policy).await?;
        let below = || self.0.list(ListOptions::below(scope)).map_ok(|entry| entry.key);
        let kept: BTreeSet<Key> = below().try_collect().await?;
        pause().await;
        let now: Vec<Key> = below().try_collect().await?;
        for key in now.iter().filter(|key| !kept.contains(key)) {
            self.0.evict(key).await?;
        }
        Ok(report)
    }
}
