mod medium;
mod spill;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobMeta, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead,
    Error, ErrorKind, EvictionSink, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions,
    Metrics, Namespace, Powers, PutEntry, PutMode, PutOptions, PutOutcome, Refusal, Result, SpillSource,
    Store, StoreInfo, SystemClock, Usage, slice_range, usage_by_listing,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use self::medium::{Held, Medium, Sealed, Sealing, State};
use crate::{Crash, Damage, Factory, Failures, Setup, Spill};

/// Opens [`ReferenceStore`]s, with every handle that a [`Factory`] can have. By default they have all
/// powers.
#[derive(Clone, Debug)]
pub struct Reference {
    powers: Powers,
    medium: Arc<Medium>,
}

impl Default for Reference {
    fn default() -> Self {
        let mut powers = Self::volatile().powers;
        (powers.durable, powers.shared, powers.cross_process_merge) = (true, true, true);
        powers.spills = true;
        Self::with_powers(powers)
    }
}

impl Reference {
    /// Opens stores with these powers, all of which it can keep.
    #[must_use]
    pub fn with_powers(powers: Powers) -> Self {
        Self { powers, medium: Arc::default() }
    }

    /// Opens bounded stores that keep recency and end with the process.
    #[must_use]
    pub fn volatile() -> Self {
        let mut powers = Powers::default();
        (powers.bounded, powers.recency, powers.dated) = (true, true, true);
        (powers.shared_bytes, powers.streaming) = (true, true);
        Self::with_powers(powers)
    }

    /// What the stores declare.
    #[must_use]
    pub fn powers(&self) -> Powers {
        self.powers
    }

    /// Opens a store, as [`Factory::open`] does.
    ///
    /// # Errors
    ///
    /// [`Locked`](ErrorKind::Locked) if it is durable, not shared, and open already.
    pub fn store(&self, setup: &Setup) -> Result<ReferenceStore> {
        let medium = if self.powers.durable { Arc::clone(&self.medium) } else { Arc::default() };
        let life = {
            let mut state = medium.lock();
            if self.powers.durable && !self.powers.shared && state.opened > 0 {
                return Err(Error::new(ErrorKind::Locked, "reference", "open"));
            }
            state.opened += 1;
            state.lives
        };
        let info = StoreInfo::new("reference", "", self.powers)
            .with_max_bytes(setup.max_bytes.filter(|_| self.powers.bounded))
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(ReferenceStore(Arc::new(Inner {
            info,
            medium,
            life,
            counters: Counters::default(),
            closed: AtomicBool::new(false),
            sink: Mutex::default(),
            spilling: tokio::sync::Mutex::default(),
        })))
    }
}

#[async_trait]
impl Factory for Reference {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.store(setup)?))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.powers.durable.then_some(&*self.medium)
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.powers.durable.then_some(&*self.medium)
    }

    fn spill(&self) -> Option<&dyn Spill> {
        self.powers.spills.then_some(self)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.powers.durable.then_some(&*self.medium)
    }
}

#[async_trait]
impl Spill for Reference {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn SpillSource>> {
        Ok(Arc::new(self.store(setup)?))
    }
}

/// A whole store in one map under one lock: what the contract asks for, and no more.
///
/// It is here to be read by authors of backends, and to prove the suite: the suite passes over it, and
/// fails over each of its wrong variants, the mutants.
#[derive(Clone, Debug)]
pub struct ReferenceStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    info: StoreInfo,
    medium: Arc<Medium>,
    /// The life of the medium that it belongs to.
    life: u64,
    counters: Counters,
    closed: AtomicBool,
    sink: Mutex<Option<Arc<dyn EvictionSink>>>,
    /// Held while victims are handed on.
    spilling: tokio::sync::Mutex<()>,
}

impl Inner {
    fn close(&self) {
        let first = !self.closed.swap(true, Ordering::SeqCst);
        drop(self.sink.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut state = self.medium.lock();
        if first && state.lives == self.life {
            state.opened = state.opened.saturating_sub(1);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl ReferenceStore {
    /// Begins an operation that does I/O: the medium may fail it.
    fn access(&self, operation: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.state(operation)?;
        let at = |error: Error| error.at("reference", operation);
        self.0.medium.access(operation).map_err(at)?;
        Ok(state)
    }

    /// The bytes of a blob, without a trace: for mutants.
    pub(crate) fn peek_blob(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        self.0.medium.lock().entries.get(key)?.blobs.get(blob)?.open(key, blob).ok()
    }

    fn state(&self, operation: &'static str) -> Result<MutexGuard<'_, State>> {
        let state = self.0.medium.lock();
        if self.0.closed.load(Ordering::SeqCst) || state.lives != self.0.life {
            return Err(Error::new(ErrorKind::Closed, "reference", operation));
        }
        Ok(state)
    }

    /// The entry, of which this is a use.
    fn used(&self, state: &mut State, key: &Key) -> Option<Held> {
        state.uses += 1;
        let uses = state.uses;
        let held = state.entries.get_mut(key)?;
        if self.0.info.powers.recency {
            (held.use_number, held.accessed) = (uses, SystemClock.now());
            held.accesses += 1;
        }
        Some(held.clone())
    }

    /// What reads of an entry do alike. Damage takes the whole entry.
    fn read<T>(
        &self,
        key: &Key,
        operation: &'static str,
        options: &GetOptions,
        look: impl FnOnce(&Held) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut state = self.access(operation)?;
        let found = match state.entries.get(key).map(look) {
            None | Some(Ok(None)) => Ok(None),
            Some(Ok(found)) => {
                if !options.quiet {
                    self.used(&mut state, key);
                }
                Ok(found)
            }
            Some(Err(error)) => {
                if error.kind() == ErrorKind::Corrupt {
                    state.entries.remove(key);
                }
                Err(error.at("reference", operation).with_key(key))
            }
        };
        drop(state);
        found
    }

    fn describe(&self, key: &Key, held: &Held) -> EntryMeta {
        let blobs = held.blobs.iter();
        let blobs = blobs.map(|(name, blob)| BlobMeta::new(name.clone(), blob.len, Some(blob.created)));
        let mut meta = EntryMeta::new(key.clone(), held.bytes()).with_blobs(blobs.collect());
        if self.0.info.powers.recency {
            (meta.last_accessed, meta.access_count) = (Some(held.accessed), Some(held.accesses));
        }
        meta.with_place("reference", "")
    }

    /// What listing and cleaning know of it.
    fn listed(&self, key: &Key, held: &Held) -> EntryMeta {
        let mut meta = self.describe(key, held);
        if !self.0.info.powers.dated {
            meta.modified = Some(held.written);
        }
        meta
    }

    /// Whether it is over the limit, under which others need not have put it.
    fn is_too_large(&self, whole: &Bytes) -> bool {
        self.0.info.max_blob_bytes.is_some_and(|max| whole.len() as u64 > max)
    }

    fn hand_out(&self, whole: &Bytes, options: &GetOptions) -> Result<Blob> {
        if self.is_too_large(whole) {
            return Err(Error::new(ErrorKind::TooLarge, "", ""));
        }
        let bytes = slice_range(whole, options.range)?;
        let (len, total) = (bytes.len() as u64, whole.len() as u64);
        if len > options.stream_above && self.0.info.powers.streaming {
            let starts = (0..bytes.len()).step_by(10_000);
            let pieces: Vec<_> = starts.map(|at| Ok(bytes.slice(at..bytes.len().min(at + 10_000)))).collect();
            return Ok(Blob::from_stream(len, total, stream::iter(pieces).boxed()));
        }
        let shared = self.0.info.powers.shared_bytes;
        Ok(Blob::part(total, if shared { bytes } else { Bytes::copy_from_slice(&bytes) }))
    }

    /// Seals what streams in as it comes: nothing of it stands twice in memory.
    async fn seal(&self, key: &Key, entry: PutEntry, created: SystemTime) -> Result<Vec<(BlobName, Sealed)>> {
        entry.check(self.0.info.max_blob_bytes)?;
        let mut blobs = Vec::new();
        for (name, blob) in entry.into_blobs() {
            let mut stream = blob.into_checked_stream(&name, self.0.info.max_blob_bytes);
            let mut sealing = Sealing::new(key, &name);
            while let Some(piece) = stream.try_next().await? {
                sealing.push(&piece);
            }
            blobs.push((name, sealing.end(created)));
        }
        Ok(blobs)
    }

    fn keep_budget(&self, state: &mut State) {
        let max = self.0.info.max_bytes.unwrap_or(u64::MAX);
        let mut total = state.held_bytes();
        while total > max {
            let oldest = state.entries.iter().min_by_key(|(_, held)| held.use_number);
            let Some((oldest, bytes)) = oldest.map(|(key, held)| (key.clone(), held.bytes())) else { break };
            state.entries.remove(&oldest);
            self.0.counters.eviction(bytes);
            total -= bytes;
        }
    }

    fn write(&self, key: &Key, blobs: Vec<(BlobName, Sealed)>, options: &PutOptions) -> Result<PutOutcome> {
        let mut state = self.access("put")?;
        let next = self.next(&mut state, key, blobs, options);
        let max = self.0.info.max_bytes.unwrap_or(u64::MAX);
        if max == 0 || next.bytes() > max {
            if options.mode != PutMode::Fill {
                state.entries.remove(key);
            }
            let reason = if max == 0 { Refusal::Disabled } else { Refusal::OverBudget };
            return Ok(PutOutcome::refused(reason));
        }
        state.entries.insert(key.clone(), next);
        self.keep_budget(&mut state);
        Ok(PutOutcome::stored())
    }
}

#[async_trait]
impl KeyManagement for ReferenceStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.access("contains").map(|state| state.entries.contains_key(key));
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.access("evict")?.entries.remove(key);
        self.0.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let listed = self.access("list").map(|state| {
            let admitted = state.entries.iter().filter(|(key, _)| options.admits(key));
            let limited = admitted.take(options.limit.unwrap_or(usize::MAX));
            limited.map(|(key, held)| Ok(self.listed(key, held))).collect::<Vec<_>>()
        });
        stream::iter(listed.unwrap_or_else(|error| vec![Err(error)])).boxed()
    }
}

#[async_trait]
impl Store for ReferenceStore {
    fn info(&self) -> StoreInfo {
        self.0.info.clone()
    }

    fn metrics(&self) -> Metrics {
        self.0.counters.snapshot()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let key = &key.to_key();
        let mut state = self.state("get_now").ok()?;
        let found = state.entries.get(key)?.blobs.get(blob)?.open(key, blob).ok()?;
        if self.is_too_large(&found) {
            return None;
        }
        self.used(&mut state, key);
        drop(state);
        self.0.counters.hit(found.len() as u64);
        Some(if self.0.info.powers.shared_bytes { found } else { Bytes::copy_from_slice(&found) })
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.read(key, "get", &options, |held| {
            let whole = held.blobs.get(blob).map(|sealed| sealed.open(key, blob)).transpose()?;
            whole.map(|whole| self.hand_out(&whole, &options)).transpose()
        });
        self.0.counters.read_with(&options, &found, Blob::len);
        found
    }

    async fn get_entry(&self, key: &Key, mut options: GetOptions) -> Result<Option<EntryRead>> {
        options.range = None;
        let found = self.read(key, "get_entry", &options, |held| {
            let blobs = held
                .blobs
                .iter()
                .map(|(name, sealed)| Ok((name.clone(), self.hand_out(&sealed.open(key, name)?, &options)?)));
            Ok(Some(EntryRead::new(self.describe(key, held), blobs.collect::<Result<_>>()?)))
        });
        self.0
            .counters
            .read_with(&options, &found, |read| read.blobs.iter().map(|(_, blob)| blob.len()).sum());
        found
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut bytes = 0;
        let created = options.created.unwrap_or_else(|| SystemClock.now());
        let outcome = match self.seal(key, entry, created).await {
            Ok(blobs) => {
                bytes = blobs.iter().map(|(_, sealed)| sealed.len).sum();
                match self.sink() {
                    Some(sink) => self.write_after(&*sink, key, blobs, &options).await,
                    None => self.write(key, blobs, &options),
                }
            }
            Err(error) => Err(error.at("reference", "put").with_key(key)),
        };
        self.0.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let state = self.access("meta")?;
        Ok(state.entries.get(key).map(|held| self.describe(key, held)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        drop(self.state("usage")?);
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut state = self.access("clean")?;
        let below = ListOptions::below(scope);
        let admitted = state.entries.iter().filter(|(key, _)| below.admits(key));
        let entries: Vec<_> = admitted.map(|(key, held)| self.listed(key, held)).collect();
        let mut report = CleanReport::default();
        for entry in &entries {
            report.keep(entry.counted_bytes());
        }
        for victim in policy.victims(entries, SystemClock.now()) {
            state.entries.remove(&victim.key);
            report.evict(victim.counted_bytes());
            self.0.counters.eviction(victim.counted_bytes());
        }
        Ok(report)
    }

    async fn flush(&self) -> Result<FlushReport> {
        let flushed = match self.sink() {
            None => self.access("flush").map(|mut state| self.keep_budget(&mut state)),
            Some(sink) => self.spill_down(&*sink).await,
        };
        self.0.counters.flush(flushed.is_ok());
        flushed?;
        self.0.medium.flush();
        Ok(if self.0.info.powers.durable { FlushReport::durable(0) } else { FlushReport::volatile() })
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.close();
        Ok(CloseReport::default())
    }
}
