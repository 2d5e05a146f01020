use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, EvictionSink, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutOptions,
    PutOutcome, Result, SpillSource, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};
use futures::stream::BoxStream;

use crate::ReferenceStore;

/// What a mutant does otherwise than the reference store, which does everything else.
#[async_trait]
pub(crate) trait Twist: Debug + Send + Sync + 'static {
    fn inner(&self) -> &ReferenceStore;

    async fn contains(&self, key: &Key) -> Result<bool> {
        self.inner().contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner().evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.inner().list(options)
    }

    fn info(&self) -> StoreInfo {
        self.inner().info()
    }

    fn metrics(&self) -> Metrics {
        self.inner().metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.inner().get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.inner().get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.inner().get_entry(key, options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.inner().put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.inner().meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner().usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner().clean(scope, policy).await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.inner().verify(scope, options).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner().flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner().close(deadline).await
    }

    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
        self.inner().set_sink(sink)
    }

    fn peek(&self, key: &Key) -> Option<EntryRead> {
        self.inner().peek(key)
    }
}

/// Declares a twist: around the store, and what it has beside that, the methods that differ.
macro_rules! twist {
    ($name:ident $(($($beside:ty),*))? { $($methods:tt)* }) => {
        #[derive(Debug)]
        struct $name(ReferenceStore $(, $($beside),*)?);

        #[async_trait]
        impl Twist for $name {
            fn inner(&self) -> &ReferenceStore {
                &self.0
            }

            $($methods)*
        }
    };
}
pub(crate) use twist;

/// A twist as a store.
pub(crate) fn twisted(twist: impl Twist) -> Result<Arc<dyn SpillSource>> {
    Ok(Arc::new(Twisted(twist)))
}

#[derive(Debug)]
struct Twisted<T>(T);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Twist> KeyManagement for Twisted<T> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.0.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.0.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.0.list(options)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Twist> Store for Twisted<T> {
    fn info(&self) -> StoreInfo {
        self.0.info()
    }

    fn metrics(&self) -> Metrics {
        self.0.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.0.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.0.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.0.get_entry(key, options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.0.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.0.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.0.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.0.clean(scope, policy).await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.0.verify(scope, options).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.0.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.close(deadline).await
    }
}

#[deny(clippy::missing_trait_methods)]
impl<T: Twist> SpillSource for Twisted<T> {
    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
        self.0.set_sink(sink)
    }

    fn peek(&self, key: &Key) -> Option<EntryRead> {
        self.0.peek(key)
    }
}
