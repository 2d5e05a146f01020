use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead, Error,
    ErrorKind, EvictionSink, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics,
    Namespace, Powers, PutEntry, PutOptions, PutOutcome, Result, SpillSource, Store, StoreInfo, Usage,
    slice_range,
};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{
    MemoryOptions,
    clock::{self, Time},
    engine::Engine,
    slot::Slot,
    ticker::Ticks,
};

/// A bounded store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) options: MemoryOptions,
    pub(crate) time: Time,
    pub(crate) counters: Counters,
    pub(crate) sink: RwLock<Option<Arc<dyn EvictionSink>>>,
    /// Held by the one `clean` that runs.
    cleaning: Mutex<()>,
}

impl MemoryStore {
    /// Opens an empty store.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the options contradict themselves.
    pub fn open(options: MemoryOptions) -> Result<Self> {
        Self::open_at(options, Time::Machine(Ticks::new()))
    }

    /// Opens an empty store that reads the time from `clock`, for each read, too.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with_clock(options: MemoryOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_at(options, Time::Given(clock))
    }

    fn open_at(options: MemoryOptions, time: Time) -> Result<Self> {
        options.check()?;
        Ok(Self(Arc::new(Inner {
            engine: Engine::new(&options),
            options,
            time,
            counters: Counters::default(),
            sink: RwLock::default(),
            cleaning: Mutex::default(),
        })))
    }

    fn open_for(&self, operation: &'static str) -> Result<()> {
        let closed = self.0.engine.is_closed();
        if closed { Err(Error::new(ErrorKind::Closed, "memory", operation)) } else { Ok(()) }
    }

    /// What was found in an open store. `close` empties it: what is not found is only absent if it was open.
    fn found<T>(&self, operation: &'static str, found: Option<T>) -> Result<Option<T>> {
        if found.is_none() {
            self.open_for(operation)?;
        }
        Ok(found)
    }
}

#[async_trait]
impl KeyManagement for MemoryStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let found = self.0.engine.look(key, |_| ());
        let answer = self.found("contains", found).map(|found| found.is_some());
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.open_for("evict")?;
        drop(self.0.engine.remove(key, |_| true));
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
                    (page, after) = store.0.engine.page(&options, after.as_ref());
                    ended = after.is_none();
                    // What a store that is closed does not hold is not absent.
                    if let Err(closed) = store.open_for("list") {
                        return Some((Err(closed), None));
                    }
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
        (powers.dated, powers.spills) = (true, true);
        StoreInfo::new("memory", "", powers)
            .with_max_bytes(self.0.options.max_bytes)
            .with_max_entries(self.0.options.max_entries)
            .with_max_blob_bytes(self.0.options.max_blob_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.counters.snapshot();
        let (hits, bytes_out) = self.0.engine.hits_so_far();
        metrics.hits += hits;
        metrics.bytes_out += bytes_out;
        let total = self.0.engine.total();
        (metrics.resident_bytes, metrics.entries) = (Some(total.bytes()), Some(total.entries()));
        metrics
    }

    /// One look under one lock, or beside other readers: no allocation, no copy, no look at the clock's
    /// hardware.
    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.0.engine.hit(key, blob, self.0.time.of_hit())
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = if options.quiet {
            self.0.engine.look(key, |slot| slot.blob(blob).cloned()).flatten()
        } else {
            self.0.engine.get(key, blob, clock::nanos(self.0.time.now()))
        };
        let read = match self.found("get", found) {
            Ok(Some(bytes)) => slice_range(&bytes, options.range)
                .map(|part| Some(Blob::part(bytes.len() as u64, part)))
                .map_err(|error| error.at("memory", "get").with_key(key)),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.0.counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let found = if options.quiet {
            self.0.engine.look(key, Slot::read)
        } else {
            self.0.engine.with_entry(key, clock::nanos(self.0.time.now()), Slot::read)
        };
        let read = self.found("get_entry", found);
        self.0.counters.read_with(&options, &read, |entry| entry.meta.counted_bytes());
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
        self.found("meta", self.0.engine.look(key, Slot::meta))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let usage = self.0.engine.usage(scope);
        self.open_for("usage").map(|()| usage)
    }

    /// One runs at a time. What is put or read while it runs stays.
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let now = self.0.time.now();
        let mut gone = Vec::new();
        let alone = self.0.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = CleanReport::default();
        let entries = self.0.engine.scope(scope);
        self.open_for("clean")?;
        for entry in &entries {
            report.keep(entry.counted_bytes());
        }
        for victim in policy.victims(entries, now) {
            let as_seen = |slot: &Slot| slot.is_as(&victim);
            if let Some(slot) = self.0.engine.remove(&victim.key, as_seen) {
                report.evict(slot.size().bytes);
                self.0.counters.eviction(slot.size().bytes);
                gone.push(slot);
            }
        }
        // Values may have owners that use the store.
        drop(alone);
        drop(gone);
        Ok(report)
    }

    /// Nothing to do: the store ends with the process, and its budget holds at every instant.
    async fn flush(&self) -> Result<FlushReport> {
        let report = self.open_for("flush").map(|()| FlushReport::volatile());
        self.0.counters.flush(report.is_ok());
        report
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.engine.close();
        self.set_sink(None);
        Ok(CloseReport::default())
    }
}

impl SpillSource for MemoryStore {
    fn peek(&self, key: &Key) -> Option<EntryRead> {
        self.0.engine.look(key, Slot::read)
    }

    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
        std::mem::replace(&mut *self.0.sink.write().unwrap_or_else(PoisonError::into_inner), sink)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}
