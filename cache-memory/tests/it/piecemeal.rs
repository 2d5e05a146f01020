//! A memory store that streams as a store on a disk does, and that is written to between two reads.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutOptions, PutOutcome, Result,
    Store, StoreExt, StoreInfo, Usage, slice_range,
};
use cache_memory::MemoryStore;
use futures::{StreamExt, stream, stream::BoxStream};

#[derive(Clone, Debug)]
pub(crate) struct Piecemeal {
    pub(crate) inner: MemoryStore,
    /// Whether it tells checksums, also of parts.
    pub(crate) tells: bool,
    /// What is put in the entry's place after the next reads, the last one first.
    pub(crate) next: Arc<Mutex<Vec<Bytes>>>,
    /// How many bytes were handed out.
    pub(crate) read: Arc<Mutex<u64>>,
}

impl Piecemeal {
    pub(crate) fn new(inner: MemoryStore, tells: bool) -> Self {
        Self { inner, tells, next: Arc::default(), read: Arc::default() }
    }

    fn answer(&self, whole: &Blob, options: &GetOptions) -> Result<Blob> {
        let (total, checksum) = (whole.len(), whole.checksum().unwrap());
        let part = slice_range(whole.bytes().unwrap(), options.range)?;
        let len = part.len() as u64;
        let blob = if len <= options.stream_above {
            *self.read.lock().unwrap() += len;
            Blob::part(total, part)
        } else {
            let pieces: Vec<_> = part.chunks(10_000).map(|piece| part.slice_ref(piece)).collect();
            let read = Arc::clone(&self.read);
            let pieces = stream::iter(pieces).map(move |piece| {
                *read.lock().unwrap() += piece.len() as u64;
                Ok(piece)
            });
            Blob::from_stream(len, total, pieces.boxed())
        };
        Ok(if self.tells { blob.with_checksum(checksum) } else { blob })
    }

    async fn replace(&self, key: &Key) {
        let next = self.next.lock().unwrap().pop();
        if let Some(next) = next {
            self.inner.put_bytes(key, next).await.unwrap();
        }
    }
}

#[async_trait]
impl KeyManagement for Piecemeal {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.inner.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.inner.list(options)
    }
}

#[async_trait]
impl Store for Piecemeal {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.inner.get(key, blob, GetOptions::default().with_stream_above(u64::MAX)).await?;
        self.replace(key).await;
        found.map(|blob| self.answer(&blob, &options)).transpose()
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let whole = GetOptions::default().with_stream_above(u64::MAX);
        let Some(mut entry) = self.inner.get_entry(key, whole).await? else { return Ok(None) };
        self.replace(key).await;
        let mut blobs = Vec::new();
        for (name, blob) in entry.blobs {
            blobs.push((name, self.answer(&blob, &options)?));
        }
        entry.blobs = blobs;
        Ok(Some(entry))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.inner.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let meta = self.inner.meta(key).await;
        self.replace(key).await;
        meta
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}
