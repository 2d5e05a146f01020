use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutOptions,
    PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::fault::restream;

/// What a store holds below one of its namespaces, as a store of its own.
///
/// So a clause, which takes the whole store for its own, can be tried on a store that others use: its
/// entries lie below the namespace, and it sees no others. The view's root is the namespace.
///
/// A budget is everybody's, so the view declares none, nor do its metrics tell what is held. Counters, `flush` and
/// `close` are those of the store. A namespace that has no room below the view's, see
/// [`MAX_ENCODED_BYTES`](Namespace::MAX_ENCODED_BYTES), is [`Invalid`](cache_core::ErrorKind::Invalid). The
/// suite's own have up to 448 bytes.
#[derive(Clone, Debug)]
pub struct Scoped {
    inner: Arc<dyn Store>,
    namespace: Namespace,
}

impl Scoped {
    /// What `inner` holds in `namespace` and below.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, namespace: Namespace) -> Self {
        Self { inner, namespace }
    }

    /// The store's address of what the view calls `key`.
    fn inner_key(&self, key: &Key) -> Result<Key> {
        Ok(Key::new(self.namespace.join(&key.namespace)?, key.digest))
    }

    /// The view's address of what the store calls `key`. What is not below the namespace keeps its own.
    fn outer_key(&self, key: &Key) -> Key {
        let below = match key.namespace.encoded().strip_prefix(self.namespace.encoded()) {
            Some("") => Some(Namespace::root()),
            Some(rest) => rest.strip_prefix('/').and_then(Namespace::decode),
            None => None,
        };
        Key::new(below.unwrap_or_else(|| key.namespace.clone()), key.digest)
    }

    fn outer_meta(&self, mut meta: EntryMeta) -> EntryMeta {
        meta.key = self.outer_key(&meta.key);
        meta
    }

    fn outer_report(&self, report: &mut VerifyReport) {
        for key in &mut report.lost {
            *key = self.outer_key(key);
        }
        report.first_error = report.first_error.take().map(|error| self.outer_error(error));
        for (_, tier) in &mut report.tiers {
            self.outer_report(tier);
        }
    }

    fn outer_error(&self, error: Error) -> Error {
        match error.key().map(|key| self.outer_key(key)) {
            Some(key) => error.with_key(&key),
            None => error,
        }
    }

    /// A stream fails as the call does.
    fn outer_blob(&self, blob: Blob) -> Blob {
        let view = self.clone();
        restream(blob, |stream| stream.map_err(move |error| view.outer_error(error)).boxed())
    }

    fn inner_options(&self, mut options: ListOptions) -> Result<ListOptions> {
        options.namespace = self.namespace.join(&options.namespace)?;
        options.start_after = options.start_after.map(|key| self.inner_key(&key)).transpose()?;
        Ok(options)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyManagement for Scoped {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.inner.contains(&self.inner_key(key)?).await.map_err(|error| self.outer_error(error))
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(&self.inner_key(key)?).await.map_err(|error| self.outer_error(error))
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let view = self.clone();
        match self.inner_options(options) {
            Ok(options) => self
                .inner
                .list(options)
                .map(move |listed| match listed {
                    Ok(meta) => Ok(view.outer_meta(meta)),
                    Err(error) => Err(view.outer_error(error)),
                })
                .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Scoped {
    /// As the store's, without budgets.
    fn info(&self) -> StoreInfo {
        let mut info = self.inner.info();
        withdraw_budgets(&mut info);
        info
    }

    /// Those of the whole store; what it holds is not what the view does.
    fn metrics(&self) -> Metrics {
        let mut metrics = self.inner.metrics();
        (metrics.entries, metrics.resident_bytes) = (None, None);
        metrics
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.inner.get_now(self.inner_key(&key.to_key()).ok()?.view(), blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let key = self.inner_key(key)?;
        let found = self.inner.get(&key, blob, options).await.map_err(|error| self.outer_error(error))?;
        Ok(found.map(|blob| self.outer_blob(blob)))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let found = self.inner.get_entry(&self.inner_key(key)?, options).await;
        let found = found.map_err(|error| self.outer_error(error))?;
        Ok(found.map(|read| {
            let blobs = read.blobs.into_iter().map(|(name, blob)| (name, self.outer_blob(blob)));
            EntryRead::new(self.outer_meta(read.meta), blobs.collect())
        }))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let key = self.inner_key(key)?;
        self.inner.put(&key, entry, options).await.map_err(|error| self.outer_error(error))
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let found = self.inner.meta(&self.inner_key(key)?).await;
        let found = found.map_err(|error| self.outer_error(error))?;
        Ok(found.map(|meta| self.outer_meta(meta)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let scope = self.namespace.join(scope)?;
        self.inner.usage(&scope).await.map_err(|error| self.outer_error(error))
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let scope = self.namespace.join(scope)?;
        self.inner.clean(&scope, policy).await.map_err(|error| self.outer_error(error))
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        let scope = self.namespace.join(scope)?;
        let mut report = self.inner.verify(&scope, options).await.map_err(|error| self.outer_error(error))?;
        self.outer_report(&mut report);
        Ok(report)
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await.map_err(|error| self.outer_error(error))
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await.map_err(|error| self.outer_error(error))
    }
}

/// A view keeps no budget, and shows none, not even one of a tier.
fn withdraw_budgets(info: &mut StoreInfo) {
    (info.max_bytes, info.max_entries, info.powers.bounded) = (None, None, false);
    for (_, tier) in &mut info.tiers {
        withdraw_budgets(tier);
    }
}

#[cfg(test)]
mod tests;
