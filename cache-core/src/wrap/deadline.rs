use std::{borrow::Cow, future::Future, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutBlob, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport, verify_by_listing,
};

/// Ends every wait for a store after a while, with [`Timeout`](ErrorKind::Timeout).
///
/// A hung file server or an endpoint that accepts connections and never answers would otherwise make
/// every caller hang, although a cache can always be done without. The deadline covers each call of
/// `contains`, `evict`, `get`, `get_entry`, `meta` and `put`, each entry of a listing and each piece
/// of a streamed read. It does not cover a put that streams, whose pace is its source's, nor `usage`,
/// `clean`, `flush` and `close`, which take as long as there is data.
///
/// Wrap stores that cross a network, inside any wrapper that retries. Runs inside a tokio runtime with
/// time enabled.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    deadline: Duration,
}

impl<S: Store> Deadline<S> {
    /// Gives each wait for `inner` at most `deadline`.
    #[must_use]
    pub fn new(inner: S, deadline: Duration) -> Self {
        Self { inner, deadline }
    }

    async fn limit<T>(
        &self,
        operation: &'static str,
        key: &Key,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let limited = within(self.deadline, operation, work).await;
        limited.map_err(|error| place(error, || self.inner.info().kind, operation, Some(key)))
    }

    fn pace_blob(&self, blob: Blob, key: &Key) -> Blob {
        if blob.bytes().is_some() {
            return blob;
        }
        let (len, total, checksum) = (blob.len(), blob.total_len(), blob.checksum());
        let (store, key) = (self.inner.info().kind, key.clone());
        let named = move |error| place(error, || store.clone(), "get", Some(&key));
        let paced = Blob::from_stream(len, total, pace(blob.into_stream(), self.deadline, "get", named));
        match checksum {
            Some(checksum) => paced.with_checksum(checksum),
            None => paced,
        }
    }
}

/// Names the store and the key where the error does not.
fn place(
    error: Error,
    store: impl FnOnce() -> Cow<'static, str>,
    operation: &'static str,
    key: Option<&Key>,
) -> Error {
    let error = if error.store().is_empty() { error.at(store(), operation) } else { error };
    match key {
        Some(key) if error.key().is_none() => error.with_key(key),
        _ => error,
    }
}

async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if Handle::try_current().is_err() {
        let error = Error::new(ErrorKind::Unsupported, "", operation);
        return Err(error.with_detail("this runs only inside a tokio runtime"));
    }
    match timeout(deadline, work).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(Error::new(ErrorKind::Timeout, "", operation)
            .with_detail(format!("no answer within {deadline:?}"))
            .with_source(elapsed)),
    }
}

/// Ends a stream of which an item takes too long.
fn pace<T: Send + 'static>(
    stream: BoxStream<'static, Result<T>>,
    deadline: Duration,
    operation: &'static str,
    named: impl Fn(Error) -> Error + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    stream::unfold(Some(stream), move |state| async move {
        let mut stream = state?;
        match within(deadline, operation, async { stream.next().await.transpose() }).await {
            Ok(Some(item)) => Some((Ok(item), Some(stream))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .map_err(named)
    .fuse()
    .boxed()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Deadline<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.limit("contains", key, self.inner.contains(key)).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.limit("evict", key, self.inner.evict(key)).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let store = self.inner.info().kind;
        let named = move |error| place(error, || store.clone(), "list", None);
        pace(self.inner.list(options), self.deadline, "list", named)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Deadline<S> {
    /// Without spilling: a sink can be given to the inner store only.
    fn info(&self) -> StoreInfo {
        let mut info = self.inner.info();
        info.powers.spills = false;
        info
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.inner.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.limit("get", key, self.inner.get(key, blob, options)).await?;
        Ok(found.map(|blob| self.pace_blob(blob, key)))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let found = self.limit("get_entry", key, self.inner.get_entry(key, options)).await?;
        Ok(found.map(|mut entry| {
            entry.blobs =
                entry.blobs.into_iter().map(|(name, blob)| (name, self.pace_blob(blob, key))).collect();
            entry
        }))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let streams = entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
        let put = self.inner.put(key, entry, options);
        if streams { put.await } else { self.limit("put", key, put).await }
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.limit("meta", key, self.inner.meta(key)).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    /// Each read has its deadline; of a stack only the copy that is found first is read.
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        verify_by_listing(self, scope, options).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}

#[cfg(test)]
mod tests;
