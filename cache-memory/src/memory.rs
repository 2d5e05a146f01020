use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead, Error,
    ErrorKind, FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, Powers,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, SystemClock, Usage, slice_range,
};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{
    MemoryOptions,
    engine::{Engine, Gone},
};

/// A bounded store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    engine: Mutex<Engine>,
    pub(crate) options: MemoryOptions,
    pub(crate) clock: Arc<dyn Clock>,
    counters: Counters,
    closed: AtomicBool,
}

impl MemoryStore {
    /// Opens an empty store.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the options contradict themselves.
    pub fn open(options: MemoryOptions) -> Result<Self> {
        Self::open_with_clock(options, Arc::new(SystemClock))
    }

    /// Opens an empty store that reads the time from `clock`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with_clock(options: MemoryOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        options.check()?;
        let engine = Mutex::new(Engine::new(&options));
        Ok(Self(Arc::new(Inner {
            engine,
            options,
            clock,
            counters: Counters::default(),
            closed: AtomicBool::new(false),
        })))
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        // Nothing panics under the lock; a poisoned one would still hold a consistent engine.
        self.0.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    fn open_for(&self, operation: &'static str) -> Result<()> {
        if self.is_closed() { Err(Error::new(ErrorKind::Closed, "memory", operation)) } else { Ok(()) }
    }

    /// The engine of an open store. `close` empties it, so that a look from before would find nothing.
    fn open_engine(&self, operation: &'static str) -> Result<MutexGuard<'_, Engine>> {
        let engine = self.engine();
        self.open_for(operation).map(|()| engine)
    }

    /// Counts what was evicted, and drops what is gone; not to be called under the lock.
    pub(crate) fn settle(&self, gone: Gone) {
        for bytes in gone.evicted {
            self.0.counters.eviction(bytes);
        }
    }
}

#[async_trait]
impl KeyManagement for MemoryStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.open_engine("contains").map(|engine| engine.contains(key));
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let mut gone = Gone::default();
        self.open_engine("evict")?.remove(key, &mut gone);
        self.0.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let limit = options.limit.unwrap_or(usize::MAX);
        let start = Some((VecDeque::new(), None::<Key>, false));
        let store = self.clone();
        stream::unfold(start, move |state| {
            let (store, options) = (store.clone(), options.clone());
            async move {
                let (mut page, mut after, mut ended) = state?;
                loop {
                    if let Some(meta) = page.pop_front() {
                        return Some((Ok(meta), Some((page, after, ended))));
                    }
                    if ended {
                        return None;
                    }
                    let found = store.open_engine("list").map(|engine| engine.page(&options, after.as_ref()));
                    let (next, resume) = match found {
                        Ok(found) => found,
                        Err(closed) => return Some((Err(closed), None)),
                    };
                    page = next;
                    ended = resume.is_none();
                    after = resume;
                }
            }
        })
        .take(limit)
        .fuse()
        .boxed()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn info(&self) -> StoreInfo {
        let mut powers = Powers::default();
        (powers.bounded, powers.recency, powers.shared_bytes, powers.streaming) = (true, true, true, true);
        StoreInfo::new("memory", "", powers)
            .with_max_bytes(self.0.options.max_bytes)
            .with_max_entries(self.0.options.max_entries)
            .with_max_blob_bytes(self.0.options.max_blob_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.counters.snapshot();
        let engine = self.engine();
        metrics.resident_bytes = Some(engine.bytes());
        metrics.entries = Some(engine.len());
        metrics
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        if self.is_closed() {
            return None;
        }
        let now = self.0.clock.now();
        let bytes = self.engine().get(key, blob, now)?;
        self.0.counters.hit(bytes.len() as u64);
        Some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let now = self.0.clock.now();
        let found = self.open_engine("get").map(|mut engine| engine.get(key, blob, now));
        let read = match found {
            Ok(Some(bytes)) => slice_range(&bytes, options.range)
                .map(|part| Some(Blob::part(bytes.len() as u64, part)))
                .map_err(|error| error.at("memory", "get").with_key(key)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.0.counters.read(&read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, _options: GetOptions) -> Result<Option<EntryRead>> {
        let now = self.0.clock.now();
        let found = self.open_engine("get_entry").map(|mut engine| engine.get_entry(key, now));
        let read = found.map(|found| {
            found.map(|(meta, blobs)| {
                let blobs = blobs.into_iter().map(|(name, bytes)| (name, Blob::from_bytes(bytes))).collect();
                EntryRead::new(meta, blobs)
            })
        });
        self.0.counters.read(&read, |entry| entry.meta.counted_bytes());
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let put = match self.open_for("put") {
            Ok(()) => self.put_entry(key, entry, options).await,
            Err(closed) => Err(closed),
        };
        let bytes = put.as_ref().map_or(0, |(_, bytes)| *bytes);
        let outcome =
            put.map(|(outcome, _)| outcome).map_err(|error| error.at("memory", "put").with_key(key));
        self.0.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.open_engine("meta").map(|engine| engine.meta(key))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let entries = self.open_engine("usage")?.scope(&ListOptions::below(scope));
        let mut usage = Usage::default();
        for entry in entries {
            usage.add(entry.counted_bytes(), entry.stored_bytes);
        }
        Ok(usage)
    }

    /// One step under the lock, so at most one runs at a time.
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let now = self.0.clock.now();
        let mut report = CleanReport::default();
        let mut gone = Gone::default();
        {
            let mut engine = self.open_engine("clean")?;
            let entries = engine.scope(&ListOptions::below(scope));
            for entry in &entries {
                report.keep(entry.counted_bytes());
            }
            for victim in policy.victims(entries, now) {
                if let Some(bytes) = engine.remove(&victim.key, &mut gone) {
                    report.evict(bytes);
                    gone.evicted.push(bytes);
                }
            }
        }
        self.settle(gone);
        Ok(report)
    }

    /// Nothing to do: the store ends with the process, and its budget holds at every instant.
    async fn flush(&self) -> Result<FlushReport> {
        let report = self.open_for("flush").map(|()| FlushReport::volatile());
        self.0.counters.flush(report.is_ok());
        report
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        let gone = {
            let mut engine = self.engine();
            self.0.closed.store(true, Ordering::Release);
            engine.clear()
        };
        self.settle(gone);
        Ok(CloseReport::default())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}
