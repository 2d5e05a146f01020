//! The traits of a store, implemented once for all faults.

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutBlob, PutEntry, PutOptions, PutOutcome,
    Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport, verify_by_listing,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::{Call, Corrupting, Flaky, Full, Hanging, Slow, Torn};

/// What goes wrong with the calls of a store. Clones share what is armed.
pub(crate) trait Fault: Clone + Debug + Send + Sync + 'static {
    /// Goes around each call; `work` is the call itself.
    fn around<T: Send>(
        &self,
        _call: Call,
        _key: Option<&Key>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        work
    }

    /// Answers for `get_now`.
    fn get_now(&self, store: &impl Store, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        store.get_now(key, name)
    }

    /// What is handed out of a blob that was read.
    fn blob(
        &self,
        _store: &impl Store,
        _key: &Key,
        _name: &BlobName,
        _options: &GetOptions,
        blob: Blob,
    ) -> impl Future<Output = Blob> + Send {
        async { blob }
    }

    /// Puts.
    fn put(
        &self,
        store: &impl Store,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> impl Future<Output = Result<PutOutcome>> + Send {
        async { store.put(key, entry, options).await }
    }
}

macro_rules! inject {
    ($name:ident) => {
        impl<S: Store> $name<S> {
            /// Goes around `inner`, and does nothing until it is armed.
            #[must_use]
            pub fn new(inner: S) -> Self {
                Self { inner: Arc::new(inner), fault: Default::default() }
            }

            /// The store that this one goes around.
            #[must_use]
            pub fn inner(&self) -> &S {
                &self.inner
            }
        }

        impl<S> Clone for $name<S> {
            fn clone(&self) -> Self {
                Self { inner: Arc::clone(&self.inner), fault: self.fault.clone() }
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: Store> KeyManagement for $name<S> {
            async fn contains(&self, key: &Key) -> Result<bool> {
                self.fault.around(Call::Contains, Some(key), self.inner.contains(key)).await
            }

            async fn evict(&self, key: &Key) -> Result<()> {
                self.fault.around(Call::Evict, Some(key), self.inner.evict(key)).await
            }

            fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
                let Self { inner, fault } = self.clone();
                let begun = async move {
                    fault.around(Call::List, None, async move { Ok(inner.list(options)) }).await
                };
                stream::once(begun).try_flatten().boxed()
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: Store> Store for $name<S> {
            fn info(&self) -> StoreInfo {
                self.inner.info()
            }

            fn metrics(&self) -> Metrics {
                self.inner.metrics()
            }

            fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
                self.fault.get_now(&*self.inner, key, blob)
            }

            async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
                let read = self.inner.get(key, blob, options.clone());
                let Some(found) = self.fault.around(Call::Get, Some(key), read).await? else {
                    return Ok(None);
                };
                Ok(Some(self.fault.blob(&*self.inner, key, blob, &options, found).await))
            }

            async fn get_entry(&self, key: &Key, mut options: GetOptions) -> Result<Option<EntryRead>> {
                let read = self.inner.get_entry(key, options.clone());
                let Some(mut entry) = self.fault.around(Call::GetEntry, Some(key), read).await? else {
                    return Ok(None);
                };
                options.range = None;
                let mut blobs = Vec::new();
                for (name, blob) in entry.blobs {
                    let blob = self.fault.blob(&*self.inner, key, &name, &options, blob).await;
                    blobs.push((name, blob));
                }
                entry.blobs = blobs;
                Ok(Some(entry))
            }

            async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
                let streams = entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
                let call = if streams { Call::PutStream } else { Call::Put };
                let put = self.fault.put(&*self.inner, key, entry, options);
                self.fault.around(call, Some(key), put).await
            }

            async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
                self.fault.around(Call::Meta, Some(key), self.inner.meta(key)).await
            }

            async fn usage(&self, scope: &Namespace) -> Result<Usage> {
                self.fault.around(Call::Usage, None, self.inner.usage(scope)).await
            }

            async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
                self.fault.around(Call::Clean, None, self.inner.clean(scope, policy)).await
            }

            async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
                verify_by_listing(self, scope, options).await
            }

            async fn flush(&self) -> Result<FlushReport> {
                self.fault.around(Call::Flush, None, self.inner.flush()).await
            }

            async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
                self.fault.around(Call::Close, None, self.inner.close(deadline)).await
            }
        }
    };
}

inject!(Flaky);
inject!(Slow);
inject!(Hanging);
inject!(Torn);
inject!(Corrupting);
inject!(Full);
