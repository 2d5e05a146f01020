//! A store for this crate's own tests: a map, a count of what was asked, and faults on demand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future, stream, stream::BoxStream};

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Digest, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutBlob,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, usage_by_listing,
};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    Hang,
    Corrupt,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Toy {
    entries: Arc<Mutex<BTreeMap<Key, Bytes>>>,
    pub(crate) fault: Fault,
    /// Entries that cannot be evicted.
    pub(crate) stuck: Vec<Digest>,
    /// Entries whose reads fail in this way.
    pub(crate) bad: Vec<(Digest, ErrorKind)>,
    /// Listings fail when they come to this entry.
    pub(crate) unreadable: Option<Digest>,
    /// Whether it says which entry that was.
    pub(crate) tells: bool,
    pub(crate) listings: Arc<AtomicUsize>,
    pub(crate) listed: Arc<AtomicUsize>,
}

impl Toy {
    pub(crate) fn holding(digests: impl IntoIterator<Item = Digest>) -> Self {
        let toy = Self::default();
        for digest in digests {
            toy.entries.lock().unwrap().insert(Key::from(digest), Bytes::from_static(b"v"));
        }
        toy
    }

    pub(crate) fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// One damaged entry.
    pub(crate) fn damaged(digest: Digest) -> Self {
        let mut toy = Self::holding([digest]);
        toy.bad = vec![(digest, ErrorKind::Corrupt)];
        toy
    }

    /// Listings begun and entries listed since the last question.
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.listings.swap(0, Ordering::Relaxed), self.listed.swap(0, Ordering::Relaxed))
    }

    async fn fail(&self) -> Result<()> {
        match self.fault {
            Fault::None => Ok(()),
            Fault::Hang => future::pending().await,
            Fault::Corrupt => Err(Error::corrupt("on demand")),
        }
    }

    fn find(&self, key: &Key) -> Option<Bytes> {
        self.entries.lock().unwrap().get(key).cloned()
    }
}

#[async_trait]
impl KeyManagement for Toy {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.fail().await?;
        Ok(self.find(key).is_some())
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.fail().await?;
        if self.stuck.contains(&key.digest) {
            return Err(Error::new(ErrorKind::Denied, "toy", "evict").with_key(key));
        }
        self.entries.lock().unwrap().remove(key);
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        if self.fault == Fault::Hang {
            return stream::pending().boxed();
        }
        self.listings.fetch_add(1, Ordering::Relaxed);
        let keys: Vec<Key> =
            self.entries.lock().unwrap().keys().filter(|key| options.admits(key)).cloned().collect();
        let listed = Arc::clone(&self.listed);
        let (unreadable, tells) = (self.unreadable, self.tells);
        let count = move |key: Key| {
            listed.fetch_add(1, Ordering::Relaxed);
            if unreadable == Some(key.digest) {
                let error = Error::new(ErrorKind::Unavailable, "toy", "list");
                return Err(if tells { error.with_key(&key) } else { error });
            }
            Ok(EntryMeta::new(key, 1))
        };
        stream::iter(keys).map(count).take(options.limit.unwrap_or(usize::MAX)).boxed()
    }
}

#[async_trait]
impl Store for Toy {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("toy", "", Powers::default())
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, _blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        if options.stream_above == 0 && self.fault == Fault::Hang {
            return Ok(Some(Blob::from_stream(1, 1, stream::pending().boxed())));
        }
        self.fail().await?;
        Ok(self.find(key).map(Blob::from_bytes))
    }

    async fn get_entry(&self, key: &Key, _options: GetOptions) -> Result<Option<EntryRead>> {
        self.fail().await?;
        if let Some((_, kind)) = self.bad.iter().find(|(digest, _)| *digest == key.digest) {
            return Err(Error::new(*kind, "toy", "get_entry").with_key(key));
        }
        let read = |bytes| {
            EntryRead::new(EntryMeta::new(key.clone(), 1), vec![(BlobName::DATA, Blob::from_bytes(bytes))])
        };
        Ok(self.find(key).map(read))
    }

    async fn put(&self, key: &Key, entry: PutEntry, _options: PutOptions) -> Result<PutOutcome> {
        self.fail().await?;
        for (_, blob) in entry.into_blobs() {
            if let PutBlob::Bytes(bytes) = blob {
                self.entries.lock().unwrap().insert(key.clone(), bytes);
            }
        }
        Ok(PutOutcome::stored())
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.fail().await?;
        Ok(self.find(key).map(|_| EntryMeta::new(key.clone(), 1)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, _scope: &Namespace, _policy: &CleanPolicy) -> Result<CleanReport> {
        Ok(CleanReport::default())
    }

    async fn flush(&self) -> Result<FlushReport> {
        Ok(FlushReport::volatile())
    }

    async fn close(&self, _deadline: Option<Duration>) -> Result<CloseReport> {
        Ok(CloseReport::default())
    }
}
