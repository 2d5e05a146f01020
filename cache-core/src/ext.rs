use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Blob, BlobName, ByteRange, CopyOptions, CopyReport, Digest, DigestPrefix, GetOptions, Key, KeyRef,
    Namespace, PutEntry, PutOptions, PutOutcome, Result, Store, copy, resolve,
};

/// What every store can do on top of [`Store`], written once: short digests and convenient forms.
///
/// # Contract
///
/// Every clause is a test of that name in the `cache-conformance` crate.
///
/// - `expand_finds_the_only_match`: of a prefix with any number of digits.
/// - `expand_without_match_is_not_found`: [`NotFound`](crate::ErrorKind::NotFound).
/// - `expand_of_two_matches_is_ambiguous`: [`Ambiguous`](crate::ErrorKind::Ambiguous), with the two smallest matches.
/// - `expand_survives_rewrites`: an entry that is put again meanwhile stays one candidate, always found.
/// - `expand_of_a_full_digest_asks_nobody`: it comes back as it is, present or not.
/// - `shrink_gives_the_shortest_prefix`: of at least 4 digits, and it expands to the same digest.
/// - `shrink_of_an_absent_key_is_not_found`: [`NotFound`](crate::ErrorKind::NotFound).
/// - `shrink_of_twins_is_ambiguous`: where two digests share 63 digits.
/// - `shrink_of_nothing_is_invalid`: [`Invalid`](crate::ErrorKind::Invalid).
/// - `shrink_all_keeps_the_order`: one prefix for each digest, in the order given.
/// - `short_digests_read_and_evict`: they address what they expand to, and are ambiguous alike.
/// - `short_digest_without_match_is_a_miss`: for reads, existence and evictions.
#[async_trait]
pub trait StoreExt: Store {
    /// The one full digest in `namespace` that `digest` stands for. A full one comes back as it is.
    ///
    /// Looks at no more than the two smallest matches.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) without a match,
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) with two; what listing fails with.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn expand(&self, namespace: &Namespace, digest: KeyRef) -> Result<Digest> {
        resolve::expand(self, namespace, digest, "expand").await
    }

    /// The shortest prefix, of at least 4 digits, that stands for this key alone.
    ///
    /// Costs one limited listing for most keys, about eight for keys with near neighbours.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if the key is absent,
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) if another one shares 63 digits with it; what listing
    /// fails with.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn shrink(&self, key: &Key) -> Result<DigestPrefix> {
        resolve::shrink(self, key, DigestPrefix::DEFAULT_MIN_DIGITS).await
    }

    /// [`shrink`](Self::shrink) of many digests of one namespace, in the order given. Costs at most
    /// one listing of the namespace, and none if the digests are few.
    ///
    /// # Errors
    ///
    /// As [`shrink`](Self::shrink); [`Invalid`](crate::ErrorKind::Invalid) without digests.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn shrink_all(&self, namespace: &Namespace, digests: &[Digest]) -> Result<Vec<DigestPrefix>> {
        resolve::shrink_all(self, namespace, digests, DigestPrefix::DEFAULT_MIN_DIGITS).await
    }

    /// The key that `digest` stands for: a full one as it is, a short one expanded, `None` if it
    /// matches nothing. All short forms go through here.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) with two matches; what listing fails with.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn resolve(&self, namespace: &Namespace, digest: KeyRef) -> Result<Option<Key>> {
        resolve::resolve(self, namespace, digest, "resolve").await
    }

    /// [`get`](Store::get) of a digest that may be short.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve) and [`get`](Store::get).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn get_short(
        &self,
        namespace: &Namespace,
        digest: KeyRef,
        blob: &BlobName,
        options: GetOptions,
    ) -> Result<Option<Blob>> {
        match self.resolve(namespace, digest).await? {
            Some(key) => self.get(&key, blob, options).await,
            None => Ok(None),
        }
    }

    /// [`contains`](crate::KeyManagement::contains) of a digest that may be short.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve) and [`contains`](crate::KeyManagement::contains).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn contains_short(&self, namespace: &Namespace, digest: KeyRef) -> Result<bool> {
        match self.resolve(namespace, digest).await? {
            Some(key) => self.contains(&key).await,
            None => Ok(false),
        }
    }

    /// [`evict`](crate::KeyManagement::evict) of a digest that may be short.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve) and [`evict`](crate::KeyManagement::evict).
    ///
    /// # Cancel safety
    ///
    /// As [`evict`](crate::KeyManagement::evict).
    async fn evict_short(&self, namespace: &Namespace, digest: KeyRef) -> Result<()> {
        match self.resolve(namespace, digest).await? {
            Some(key) => self.evict(&key).await,
            None => Ok(()),
        }
    }

    /// A whole blob in hand, of any size up to the store's limit.
    ///
    /// # Errors
    ///
    /// As [`get`](Store::get).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn get_bytes(&self, key: &Key, blob: &BlobName) -> Result<Option<Bytes>> {
        if let Some(bytes) = self.get_now(key.view(), blob) {
            return Ok(Some(bytes));
        }
        match self.get(key, blob, GetOptions::default()).await? {
            Some(blob) => blob.collect(self.info().max_blob_bytes.unwrap_or(u64::MAX)).await.map(Some),
            None => Ok(None),
        }
    }

    /// A part of a blob in hand.
    ///
    /// # Errors
    ///
    /// As [`get`](Store::get).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn get_range(&self, key: &Key, blob: &BlobName, range: ByteRange) -> Result<Option<Bytes>> {
        match self.get(key, blob, GetOptions::default().with_range(range)).await? {
            Some(blob) => blob.collect(self.info().max_blob_bytes.unwrap_or(u64::MAX)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the entry by one blob named `data`.
    ///
    /// # Errors
    ///
    /// As [`put`](Store::put).
    ///
    /// # Cancel safety
    ///
    /// As [`put`](Store::put).
    async fn put_bytes(&self, key: &Key, bytes: Bytes) -> Result<PutOutcome> {
        self.put(key, PutEntry::data(bytes), PutOptions::default()).await
    }

    /// Copies the entries of a namespace, and of all below it, to another store: each as a whole, in one version, with
    /// the time of its modification, and in the order of their keys. Reads leave no trace at the source. Blobs over
    /// 1 MiB are streamed, where the source has that power. Tiers of a stack are copied by copying their stores.
    ///
    /// What the target has already in the same version is skipped, so that a copy that was interrupted is gone on
    /// with by doing it again, or sooner from where [it came to](crate::CopyReport::resume_after).
    /// Another version is replaced if it is [older](crate::Overwrite). What is put or removed meanwhile, on
    /// either side, may be copied or not.
    ///
    /// An entry that cannot be copied is counted, and the others are; the [report](crate::CopyReport) tells of it.
    /// Each that was written is read back and compared, and at the end the target is flushed.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if both are the same store; what the listing fails with if it
    /// fails at once; [`Closed`](crate::ErrorKind::Closed). Other failures are in the report.
    ///
    /// # Cancel safety
    ///
    /// What was copied stays, maybe not read back or flushed. Each entry of the target is the old one or the new
    /// one.
    async fn copy_to(&self, to: &dyn Store, scope: &Namespace, options: &CopyOptions) -> Result<CopyReport> {
        copy::copy(self, to, scope, options).await
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
