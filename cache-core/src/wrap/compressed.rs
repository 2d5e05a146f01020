mod feed;
mod find;
mod format;
mod hop;
mod options;
mod pack;
mod read;
mod sizes;
mod unpack;
mod write;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

pub use self::options::CompressOptions;
use self::{
    format::Header,
    unpack::{INLINE_BYTES, told_in, unpack},
};
use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Counters, EntryMeta, EntryRead, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutOptions,
    PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};

/// Stores blobs compressed.
///
/// Logs, object code and serialized values shrink to a third or less, and a disk or a network is slower
/// than zstd: an entry that is read costs less time than its bytes would, and a budget holds more of them.
///
/// A blob is stored as it is, to the byte, unless compressing saves at least a sixteenth of it; what is
/// compressed already costs one try. The first 256 KiB decide for a stream. A store can be wrapped at any
/// time: what it holds reads as before, but for blobs that begin with the magic of a compressed one.
///
/// ```
/// use cache_core::{CompressOptions, Compressed, Store};
///
/// fn shrink<S: Store>(disk: S) -> Compressed<S> {
///     Compressed::with_options(disk, CompressOptions::default().with_level(6))
/// }
/// # let _ = shrink::<std::sync::Arc<dyn Store>>;
/// ```
///
/// Where to put it: around stores on a disk or behind a network, as a tier below those in memory, which
/// then answer without decompressing. Inside [`Metered`](crate::Metered), [`Retrying`](crate::Retrying)
/// and [`Verified`](crate::Verified), outside [`Deadline`](crate::Deadline), which is for the store alone.
/// Not around memory, where it turns hits that share bytes into copies, and not twice.
///
/// What differs from the store below:
///
/// - Lengths, ranges, checksums and `max_blob_bytes` are of the content. Budgets, `usage`, `clean` and
///   listings count the blobs as they are stored, without what the store below adds to them; listings do
///   not tell the bytes of contents.
/// - `meta` tells the content's length, which stands in the blob. Of the last 30,000 blobs or more that
///   were written or read here it is known, in at most some 5 MB, and taken if the stored bytes and the
///   time of creation agree. Else up to two short reads find it, which leave no trace below.
/// - A range is cut from the whole, which is read and decompressed up to the range's end. Of a blob that
///   is stored as it is, the part alone is read, if the store below tells checksums of what it streams.
/// - Reads, puts and bytes are counted here, as callers see them; the rest is the store's.
/// - A blob that begins with 5 of the magic's 8 bytes is stored in a frame of 64 bytes and 16 for each
///   256 KiB more, and so is refused if this brings it over the store's limit.
///
/// Damage is [`Corrupt`](crate::ErrorKind::Corrupt), and the entry is evicted. What a newer version of this
/// crate has written is [`Unsupported`](crate::ErrorKind::Unsupported), and stays. Only a blob that was cut to no
/// bytes at all passes for an empty one.
///
/// Up to 64 KiB are compressed and decompressed inline, more by tokio's blocking threads, if there is a
/// runtime. A stream takes a few times 256 KiB of memory, in either direction.
#[derive(Debug)]
pub struct Compressed<S> {
    inner: Arc<S>,
    /// That of the inner store: constant.
    info: Arc<StoreInfo>,
    options: CompressOptions,
    counters: Arc<Counters>,
    sizes: Arc<sizes::Sizes>,
}

impl<S: Store> Compressed<S> {
    /// Compresses at level 3 what is put into `inner`.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self::with_options(inner, CompressOptions::default())
    }

    /// [`new`](Self::new) with another level or another smallest blob.
    #[must_use]
    pub fn with_options(inner: S, options: CompressOptions) -> Self {
        Self {
            info: Arc::new(inner.info()),
            inner: Arc::new(inner),
            options,
            counters: Arc::default(),
            sizes: Arc::default(),
        }
    }

    /// Counts damage that shows later.
    fn watch(&self, blob: Blob) -> Blob {
        let counters = Arc::clone(&self.counters);
        blob.on_damage(move || counters.corrupt())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Compressed<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.inner.contains(key).await;
        self.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let unread = |entry: EntryMeta| EntryMeta {
            stored_bytes: entry.counted_bytes(),
            bytes: None,
            blobs: Vec::new(),
            ..entry
        };
        self.inner.list(options).map_ok(unread).boxed()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Compressed<S> {
    fn info(&self) -> StoreInfo {
        let mut info = (*self.info).clone();
        (info.powers.shared_bytes, info.powers.spills) = (false, false);
        info.counts_stored = true;
        info
    }

    fn metrics(&self) -> Metrics {
        let own = self.counters.snapshot();
        Metrics {
            hits: own.hits,
            misses: own.misses,
            errors: own.errors,
            corrupt: own.corrupt,
            contains_hits: own.contains_hits,
            contains_misses: own.contains_misses,
            puts: own.puts,
            refused_puts: own.refused_puts,
            put_errors: own.put_errors,
            bytes_in: own.bytes_in,
            bytes_out: own.bytes_out,
            ..self.inner.metrics()
        }
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let stored = self.inner.get_now(key, blob)?;
        let content = match Header::read(&stored).ok()? {
            None if self.info.powers.shared_bytes => Bytes::copy_from_slice(&stored),
            None => stored,
            Some(header) => {
                let told = told_in(header, &stored).ok()?;
                let limit = self.info.max_blob_bytes.unwrap_or(u64::MAX).min(INLINE_BYTES as u64);
                if told.len > limit {
                    return None;
                }
                unpack(header, told, &stored).ok()?.into()
            }
        };
        self.counters.hit(content.len() as u64);
        Some(content)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = match self.find(key, blob, &options).await {
            Err(error) => Err(self.fail(key, error, "get").await),
            found => found,
        };
        self.counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = match self.find_entry(key, &options).await {
            Err(error) => Err(self.fail(key, error, "get_entry").await),
            found => found,
        };
        self.counters.read_with(&options, &read, |entry| {
            entry.blobs.iter().map(|(_, blob)| blob.len()).fold(0, u64::saturating_add)
        });
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let outcome = match self.store(key, entry, options).await {
            Err(error) => Err(self.fail(key, error, "put").await),
            outcome => outcome,
        };
        self.counters.put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        match self.find_meta(key).await {
            Err(error) => Err(self.fail(key, error, "meta").await),
            found => found,
        }
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let usage = self.inner.usage(scope).await?;
        Ok(Usage { stored_bytes: usage.bytes, ..usage })
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    /// Of what is stored.
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        let report = self.inner.verify(scope, options).await;
        self.counters.verified(&report);
        report
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}

impl<S> Clone for Compressed<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            info: Arc::clone(&self.info),
            options: self.options,
            counters: Arc::clone(&self.counters),
            sizes: Arc::clone(&self.sizes),
        }
    }
}

#[cfg(test)]
mod tests;
