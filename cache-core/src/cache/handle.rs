use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;

use crate::{
    Blob, BlobName, Counters, Digest, DigestPrefix, EntryHandle, EntryMeta, Error, ErrorKind, GetOptions,
    Key, KeyManagement, KeyRef, Namespace, PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo,
    resolve,
};

/// A cache as an application holds it: a store and a namespace in it.
///
/// Clones and [`namespace`](Self::namespace) views are cheap and share the store and the counters.
/// Digests may be given short wherever a [`KeyRef`] is taken. Damage that the store finds is a miss
/// here, and counted, unless [`report_corruption`](Self::report_corruption) asks for the error.
///
/// See the `cache` crate for how to open one.
#[derive(Clone, Debug)]
pub struct Cache {
    store: Arc<dyn Store>,
    namespace: Namespace,
    counters: Arc<Counters>,
    max_blob_bytes: Option<u64>,
    min_digits: usize,
    report_corruption: bool,
}

impl Cache {
    /// The whole of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let max_blob_bytes = store.info().max_blob_bytes;
        Self {
            store,
            namespace: Namespace::root(),
            counters: Arc::default(),
            max_blob_bytes,
            min_digits: DigestPrefix::DEFAULT_MIN_DIGITS,
            report_corruption: false,
        }
    }

    /// Refuses short digests of fewer digits, 4 by default. Clamped to 1..=63.
    #[must_use]
    pub fn with_min_digits(mut self, digits: usize) -> Self {
        self.min_digits = digits.clamp(1, Digest::DIGITS - 1);
        self
    }

    /// Answers damage as an error of kind [`Corrupt`](ErrorKind::Corrupt) instead of a miss.
    #[must_use]
    pub fn report_corruption(mut self) -> Self {
        self.report_corruption = true;
        self
    }

    /// A view of the namespace `part` below this one. It shares everything but the address.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if `part` is not one safe path component.
    pub fn namespace(&self, part: impl AsRef<str>) -> Result<Self> {
        Ok(Self { namespace: self.namespace.child(part)?, ..self.clone() })
    }

    /// The namespace that this handle looks in.
    #[must_use]
    pub fn address(&self) -> &Namespace {
        &self.namespace
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What the store is.
    #[must_use]
    pub fn info(&self) -> StoreInfo {
        self.store.info()
    }

    /// The named blobs of one entry.
    #[must_use]
    pub fn entry(&self, digest: impl Into<KeyRef>) -> EntryHandle {
        EntryHandle::new(self.clone(), digest.into())
    }

    /// The value of `digest`, which is the blob named `data`.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`](ErrorKind::Ambiguous) or [`Invalid`](ErrorKind::Invalid) for a short digest that
    /// matches twice or is too short; else if the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// The entry stays as it is. A stack may go on copying it into a faster tier.
    pub async fn get(&self, digest: impl Into<KeyRef>) -> Result<Option<Bytes>> {
        self.get_blob(digest.into(), &BlobName::DATA).await
    }

    pub(crate) async fn get_blob(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        if let KeyRef::Digest(digest) = digest
            && let Some(bytes) = self.store.get_now(&self.key(digest), blob)
        {
            self.counters.hit(bytes.len() as u64);
            return Ok(Some(bytes));
        }
        let read = match self.find(digest, blob, GetOptions::default()).await {
            Ok(Some(blob)) => blob.collect(self.max_blob_bytes.unwrap_or(u64::MAX)).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.counters.read(&read, |bytes| bytes.len() as u64);
        self.soften(read)
    }

    /// A blob as the store hands it out: bytes or a stream, of all of it or of a range.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`Invalid`](ErrorKind::Invalid) for a range past the end.
    ///
    /// # Cancel safety
    ///
    /// As [`get`](Self::get).
    pub async fn get_with(
        &self,
        digest: impl Into<KeyRef> + Send,
        blob: &BlobName,
        options: GetOptions,
    ) -> Result<Option<Blob>> {
        let read = self.find(digest.into(), blob, options).await;
        self.counters.read(&read, Blob::len);
        let counters = Arc::clone(&self.counters);
        let counted = read.map(|found| found.map(|blob| blob.on_damage(move || counters.corrupt())));
        self.soften(counted)
    }

    async fn find(&self, digest: KeyRef, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.resolve(digest, "get").await? {
            Some(key) => self.store.get(&key, blob, options).await,
            None => Ok(None),
        }
    }

    /// Makes `bytes` the whole value of `digest`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) over the limit for one blob; else if the store failed. The
    /// older value is intact.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old value or the new one.
    pub async fn put(&self, digest: Digest, bytes: impl Into<Bytes>) -> Result<PutOutcome> {
        let entry = PutEntry::data(bytes);
        self.put_with(digest, entry, PutOptions::default()).await
    }

    /// Writes named blobs at once, in hand or streamed, in any mode.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old entry or the new one.
    pub async fn put_with(&self, digest: Digest, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let outcome = self.store.put(&self.key(digest), entry, options).await;
        self.counters.put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    /// Whether the entry is there; neither recency nor promotion.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn contains(&self, digest: impl Into<KeyRef>) -> Result<bool> {
        let answer = match self.resolve(digest.into(), "contains").await {
            Ok(Some(key)) => self.store.contains(&key).await,
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        self.counters.contains(&answer);
        answer
    }

    /// Removes the entry; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// As [`contains`](Self::contains); the entry may still be there.
    ///
    /// # Cancel safety
    ///
    /// The entry is afterwards there as a whole or gone as a whole.
    pub async fn evict(&self, digest: impl Into<KeyRef>) -> Result<()> {
        if let Some(key) = self.resolve(digest.into(), "evict").await? {
            self.store.evict(&key).await?;
            self.counters.removal();
        }
        Ok(())
    }

    /// What is known of the entry without reading it.
    ///
    /// # Errors
    ///
    /// As [`contains`](Self::contains).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn meta(&self, digest: impl Into<KeyRef>) -> Result<Option<EntryMeta>> {
        match self.resolve(digest.into(), "meta").await? {
            Some(key) => self.store.meta(&key).await,
            None => Ok(None),
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn min_digits(&self) -> usize {
        self.min_digits
    }

    pub(crate) fn key(&self, digest: Digest) -> Key {
        Key::new(self.namespace.clone(), digest)
    }

    /// Damage becomes a miss unless the error is wanted.
    pub(crate) fn soften<T>(&self, read: Result<Option<T>>) -> Result<Option<T>> {
        match read {
            Err(error) if error.kind() == ErrorKind::Corrupt && !self.report_corruption => Ok(None),
            read => read,
        }
    }

    pub(crate) fn long_enough(&self, digest: KeyRef, operation: &'static str) -> Result<()> {
        match digest {
            KeyRef::Prefix(prefix) if prefix.len() < self.min_digits => {
                Err(Error::new(ErrorKind::Invalid, self.store.info().kind, operation)
                    .with_detail(format!("{prefix} is too short: give at least {} digits", self.min_digits)))
            }
            _ => Ok(()),
        }
    }

    /// The key behind a digest that may be short; `None` if a short one matches nothing.
    pub(crate) async fn resolve(&self, digest: KeyRef, operation: &'static str) -> Result<Option<Key>> {
        self.long_enough(digest, operation)?;
        resolve::resolve(&*self.store, &self.namespace, digest, operation).await
    }
}

#[cfg(test)]
mod tests;
