//! A cache store on a shelf.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobMeta, BlobName, ByteRange, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta,
    EntryRead, Envelope, Error, ErrorKind, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions,
    Metrics, Namespace, Powers, PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, SystemClock,
    Usage, clean_by_listing, list_by_pages, usage_by_listing,
};
use futures::{future, stream::BoxStream};

/// A store that keeps its entries in a map. Clones share it.
#[derive(Clone, Debug)]
pub struct Shelf {
    info: StoreInfo,
    counters: Arc<Counters>,
    closed: Arc<AtomicBool>,
    entries: Arc<Mutex<Entries>>,
}

type Entries = BTreeMap<Key, BTreeMap<BlobName, Shelved>>;

/// A blob as the engine keeps it.
#[derive(Clone, Debug)]
struct Shelved {
    sealed: Bytes,
    bytes: u64,
    created: SystemTime,
}

impl Shelf {
    /// An empty shelf for blobs of at most `max_blob_bytes`.
    #[must_use]
    pub fn new(max_blob_bytes: Option<u64>) -> Self {
        let mut powers = Powers::default();
        (powers.shared_bytes, powers.dated) = (true, true);
        let info = StoreInfo::new("shelf", "", powers).with_max_blob_bytes(max_blob_bytes);
        Self { info, counters: Arc::default(), closed: Arc::default(), entries: Arc::default() }
    }
}

fn error(kind: ErrorKind, operation: &'static str) -> Error {
    Error::new(kind, "shelf", operation)
}

#[async_trait]
impl KeyManagement for Shelf {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.entries("contains").map(|entries| entries.contains_key(key));
        self.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.entries("evict")?.remove(key);
        self.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let shelf = self.clone();
        list_by_pages(options, 256, move |asked| future::ready(shelf.page(&asked)))
    }
}

#[async_trait]
impl Store for Shelf {
    fn info(&self) -> StoreInfo {
        self.info.clone()
    }

    fn metrics(&self) -> Metrics {
        self.counters.snapshot()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = self.read("get", key, Some(blob), options.range);
        let found = read.map(|read| read.and_then(|mut read| read.take(blob)));
        self.counters.read_with(&options, &found, Blob::len);
        found
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let found = self.read("get_entry", key, None, None);
        self.counters.read_with(&options, &found, |read| read.meta.counted_bytes());
        found
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut bytes = 0;
        let written = entry.collect(self.info.max_blob_bytes).await.and_then(|blobs| {
            bytes = blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            self.write(key, blobs, &options)
        });
        let outcome =
            written.map(|()| PutOutcome::stored()).map_err(|error| error.at("shelf", "put").with_key(key));
        self.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let entries = self.entries("meta")?;
        Ok(entries.get(key).map(|blobs| describe(key, blobs)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let evicted = |entry: &EntryMeta| self.counters.eviction(entry.counted_bytes());
        clean_by_listing(self, scope, policy, SystemClock.now(), evicted).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        drop(self.entries("flush")?);
        self.counters.flush(true);
        Ok(FlushReport::volatile())
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        self.closed.store(true, Ordering::Release);
        Ok(CloseReport::default())
    }
}

impl Shelf {
    /// The only way to the entries: a closed store says so.
    fn entries(&self, operation: &'static str) -> Result<MutexGuard<'_, Entries>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(error(ErrorKind::Closed, operation));
        }
        Ok(self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes a whole entry in one step, without an `.await`.
    fn write(&self, key: &Key, blobs: Vec<(BlobName, Bytes)>, options: &PutOptions) -> Result<()> {
        let created = options.created.unwrap_or_else(|| SystemClock.now());
        let mut entries = self.entries("put")?;
        let there = entries.get(key).cloned().unwrap_or_default();
        let new = blobs.into_iter().map(|(name, bytes)| {
            let sealed = Envelope::seal(key, &name, &bytes).into();
            (name, Shelved { sealed, bytes: bytes.len() as u64, created })
        });
        entries.insert(key.clone(), options.mode.apply(there, new));
        Ok(())
    }

    /// Reads one version of an entry: the blob `only`, or all. Damage takes the whole entry.
    fn read(
        &self,
        operation: &'static str,
        key: &Key,
        only: Option<&BlobName>,
        range: Option<ByteRange>,
    ) -> Result<Option<EntryRead>> {
        let mut entries = self.entries(operation)?;
        let Some(blobs) = entries.get(key) else { return Ok(None) };
        let wanted = blobs.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
        let sealed = wanted.map(|(name, shelved)| (name.clone(), shelved.sealed.clone()));
        let read = EntryRead::open(describe(key, blobs), sealed, range);
        read.map_err(|error| {
            if error.kind() == ErrorKind::Corrupt {
                entries.remove(key);
            }
            error.at("shelf", operation).with_key(key)
        })
    }

    /// The first entries of those that are asked for.
    fn page(&self, asked: &ListOptions) -> Result<Vec<EntryMeta>> {
        let entries = self.entries("list")?;
        let scan = entries.range(asked.first()..).take_while(|(key, _)| !asked.ends_before(key));
        let page = scan.filter(|(key, _)| asked.admits(key)).take(asked.limit.unwrap_or(usize::MAX));
        Ok(page.map(|(key, blobs)| describe(key, blobs)).collect())
    }
}

/// What is known of an entry without reading its bytes.
fn describe(key: &Key, blobs: &BTreeMap<BlobName, Shelved>) -> EntryMeta {
    let known = blobs.iter().map(|(name, blob)| BlobMeta::new(name.clone(), blob.bytes, Some(blob.created)));
    EntryMeta::of_sealed(key.clone(), known.collect()).with_place("shelf", "")
}
