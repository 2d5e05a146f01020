//! Reads and questions of a handle.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use crate::{
    Blob, BlobName, Cache, EntryMeta, EntryRead, ErrorKind, GetOptions, Intent, Key, KeyRef, KeyView, Result,
    cache::get::Get,
    cache::shared_work::{contained, in_this_chain, settle},
    flight::{Entered, Found, FoundBlob},
    hook::within,
};

impl Cache {
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
    pub fn get<D: Into<KeyRef>>(
        &self,
        digest: D,
    ) -> impl Future<Output = Result<Option<Bytes>>> + Send + use<'_, D> {
        Get { cache: self, digest: digest.into(), slow: None }
    }

    /// Boxed, so that the future of a hit is small.
    #[cold]
    #[inline(never)]
    pub(super) fn get_boxed<'a>(
        &'a self,
        digest: KeyRef,
        blob: &'a BlobName,
    ) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(self.get_slowly(digest, blob))
    }

    pub(crate) async fn get_blob(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        match self.hit(&digest, blob) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.get_slowly(digest, blob).await,
        }
    }

    /// A hit that needs neither to wait nor to enter a hook.
    #[inline]
    pub(super) fn hit(&self, digest: &KeyRef, blob: &BlobName) -> Option<Bytes> {
        if !self.hooks().is_empty() {
            return None;
        }
        let found = self.get_now(digest, blob);
        if let Some(bytes) = &found {
            self.counters().hit(bytes.len() as u64);
        }
        found
    }

    /// What is no such hit.
    async fn get_slowly(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        let read = self.fetch_slowly(digest, blob).await;
        self.counters().read(&read, |bytes| bytes.len() as u64);
        self.soften(read)
    }

    /// A blob that is not counted yet: its reader knows whether it is a hit.
    pub(crate) async fn fetch(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        if self.hooks().is_empty()
            && let Some(bytes) = self.get_now(&digest, blob)
        {
            return Ok(Some(bytes));
        }
        self.fetch_slowly(digest, blob).await
    }

    /// As [`fetch`](Self::fetch), when it is known that the blob cannot be had without waiting or hooks.
    async fn fetch_slowly(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        let begun = Instant::now();
        let read = if self.hooks().is_empty() {
            self.find_whole(digest, blob).await
        } else {
            let find = async {
                match self.get_now(&digest, blob) {
                    Some(bytes) => Ok(Some(bytes)),
                    None => self.find_whole(digest, blob).await,
                }
            };
            // Boxed: it is large, and most handles have no hooks.
            within(self.hooks(), || self.operation("get", digest, Intent::Read), find).boxed().await
        };
        self.counters().get_took(begun.elapsed());
        read
    }

    async fn find_whole(&self, digest: KeyRef, blob: &BlobName) -> Result<Option<Bytes>> {
        let Some(found) = self.find(digest, blob, true).await? else { return Ok(None) };
        match found.bytes() {
            Some(bytes) if bytes.len() as u64 <= self.cap() => Ok(Some(bytes.clone())),
            _ => found.collect(self.cap()).boxed().await.map(Some),
        }
    }

    /// All blobs of an entry, not counted yet.
    pub(crate) async fn fetch_entry(&self, digest: KeyRef, options: GetOptions) -> Result<Option<EntryRead>> {
        let find = async {
            match self.resolve(digest, "get_entry").await? {
                Some(key) => self.store().get_entry(&key, options).await,
                None => Ok(None),
            }
        };
        let begun = Instant::now();
        let read = within(self.hooks(), || self.operation("get_entry", digest, Intent::Read), find).await;
        self.counters().get_took(begun.elapsed());
        read
    }

    /// A hit that needs no waiting; not counted here.
    #[inline]
    fn get_now(&self, digest: &KeyRef, blob: &BlobName) -> Option<Bytes> {
        match digest {
            KeyRef::Digest(digest) => {
                self.store().get_now(KeyView { namespace: self.address(), digest }, blob)
            }
            KeyRef::Prefix(_) => None,
        }
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
        let digest = digest.into();
        let how = options.clone();
        let find = async {
            if options == GetOptions::default() {
                return self.find(digest, blob, false).await;
            }
            match self.resolve(digest, "get").await? {
                Some(key) => self.store().get(&key, blob, options).await,
                None => Ok(None),
            }
        };
        let begun = Instant::now();
        let read = within(self.hooks(), || self.operation("get_with", digest, Intent::Read), find).await;
        if !how.quiet {
            self.counters().get_took(begun.elapsed());
        }
        self.counters().read_with(&how, &read, Blob::len);
        let counters = Arc::clone(self.counters());
        let counted = read.map(|found| found.map(|blob| blob.on_damage(move || counters.corrupt())));
        self.soften(counted)
    }

    /// Reads a blob together with all who ask for it at the same time: `whole` ones have it in hand whatever
    /// its size, the others share what the store has in hand and stream the rest themselves.
    async fn find(&self, digest: KeyRef, blob: &BlobName, whole: bool) -> Result<Option<Blob>> {
        let Some(key) = self.resolve(digest, "get").await? else { return Ok(None) };
        let boarded = self.flights().read(&key, blob, whole, |entered| {
            in_this_chain(self.clone().lead_read(entered, key.clone(), blob.clone(), whole))
        });
        let found = settle(self.tasks(), boarded.ticket, false).await;
        if !boarded.led && !matches!(found, Ok(Some(FoundBlob::Stream(_)))) {
            self.counters().coalesced();
        }
        match found? {
            None => Ok(None),
            Some(FoundBlob::InHand(bytes, None)) => Ok(Some(Blob::from_bytes(bytes))),
            Some(FoundBlob::InHand(bytes, Some(checksum))) => {
                Ok(Some(Blob::from_bytes(bytes).with_checksum(checksum)))
            }
            Some(FoundBlob::Stream(slot)) => {
                let first = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                match first {
                    Some(stream) => Ok(Some(stream)),
                    None => self.store().get(&key, blob, GetOptions::default()).await,
                }
            }
        }
    }

    async fn lead_read(self, _entered: Entered, key: Key, blob: BlobName, whole: bool) -> Found {
        let read = contained(ErrorKind::Internal, async {
            let Some(found) = self.store().get(&key, &blob, GetOptions::default()).await? else {
                return Ok(None);
            };
            let checksum = found.known_checksum();
            if let Some(bytes) = found.bytes() {
                return Ok(Some(FoundBlob::InHand(bytes.clone(), checksum)));
            }
            if whole {
                let bytes = found.collect(self.cap()).await?;
                return Ok(Some(FoundBlob::InHand(bytes, checksum)));
            }
            Ok(Some(FoundBlob::Stream(Arc::new(Mutex::new(Some(found))))))
        });
        read.await
            .map_err(|error| if error.store().is_empty() { error.at(self.info().kind, "get") } else { error })
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
        let digest = digest.into();
        let ask = async {
            match self.resolve(digest, "contains").await? {
                Some(key) => self.store().contains(&key).await,
                None => Ok(false),
            }
        };
        let answer = within(self.hooks(), || self.operation("contains", digest, Intent::Read), ask).await;
        self.counters().contains(&answer);
        answer
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
        let digest = digest.into();
        let ask = async {
            match self.resolve(digest, "meta").await? {
                Some(key) => self.store().meta(&key).await,
                None => Ok(None),
            }
        };
        within(self.hooks(), || self.operation("meta", digest, Intent::Read), ask).await
    }
}

#[cfg(test)]
mod tests;
