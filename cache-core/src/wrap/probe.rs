//! A store for the decorators' tests: a map of entries, a log of what was asked, and faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::{
    Blob, BlobMeta, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutEntry,
    PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo, Usage, slice_range, usage_by_listing,
};

type Blobs = BTreeMap<BlobName, Bytes>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    pub(crate) entries: Arc<Mutex<BTreeMap<Key, Blobs>>>,
    pub(crate) calls: Arc<Mutex<Vec<&'static str>>>,
    pub(crate) faults: Arc<Mutex<VecDeque<Error>>>,
    /// How streams of this store end, instead of with their last piece.
    pub(crate) broken: Option<ErrorKind>,
    /// So much longer than they are, blobs claim to be.
    pub(crate) claims: u64,
    /// How long each call waits before it does anything.
    pub(crate) delay: Duration,
    /// What it says of itself.
    pub(crate) powers: Powers,
    pub(crate) metrics: Metrics,
    /// Refuses every put, as if it were over the budget.
    pub(crate) refusing: bool,
}

impl Probe {
    /// The length of the pieces of streams.
    pub(crate) const PIECE: usize = 4;

    /// Writes past all faults, and without a look at the content.
    pub(crate) fn plant(&self, key: &Key, name: BlobName, bytes: &'static str) {
        self.entries.lock().unwrap().entry(key.clone()).or_default().insert(name, bytes.into());
    }

    /// What the entry holds, without a call.
    pub(crate) fn holds(&self, key: &Key, name: &BlobName) -> Option<Bytes> {
        self.entries.lock().unwrap().get(key)?.get(name).cloned()
    }

    /// Has the next calls fail in this order.
    pub(crate) fn fail_next(&self, kinds: impl IntoIterator<Item = ErrorKind>) {
        let error = |kind| Error::new(kind, "probe", "call").with_detail("on demand");
        self.faults.lock().unwrap().extend(kinds.into_iter().map(error));
    }

    /// What was called since the last question.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn call(&self, operation: &'static str) -> Result<()> {
        self.calls.lock().unwrap().push(operation);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.faults.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn blob(&self, bytes: &Bytes, options: &GetOptions) -> Result<Blob> {
        let part = slice_range(bytes, options.range)?;
        let (len, total) = (part.len() as u64, bytes.len() as u64 + self.claims);
        if len <= options.stream_above {
            return Ok(Blob::part(total, part));
        }
        let mut pieces: Vec<Result<Bytes>> =
            part.chunks(Self::PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if let Some(kind) = self.broken {
            pieces.pop();
            pieces.push(Err(Error::new(kind, "probe", "get")));
        }
        Ok(Blob::from_stream(len, total, stream::iter(pieces).boxed()))
    }

    fn describe(key: &Key, blobs: &Blobs) -> EntryMeta {
        let blob = |(name, bytes): (&BlobName, &Bytes)| BlobMeta::new(name.clone(), bytes.len() as u64, None);
        EntryMeta::new(key.clone(), 1).with_blobs(blobs.iter().map(blob).collect())
    }

    fn find(&self, key: &Key) -> Option<Blobs> {
        self.entries.lock().unwrap().get(key).cloned()
    }
}

#[async_trait]
impl KeyManagement for Probe {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.call("contains").await?;
        Ok(self.find(key).is_some())
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.call("evict").await?;
        self.entries.lock().unwrap().remove(key);
        Ok(())
    }

    /// A fault comes first, the kind in `broken` after the first entry.
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let probe = self.clone();
        let begun = async move {
            probe.call("list").await?;
            let entries = probe.entries.lock().unwrap().clone();
            let admitted = entries.into_iter().filter(|(key, _)| options.admits(key));
            let mut listed: Vec<_> = admitted.map(|(key, blobs)| Ok(Self::describe(&key, &blobs))).collect();
            if let Some(kind) = probe.broken {
                listed.truncate(1);
                listed.push(Err(Error::new(kind, "probe", "list")));
            }
            Ok(stream::iter(listed))
        };
        stream::once(begun).try_flatten().boxed()
    }
}

#[async_trait]
impl Store for Probe {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("probe", "here", self.powers).with_max_bytes(Some(1000)).with_max_blob_bytes(Some(500))
    }

    fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.calls.lock().unwrap().push("get_now");
        self.holds(&key.to_key(), blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.call("get").await?;
        self.holds(key, blob).map(|bytes| self.blob(&bytes, &options)).transpose()
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.call("get_entry").await?;
        let Some(blobs) = self.find(key) else { return Ok(None) };
        let meta = Self::describe(key, &blobs);
        let read = blobs.into_iter().map(|(name, bytes)| Ok((name, self.blob(&bytes, &options)?)));
        Ok(Some(EntryRead::new(meta, read.collect::<Result<_>>()?)))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.call("put").await?;
        let read = entry.collect(None).await?;
        if self.refusing {
            return Ok(PutOutcome::refused(Refusal::OverBudget));
        }
        let mut entries = self.entries.lock().unwrap();
        let there = entries.remove(key).unwrap_or_default();
        entries.insert(key.clone(), options.mode.apply(there, read));
        Ok(PutOutcome::stored())
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.call("meta").await?;
        Ok(self.find(key).map(|blobs| Self::describe(key, &blobs)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.call("usage").await?;
        let silent = Self { calls: Arc::default(), ..self.clone() };
        usage_by_listing(&silent, scope).await
    }

    async fn clean(&self, _scope: &Namespace, _policy: &CleanPolicy) -> Result<CleanReport> {
        self.call("clean").await?;
        self.entries.lock().unwrap().clear();
        Ok(CleanReport::default())
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.call("flush").await?;
        Ok(FlushReport::durable(7))
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        self.call("close").await?;
        Ok(CloseReport::left(3))
    }
}
