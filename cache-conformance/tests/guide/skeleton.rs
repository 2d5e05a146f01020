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
    async fn contains(&self, _key: &Key) -> Result<bool> {
        Err(error(ErrorKind::Unsupported, "contains"))
    }

    async fn evict(&self, _key: &Key) -> Result<()> {
        Err(error(ErrorKind::Unsupported, "evict"))
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        list_by_pages(options, 256, |_| future::ready(Err(error(ErrorKind::Unsupported, "list"))))
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

    async fn get(&self, _key: &Key, _blob: &BlobName, _options: GetOptions) -> Result<Option<Blob>> {
        Err(error(ErrorKind::Unsupported, "get"))
    }

    async fn get_entry(&self, _key: &Key, _options: GetOptions) -> Result<Option<EntryRead>> {
        Err(error(ErrorKind::Unsupported, "get_entry"))
    }

    async fn put(&self, _key: &Key, _entry: PutEntry, _options: PutOptions) -> Result<PutOutcome> {
        Err(error(ErrorKind::Unsupported, "put"))
    }

    async fn meta(&self, _key: &Key) -> Result<Option<EntryMeta>> {
        Err(error(ErrorKind::Unsupported, "meta"))
    }

    async fn usage(&self, _scope: &Namespace) -> Result<Usage> {
        Err(error(ErrorKind::Unsupported, "usage"))
    }

    async fn clean(&self, _scope: &Namespace, _policy: &CleanPolicy) -> Result<CleanReport> {
        Err(error(ErrorKind::Unsupported, "clean"))
    }

    async fn flush(&self) -> Result<FlushReport> {
        Err(error(ErrorKind::Unsupported, "flush"))
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        Err(error(ErrorKind::Unsupported, "close"))
    }
}
