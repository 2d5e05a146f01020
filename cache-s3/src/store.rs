//! The traits, for a bucket.

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutEntry, PutOptions, PutOutcome,
    Result, Store, StoreInfo, Usage, usage_by_listing,
};
use futures::stream::BoxStream;

use crate::s3_store::S3Store;

#[async_trait]
impl KeyManagement for S3Store {
    /// One request, of the last 40 bytes.
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.0.contains(key).await;
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.0.remove(key, "evict").await?;
        self.0.counters.removal();
        Ok(())
    }

    /// One request for every 1,000 entries, where the service lists by pages.
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.0.list(options)
    }
}

#[async_trait]
impl Store for S3Store {
    fn info(&self) -> StoreInfo {
        let engine = &self.0;
        let mut powers = Powers::default();
        (powers.durable, powers.shared, powers.streaming) = (true, true, true);
        powers.bounded = engine.options.owned;
        powers.cross_process_merge = engine.is_conditional;
        StoreInfo::new("s3", engine.client.location().to_string(), powers)
            .with_max_bytes(engine.options.max_bytes)
            .with_max_blob_bytes(engine.options.max_blob_bytes)
            .with_counts_stored(true)
    }

    fn metrics(&self) -> Metrics {
        self.0.counters.snapshot()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    /// One request if the object has no more than 1 MiB and some, else two; three for a part or a stream of one of several
    /// large blobs.
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = self.0.read_blob(key, blob, &options).await;
        self.0.counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = self.0.read_entry(key, &options).await;
        self.0.counters.read_with(&options, &read, |entry| entry.meta.bytes.unwrap_or(0));
        read
    }

    /// One request to replace an entry, two to merge into one or to fill it; more if it is larger than a part.
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let outcome = self.0.put_entry(key, entry, &options).await;
        let outcome = outcome.map_err(|error| {
            let operation = if error.operation().is_empty() { error.at("s3", "put") } else { error };
            operation.with_key(key)
        });
        self.0.counters.put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.0.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.0.clean(scope, policy, self.0.clock.now()).await
    }

    /// Puts are durable when they return; a budget is kept when this returns.
    async fn flush(&self) -> Result<FlushReport> {
        let flushed = self.0.flush().await;
        self.0.counters.flush(flushed.is_ok());
        flushed.map(FlushReport::durable)
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.gate.close(deadline).await
    }
}
