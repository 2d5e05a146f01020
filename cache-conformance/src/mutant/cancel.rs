use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, Error, ErrorKind, FlushReport,
    GetOptions, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutMode, PutOptions, PutOutcome,
    Refusal, Result, Store,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::{task::yield_now, time::sleep};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "takes_out_what_it_reads",
        fault: "A read takes the entry out and puts it back.",
        killed_by: &["dropped_reads_change_nothing"],
        fresh: Reference::default,
        open: |reference, setup| twisted(TakesOutWhatItReads(reference.store(setup)?)),
    },
    Mutant {
        id: "locks_what_is_streamed",
        fault: "An entry that is streamed is locked until the end of the stream, which may never be asked for.",
        killed_by: &["dropped_stream_lets_go_of_its_entry"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LocksWhatIsStreamed { inner: reference.store(setup)?, streamed: Arc::default() })
        },
    },
    Mutant {
        id: "locks_while_it_lists",
        fault: "A listing locks the store until its end, which may never be asked for.",
        killed_by: &["dropped_listing_lets_go_of_the_store"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LocksWhileItLists { inner: reference.store(setup)?, lists: Arc::default() })
        },
    },
    Mutant {
        id: "cleans_blob_by_blob",
        fault: "A clean takes one blob of an entry after the other.",
        killed_by: &["dropped_clean_leaves_whole_entries"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "forgets_a_dropped_flush",
        fault: "A flush takes note that all is durable before it is.",
        killed_by: &["dropped_flush_forgets_nothing", "flush_after_a_dropped_one_survives_a_kill"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(ForgetsADroppedFlush { inner: reference.store(setup)?, dirty: AtomicBool::new(false) })
        },
    },
    Mutant {
        id: "closes_at_the_end_of_close",
        fault: "A close waits first, and closes then.",
        killed_by: &["dropped_close_has_closed"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ClosesAtTheEnd(reference.store(setup)?)),
    },
    Mutant {
        id: "fills_blob_by_blob",
        fault: "A fill adds one blob after the other.",
        killed_by: &["dropped_fill_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(FillsBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "leaks_the_room_of_dropped_puts",
        fault: "Room is taken before a put and given back after it, if it comes to that.",
        killed_by: &["dropped_puts_leak_no_budget"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LeaksRoom { inner: reference.store(setup)?, taken: AtomicU64::new(0) })
        },
    },
    Mutant {
        id: "leaves_keys_locked",
        fault: "A key is locked before a put and unlocked after it, if it comes to that.",
        killed_by: &["dropped_operations_leave_no_lock"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(LeavesKeysLocked { inner: reference.store(setup)?, locked: Mutex::default() })
        },
    },
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn busy(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, "mutant", operation)
}

/// All of an entry but its last blob; `None` if that is the only one.
async fn all_but_the_last(store: &ReferenceStore, key: &Key) -> Result<Option<PutEntry>> {
    let Some(mut read) = store.get_entry(key, GetOptions::default()).await? else { return Ok(None) };
    read.blobs.pop();
    let mut rest = PutEntry::default();
    for (name, blob) in read.blobs {
        rest = rest.with(name, blob.collect(u64::MAX).await?);
    }
    Ok(Some(rest).filter(|rest| !rest.blobs().is_empty()))
}

#[derive(Debug)]
struct TakesOutWhatItReads(ReferenceStore);

#[async_trait]
impl Twist for TakesOutWhatItReads {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.0.get(key, blob, options).await?;
        if let Some(read) = self.0.get_entry(key, GetOptions::default()).await? {
            let mut entry = PutEntry::default();
            for (name, blob) in read.blobs {
                entry = entry.with(name, blob.collect(u64::MAX).await?);
            }
            self.0.evict(key).await?;
            yield_now().await;
            let mut options = PutOptions::default();
            options.created = read.meta.created;
            self.0.put(key, entry, options).await?;
        }
        Ok(found)
    }
}

#[derive(Debug)]
struct LocksWhatIsStreamed {
    inner: ReferenceStore,
    streamed: Arc<Mutex<BTreeSet<Key>>>,
}

#[async_trait]
impl Twist for LocksWhatIsStreamed {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.inner.get(key, blob, options).await?;
        let Some(found) = found.filter(|found| found.bytes().is_none()) else {
            return self.inner.get(key, blob, GetOptions::default()).await;
        };
        let (len, total) = (found.len(), found.total_len());
        let (streamed, locked) = (Arc::clone(&self.streamed), key.clone());
        lock(&streamed).insert(key.clone());
        let at_the_end = futures::stream::poll_fn(move |_| {
            lock(&streamed).remove(&locked);
            std::task::Poll::Ready(None)
        });
        Ok(Some(Blob::from_stream(len, total, found.into_stream().chain(at_the_end).boxed())))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if lock(&self.streamed).contains(key) {
            return Err(busy("put"));
        }
        self.inner.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct LocksWhileItLists {
    inner: ReferenceStore,
    lists: Arc<AtomicBool>,
}

#[async_trait]
impl Twist for LocksWhileItLists {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let (begun, ended) = (Arc::clone(&self.lists), Arc::clone(&self.lists));
        let begin = self.inner.list(options).inspect(move |_| begun.store(true, Ordering::SeqCst));
        let at_the_end = futures::stream::poll_fn(move |_| {
            ended.store(false, Ordering::SeqCst);
            std::task::Poll::Ready(None)
        });
        begin.chain(at_the_end).boxed()
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        if self.lists.load(Ordering::SeqCst) {
            return Err(busy("evict"));
        }
        self.inner.evict(key).await
    }
}

#[derive(Debug)]
struct CleansBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for CleansBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        let now = cache_core::Clock::now(&cache_core::SystemClock);
        for victim in policy.victims(entries, now) {
            while let Some(rest) = all_but_the_last(&self.0, &victim.key).await? {
                let mut options = PutOptions::default();
                options.created = victim.created;
                self.0.put(&victim.key, rest, options).await?;
                yield_now().await;
            }
        }
        self.0.clean(scope, policy).await
    }
}

#[derive(Debug)]
struct ForgetsADroppedFlush {
    inner: ReferenceStore,
    dirty: AtomicBool,
}

#[async_trait]
impl Twist for ForgetsADroppedFlush {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let outcome = self.inner.put(key, entry, options).await;
        self.dirty.store(true, Ordering::SeqCst);
        outcome
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let evicted = self.inner.evict(key).await;
        self.dirty.store(true, Ordering::SeqCst);
        evicted
    }

    async fn flush(&self) -> Result<FlushReport> {
        if self.dirty.swap(false, Ordering::SeqCst) {
            yield_now().await;
            return self.inner.flush().await;
        }
        Ok(FlushReport::durable(0))
    }
}

#[derive(Debug)]
struct ClosesAtTheEnd(ReferenceStore);

#[async_trait]
impl Twist for ClosesAtTheEnd {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        yield_now().await;
        self.0.close(deadline).await
    }
}

#[derive(Debug)]
struct FillsBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for FillsBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode != PutMode::Fill {
            return self.0.put(key, entry, options).await;
        }
        entry.check(self.0.info().max_blob_bytes)?;
        let mut outcome = PutOutcome::stored();
        for (name, blob) in entry.into_blobs() {
            outcome = self.0.put(key, PutEntry::default().with_blob(name, blob), options.clone()).await?;
            yield_now().await;
        }
        Ok(outcome)
    }
}

#[derive(Debug)]
struct LeaksRoom {
    inner: ReferenceStore,
    taken: AtomicU64,
}

#[async_trait]
impl Twist for LeaksRoom {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (max, bytes) = (self.inner.info().max_bytes, entry.known_bytes().unwrap_or(0));
        if max.is_some_and(|max| bytes <= max && self.taken.load(Ordering::SeqCst) + bytes > max) {
            return Ok(PutOutcome::refused(Refusal::NoRoom));
        }
        self.taken.fetch_add(bytes, Ordering::SeqCst);
        yield_now().await;
        let outcome = self.inner.put(key, entry, options).await;
        self.taken.fetch_sub(bytes, Ordering::SeqCst);
        outcome
    }
}

#[derive(Debug)]
struct LeavesKeysLocked {
    inner: ReferenceStore,
    locked: Mutex<BTreeSet<Key>>,
}

#[async_trait]
impl Twist for LeavesKeysLocked {
    fn inner(&self) -> &ReferenceStore {
        &self.inner
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        // Not for ever, so that the clauses that wait longer end, too.
        let mut turns = 0;
        while !lock(&self.locked).insert(key.clone()) {
            turns += 1;
            if turns == 1000 {
                return Err(busy("put"));
            }
            sleep(Duration::from_millis(5)).await;
        }
        yield_now().await;
        let outcome = self.inner.put(key, entry, options).await;
        lock(&self.locked).remove(key);
        outcome
    }
}
