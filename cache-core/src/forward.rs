//! `Arc` and `Box` of a store are stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, EvictionSink, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutOptions,
    PutOutcome, Result, SpillSource, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: KeyManagement + ?Sized> KeyManagement for $pointer<S> {
            async fn contains(&self, key: &Key) -> Result<bool> {
                (**self).contains(key).await
            }

            async fn evict(&self, key: &Key) -> Result<()> {
                (**self).evict(key).await
            }

            fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
                (**self).list(options)
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn info(&self) -> StoreInfo {
                (**self).info()
            }

            fn metrics(&self) -> Metrics {
                (**self).metrics()
            }

            fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
                (**self).get_now(key, blob)
            }

            async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
                (**self).get(key, blob, options).await
            }

            async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
                (**self).get_entry(key, options).await
            }

            async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
                (**self).put(key, entry, options).await
            }

            async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
                (**self).meta(key).await
            }

            async fn usage(&self, scope: &Namespace) -> Result<Usage> {
                (**self).usage(scope).await
            }

            async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
                (**self).clean(scope, policy).await
            }

            async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
                (**self).verify(scope, options).await
            }

            async fn flush(&self) -> Result<FlushReport> {
                (**self).flush().await
            }

            async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
                (**self).close(deadline).await
            }
        }

        #[deny(clippy::missing_trait_methods)]
        impl<S: SpillSource + ?Sized> SpillSource for $pointer<S> {
            fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
                (**self).set_sink(sink)
            }

            fn peek(&self, key: &Key) -> Option<EntryRead> {
                (**self).peek(key)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
