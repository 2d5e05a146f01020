//! A store for the tests of calls: entries of several blobs, and a log of what was asked in which order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{
    Blob, BlobName, Cache, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutBlob, PutEntry,
    PutMode, PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo, Usage, usage_by_listing,
};

type Blobs = BTreeMap<BlobName, Bytes>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    entries: Arc<Mutex<BTreeMap<Key, Blobs>>>,
    log: Arc<Mutex<Vec<String>>>,
    /// What a put answers instead of storing.
    refuse: Arc<Mutex<Option<Result<Refusal>>>>,
    /// Keys that go when they are read for the first time.
    doomed: Arc<Mutex<Vec<Key>>>,
    /// Keys whose bytes are found damaged.
    damaged: Arc<Mutex<Vec<Key>>>,
}

impl Recorder {
    pub(crate) fn cache(&self) -> Cache {
        Cache::new(Arc::new(self.clone()))
    }

    /// A hook that writes into the same log.
    pub(crate) fn hook(&self) -> Arc<crate::hook::recorder::Recorder> {
        let log = Arc::clone(&self.log);
        Arc::new(crate::hook::recorder::Recorder { log, ..crate::hook::recorder::Recorder::default() })
    }

    /// What was asked since the last question.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// How many of the things asked since the last question begin so.
    pub(crate) fn asked_for(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| asked.starts_with(what)).count()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.entries.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn blobs(&self, key: &Key) -> Blobs {
        self.entries.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn insert(&self, key: &Key, blob: &BlobName, bytes: impl Into<Bytes>) {
        self.entries.lock().unwrap().entry(key.clone()).or_default().insert(blob.clone(), bytes.into());
    }

    pub(crate) fn rename(&self, from: &Key, to: &Key) {
        let mut entries = self.entries.lock().unwrap();
        let blobs = entries.remove(from).unwrap();
        entries.insert(to.clone(), blobs);
    }

    pub(crate) fn refuse(&self, with: Option<Result<Refusal>>) {
        *self.refuse.lock().unwrap() = with;
    }

    pub(crate) fn doom(&self, key: &Key) {
        self.doomed.lock().unwrap().push(key.clone());
    }

    pub(crate) fn damage(&self, key: &Key) {
        self.damaged.lock().unwrap().push(key.clone());
    }

    fn note(&self, what: &str, key: &Key) {
        self.log.lock().unwrap().push(format!("{what} {}/{}", key.namespace, key.digest.prefix(8)));
    }

    fn find(&self, key: &Key) -> Result<Option<Blobs>> {
        if self.damaged.lock().unwrap().contains(key) {
            return Err(Error::corrupt("on demand"));
        }
        let mut entries = self.entries.lock().unwrap();
        if self.doomed.lock().unwrap().contains(key) {
            entries.remove(key);
        }
        Ok(entries.get(key).cloned())
    }
}

#[async_trait]
impl KeyManagement for Recorder {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.note("contains", key);
        Ok(self.entries.lock().unwrap().contains_key(key))
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.note("evict", key);
        self.entries.lock().unwrap().remove(key);
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let limit = options.limit.map_or("all".to_owned(), |limit| limit.to_string());
        let scope = if options.recursive { "below" } else { "of" };
        self.log.lock().unwrap().push(format!("list {limit} {scope} {:?}", options.namespace));
        let keys: Vec<Key> =
            self.entries.lock().unwrap().keys().filter(|key| options.admits(key)).cloned().collect();
        let log = Arc::clone(&self.log);
        stream::iter(keys)
            .map(move |key| {
                log.lock().unwrap().push(format!("listed {key}"));
                Ok(EntryMeta::new(key, 1))
            })
            .take(options.limit.unwrap_or(usize::MAX))
            .boxed()
    }
}

#[async_trait]
impl Store for Recorder {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("recorder", "", Powers::default())
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, _options: GetOptions) -> Result<Option<Blob>> {
        self.note(&format!("get {blob}"), key);
        Ok(self.find(key)?.and_then(|blobs| blobs.get(blob).cloned()).map(Blob::from_bytes))
    }

    /// Blobs larger than asked for are streams, and the log tells when one is read.
    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.note("get_entry", key);
        let Some(blobs) = self.find(key)? else { return Ok(None) };
        let blob = |(name, bytes): (BlobName, Bytes)| {
            let len = bytes.len() as u64;
            if len <= options.stream_above {
                return (name, Blob::from_bytes(bytes));
            }
            let (log, what) = (Arc::clone(&self.log), format!("stream {name}"));
            let pull = async move {
                log.lock().unwrap().push(what);
                Ok(bytes)
            };
            (name, Blob::from_stream(len, len, stream::once(pull).boxed()))
        };
        let blobs = blobs.into_iter().map(blob).collect();
        Ok(Some(EntryRead::new(EntryMeta::new(key.clone(), 1), blobs)))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.note("put", key);
        if let Some(refusal) = self.refuse.lock().unwrap().clone() {
            return refusal.map(PutOutcome::refused);
        }
        assert_eq!(options.mode, PutMode::Replace, "a call is one version");
        let blobs = entry.into_blobs().into_iter().map(|(name, blob)| match blob {
            PutBlob::Bytes(bytes) => (name, bytes),
            PutBlob::Stream { .. } => panic!("calls are in hand"),
        });
        self.entries.lock().unwrap().insert(key.clone(), blobs.collect());
        Ok(PutOutcome::stored())
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.note("meta", key);
        Ok(self.find(key)?.map(|_| EntryMeta::new(key.clone(), 1)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, _scope: &Namespace, _policy: &CleanPolicy) -> Result<CleanReport> {
        Ok(CleanReport::default())
    }

    async fn flush(&self) -> Result<FlushReport> {
        Ok(FlushReport::volatile())
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        Ok(CloseReport::default())
    }
}
