use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};

/// Reads from a store and refuses to write to it.
///
/// A store that only trusted builds may fill is still to be read by all others, such as those of pull
/// requests. `put`, `evict` and `clean` are [`Unsupported`](ErrorKind::Unsupported) before anything
/// below is asked. `flush` asks nothing either: nothing was accepted here that it could make durable, and
/// bringing a store within its budget evicts. It reports what the store declares. `close` closes the
/// store below.
///
/// Reads are passed on as they are, so a store below may keep recency by them, copy an entry into a
/// faster tier or drop a damaged one. Wrap a tier instead of the stack where it must not even be promoted
/// to. A stream that is given to `put` is dropped unread.
///
/// Wrap outermost, so that a refusal is neither retried nor waited for; only
/// [`Metered`](crate::Metered) goes around it, to count refusals. It guards against mistakes, not against
/// code that holds the store below.
#[derive(Clone, Debug)]
pub struct ReadOnly<S> {
    inner: S,
    closed: Arc<AtomicBool>,
}

impl<S: Store> ReadOnly<S> {
    /// Reads from `inner`.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, closed: Arc::default() }
    }

    fn error(&self, kind: ErrorKind, operation: &'static str) -> Error {
        Error::new(kind, self.inner.info().kind, operation)
    }

    fn refuse(&self, operation: &'static str) -> Error {
        if self.is_closed() {
            return self.error(ErrorKind::Closed, operation);
        }
        self.error(ErrorKind::Unsupported, operation).with_detail("the cache is read-only here")
    }

    /// Known here for the operations that do not ask the store below.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for ReadOnly<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.inner.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        Err(self.refuse("evict").with_key(key))
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.inner.list(options)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for ReadOnly<S> {
    /// Without the powers that only a writer could use. The budget stays: entries come and go by it.
    fn info(&self) -> StoreInfo {
        let mut info = self.inner.info();
        (info.powers.cross_process_merge, info.powers.spills) = (false, false);
        info
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.inner.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.inner.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.inner.get_entry(key, options).await
    }

    async fn put(&self, key: &Key, _entry: PutEntry, _options: PutOptions) -> Result<PutOutcome> {
        Err(self.refuse("put").with_key(key))
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.inner.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner.usage(scope).await
    }

    async fn clean(&self, _scope: &Namespace, _policy: &CleanPolicy) -> Result<CleanReport> {
        Err(self.refuse("clean"))
    }

    /// Without repairs.
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.inner.verify(scope, &options.clone().with_repair(false)).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        if self.is_closed() {
            return Err(self.error(ErrorKind::Closed, "flush"));
        }
        let durable = self.inner.info().powers.durable;
        Ok(if durable { FlushReport::durable(0) } else { FlushReport::volatile() })
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.closed.store(true, Ordering::Release);
        self.inner.close(deadline).await
    }
}

#[cfg(test)]
mod tests;
