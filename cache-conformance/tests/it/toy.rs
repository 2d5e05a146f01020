use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Factory, Setup};
use cache_core::{
    Blob, BlobMeta, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead,
    Error, ErrorKind, FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, Place,
    Powers, PutEntry, PutMode, PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo, SystemClock, Usage,
    clean_by_listing, collect_capped, slice_range, usage_by_listing,
};
use futures::{StreamExt, stream, stream::BoxStream};

/// A whole store in one map: what the contract asks for, and no more.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    info: StoreInfo,
    shelf: Shelf,
    counters: Arc<Counters>,
    closed: Arc<AtomicBool>,
}

/// What a toy holds. Kept by the factory, it makes the toy durable.
pub(crate) type Shelf = Arc<Mutex<State>>;

#[derive(Debug, Default)]
pub(crate) struct State {
    entries: BTreeMap<Key, Held>,
    /// Counts uses, as clocks may stand still between two of them.
    uses: u64,
}

#[derive(Clone, Debug)]
struct Held {
    blobs: BTreeMap<BlobName, (Bytes, SystemTime)>,
    use_number: u64,
    accessed: SystemTime,
}

impl Held {
    fn bytes(&self) -> u64 {
        self.blobs.values().map(|(bytes, _)| bytes.len() as u64).sum()
    }
}

/// Opens toys with certain powers. The first ones are what [`Toy::new`] has.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) powers: Powers,
    pub(crate) shelf: Shelf,
}

impl Default for Fresh {
    fn default() -> Self {
        let mut powers = Powers::default();
        (powers.bounded, powers.recency, powers.shared_bytes) = (true, true, true);
        Self { powers, shelf: Shelf::default() }
    }
}

#[async_trait]
impl Factory for Fresh {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Toy::on(self, setup)))
    }
}

impl Toy {
    /// A bounded toy that keeps recency and forgets everything when it is dropped.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self::on(&Fresh::default(), setup)
    }

    pub(crate) fn on(fresh: &Fresh, setup: &Setup) -> Self {
        let shelf = if fresh.powers.durable { fresh.shelf.clone() } else { Shelf::default() };
        let info = StoreInfo::new("toy", "", fresh.powers)
            .with_max_bytes(setup.max_bytes.filter(|_| fresh.powers.bounded))
            .with_max_blob_bytes(setup.max_blob_bytes);
        Self { info, shelf, counters: Arc::default(), closed: Arc::default() }
    }

    fn open(&self, operation: &'static str) -> Result<MutexGuard<'_, State>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Closed, "toy", operation));
        }
        Ok(self.shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The entry, of which this is a read.
    fn held(&self, key: &Key, operation: &'static str) -> Result<Option<Held>> {
        let mut state = self.open(operation)?;
        state.uses += 1;
        let uses = state.uses;
        let Some(held) = state.entries.get_mut(key) else { return Ok(None) };
        if self.info.powers.recency {
            (held.use_number, held.accessed) = (uses, SystemClock.now());
        }
        Ok(Some(held.clone()))
    }

    fn describe(&self, key: &Key, held: &Held) -> EntryMeta {
        let blobs = held.blobs.iter();
        let blobs =
            blobs.map(|(name, (bytes, made))| BlobMeta::new(name.clone(), bytes.len() as u64, Some(*made)));
        let mut meta = EntryMeta::new(key.clone(), held.bytes()).with_blobs(blobs.collect());
        meta.last_accessed = self.info.powers.recency.then_some(held.accessed);
        meta.places = vec![Place::new("toy", "")];
        meta
    }

    fn hand_out(&self, whole: &Bytes, options: &GetOptions) -> Result<Blob> {
        let bytes = slice_range(whole, options.range)?;
        let (len, total) = (bytes.len() as u64, whole.len() as u64);
        if len > options.stream_above {
            let starts = (0..bytes.len()).step_by(10_000);
            let pieces: Vec<_> = starts.map(|at| Ok(bytes.slice(at..bytes.len().min(at + 10_000)))).collect();
            return Ok(Blob::from_stream(len, total, stream::iter(pieces).boxed()));
        }
        let shared = self.info.powers.shared_bytes;
        Ok(Blob::part(total, if shared { bytes } else { Bytes::copy_from_slice(&bytes) }))
    }

    async fn collect(&self, entry: PutEntry) -> Result<Vec<(BlobName, Bytes)>> {
        entry.check(self.info.max_blob_bytes)?;
        let mut blobs = Vec::new();
        for (name, blob) in entry.into_blobs() {
            let stream = blob.into_checked_stream(&name, self.info.max_blob_bytes);
            blobs.push((name, collect_capped(stream, u64::MAX).await?));
        }
        Ok(blobs)
    }

    fn write(&self, key: &Key, blobs: Vec<(BlobName, Bytes)>, options: &PutOptions) -> Result<PutOutcome> {
        let mut state = self.open("put")?;
        let now = SystemClock.now();
        state.uses += 1;
        let mut next = Held { blobs: BTreeMap::new(), use_number: state.uses, accessed: now };
        if let (PutMode::Merge | PutMode::Fill, Some(held)) = (options.mode, state.entries.get(key)) {
            next.blobs = held.blobs.clone();
        }
        for (name, bytes) in blobs {
            if options.mode != PutMode::Fill || !next.blobs.contains_key(&name) {
                next.blobs.insert(name, (bytes, options.created.unwrap_or(now)));
            }
        }
        let max = self.info.max_bytes.unwrap_or(u64::MAX);
        if max == 0 || next.bytes() > max {
            if options.mode != PutMode::Fill {
                state.entries.remove(key);
            }
            let reason = if max == 0 { Refusal::Disabled } else { Refusal::OverBudget };
            return Ok(PutOutcome::refused(reason));
        }
        state.entries.insert(key.clone(), next);
        let mut total: u64 = state.entries.values().map(Held::bytes).sum();
        while total > max {
            let oldest = state.entries.iter().min_by_key(|(_, held)| held.use_number);
            let Some((oldest, bytes)) = oldest.map(|(key, held)| (key.clone(), held.bytes())) else { break };
            state.entries.remove(&oldest);
            self.counters.eviction(bytes);
            total -= bytes;
        }
        Ok(PutOutcome::stored())
    }
}

#[async_trait]
impl KeyManagement for Toy {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.open("contains").map(|state| state.entries.contains_key(key));
        self.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.open("evict")?.entries.remove(key);
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let listed = self.open("list").map(|state| {
            let admitted = state.entries.iter().filter(|(key, _)| options.admits(key));
            let limited = admitted.take(options.limit.unwrap_or(usize::MAX));
            limited.map(|(key, held)| Ok(self.describe(key, held))).collect::<Vec<_>>()
        });
        stream::iter(listed.unwrap_or_else(|error| vec![Err(error)])).boxed()
    }
}

#[async_trait]
impl Store for Toy {
    fn info(&self) -> StoreInfo {
        self.info.clone()
    }

    fn metrics(&self) -> Metrics {
        self.counters.snapshot()
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        let found = self.held(key, "get_now").ok()??.blobs.get(blob)?.0.clone();
        self.counters.hit(found.len() as u64);
        Some(found)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.held(key, "get").and_then(|held| {
            let whole = held.and_then(|held| Some(held.blobs.get(blob)?.0.clone()));
            whole.map(|whole| self.hand_out(&whole, &options)).transpose()
        });
        self.counters.read(&found, Blob::len);
        found
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let found = self.held(key, "get_entry").and_then(|held| {
            let Some(held) = held else { return Ok(None) };
            let blobs = held
                .blobs
                .iter()
                .map(|(name, (whole, _))| Ok((name.clone(), self.hand_out(whole, &options)?)))
                .collect::<Result<Vec<_>>>()?;
            Ok(Some(EntryRead::new(self.describe(key, &held), blobs)))
        });
        self.counters.read(&found, |read| read.blobs.iter().map(|(_, blob)| blob.len()).sum());
        found
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut bytes = 0;
        let outcome = match self.collect(entry).await {
            Ok(blobs) => {
                bytes = blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
                self.write(key, blobs, &options)
            }
            Err(error) => Err(error.at("toy", "put").with_key(key)),
        };
        self.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let state = self.open("meta")?;
        Ok(state.entries.get(key).map(|held| self.describe(key, held)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        drop(self.open("usage")?);
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        drop(self.open("clean")?);
        let evicted = |entry: &EntryMeta| self.counters.eviction(entry.counted_bytes());
        clean_by_listing(self, scope, policy, SystemClock.now(), evicted).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        drop(self.open("flush")?);
        self.counters.flush(true);
        Ok(if self.info.powers.durable { FlushReport::durable(0) } else { FlushReport::volatile() })
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(CloseReport::default())
    }
}
