mod guard;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use self::guard::{digest_of, guard, mismatch};
use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Digest, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutBlob, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport, verify_by_listing,
};

/// Keeps content and name together where the name is the content's SHA-256.
///
/// A store's own checksums find damage, but not a wrong upload: a client that names its bytes falsely, by
/// mistake or on purpose, poisons the cache for everybody. In the namespaces that are given here, and in
/// all below them, the blob `data` of an entry has to have the SHA-256 that its key says:
///
/// - `put` of other content is [`Invalid`](ErrorKind::Invalid), in hand or streamed and in any mode, and
///   changes nothing. (A stream that the store refuses unread is not looked at.)
/// - `get` and `get_entry` of other content are [`Corrupt`](ErrorKind::Corrupt), and the entry is evicted,
///   with what somebody else may have put in its place just then. What a stream holds is known at its end
///   only: its pieces are handed out as they come, but for the last one, so that no complete content is
///   ever handed out unverified.
/// - `get_now` answers up to 64 KiB, verified; more has to be asked for with `get`. The store below counts
///   both.
///
/// A part of a blob has no digest to compare: ranges are passed on, and rest on what the store itself
/// verifies, as do `contains`, `meta` and listings, which do not read. Blobs with other names and other
/// namespaces pass untouched.
///
/// Each byte that is read or written is hashed. Wrap tiers that others write to or that are reached over a
/// network, inside a stack, which then heals from the next tier; skip memory tiers. Wrap outside of
/// whatever transforms content, such as compression, and outside of [`Deadline`](crate::Deadline).
#[derive(Debug)]
pub struct Verified<S> {
    inner: Arc<S>,
    namespaces: Arc<[Namespace]>,
}

/// So many bytes are hashed inline: a hit must not hold up its thread for long.
const INLINE_BYTES: usize = 64 << 10;

impl<S: Store> Verified<S> {
    /// Verifies content in `namespaces` and in all below them.
    #[must_use]
    pub fn new(inner: S, namespaces: impl IntoIterator<Item = Namespace>) -> Self {
        Self { inner: Arc::new(inner), namespaces: namespaces.into_iter().collect() }
    }

    fn covers(&self, namespace: &Namespace) -> bool {
        self.namespaces.iter().any(|covered| covered.covers(namespace))
    }

    /// A whole blob that is what its name says, or will be when its stream ends.
    async fn check(&self, key: &Key, blob: Blob, operation: &'static str) -> Result<Blob> {
        if let Some(bytes) = blob.bytes() {
            let found = digest_of(bytes).await;
            return if found == key.digest {
                Ok(blob)
            } else {
                Err(drop_entry(&*self.inner, key, found, operation).await)
            };
        }
        let (len, total, checksum) = (blob.len(), blob.total_len(), blob.checksum());
        let (store, entry) = (Arc::clone(&self.inner), key.clone());
        let refuse = move |found| async move { drop_entry(&*store, &entry, found, operation).await };
        let guarded = Blob::from_stream(len, total, guard(blob.into_stream(), key.digest, refuse));
        Ok(match checksum {
            Some(checksum) => guarded.with_checksum(checksum),
            None => guarded,
        })
    }

    /// What to put instead of a blob, so that other content is never published.
    async fn admit(&self, key: &Key, blob: PutBlob) -> Result<PutBlob> {
        let wrong = |found| mismatch(ErrorKind::Invalid, found, key).at(self.inner.info().kind, "put");
        match blob {
            PutBlob::Bytes(bytes) => {
                let found = digest_of(&bytes).await;
                if found == key.digest { Ok(PutBlob::Bytes(bytes)) } else { Err(wrong(found)) }
            }
            PutBlob::Stream { len, stream } => {
                let (store, entry) = (self.inner.info().kind, key.clone());
                let refuse =
                    |found| async move { mismatch(ErrorKind::Invalid, found, &entry).at(store, "put") };
                Ok(PutBlob::Stream { len, stream: guard(stream, key.digest, refuse) })
            }
        }
    }
}

/// Evicts an entry whose content is not what its name says; the error that tells.
async fn drop_entry<S: Store>(store: &S, key: &Key, found: Digest, operation: &'static str) -> Error {
    let error = mismatch(ErrorKind::Corrupt, found, key).at(store.info().kind, operation);
    match store.evict(key).await {
        Ok(()) => error,
        Err(left) => error.with_source(left),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Verified<S> {
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
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Verified<S> {
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
        let bytes = self.inner.get_now(key, blob)?;
        let passes = !self.covers(key.namespace) || *blob != BlobName::DATA;
        (passes || (bytes.len() <= INLINE_BYTES && Digest::of(&bytes) == *key.digest)).then_some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        // What no range was asked for is whole, whatever the store says of its length.
        let whole = options.range.is_none();
        match self.inner.get(key, blob, options).await? {
            Some(found)
                if *blob == BlobName::DATA
                    && self.covers(&key.namespace)
                    && (whole || found.len() == found.total_len()) =>
            {
                self.check(key, found, "get").await.map(Some)
            }
            found => Ok(found),
        }
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let Some(mut entry) = self.inner.get_entry(key, options).await? else { return Ok(None) };
        if self.covers(&key.namespace) {
            let mut blobs = Vec::with_capacity(entry.blobs.len());
            for (name, blob) in entry.blobs {
                let blob =
                    if name == BlobName::DATA { self.check(key, blob, "get_entry").await? } else { blob };
                blobs.push((name, blob));
            }
            entry.blobs = blobs;
        }
        Ok(Some(entry))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if !self.covers(&key.namespace) {
            return self.inner.put(key, entry, options).await;
        }
        let mut admitted = PutEntry::default();
        for (name, blob) in entry.into_blobs() {
            let blob = if name == BlobName::DATA { self.admit(key, blob).await? } else { blob };
            admitted = admitted.with_blob(name, blob);
        }
        self.inner.put(key, admitted, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.inner.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    /// Content, too; of a stack only the copy that is found first.
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

impl<S> Clone for Verified<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), namespaces: Arc::clone(&self.namespaces) }
    }
}

#[cfg(test)]
mod tests;
