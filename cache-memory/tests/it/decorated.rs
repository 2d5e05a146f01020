//! The suite over the decorators of the core, around the memory store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Factory, Setup};
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Digest, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metered, Metrics, Namespace, PutBlob, PutEntry,
    PutOptions, PutOutcome, ReadOnly, Result, RetryOptions, Retrying, Store, StoreExt, StoreInfo, Usage,
    Verified,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, stream, stream::BoxStream};

fn open(setup: &Setup) -> Result<MemoryStore> {
    let options =
        MemoryOptions::unlimited().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
    MemoryStore::open(options)
}

/// Opens a memory store with something around it.
struct Around(fn(MemoryStore) -> Arc<dyn Store>);

#[async_trait]
impl Factory for Around {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok((self.0)(open(setup)?))
    }
}

/// Opens a memory store that verifies content in a namespace which the suite does not use.
struct Verifying;

#[async_trait]
impl Factory for Verifying {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Verified::new(open(setup)?, [Namespace::root().child("content-addressed")?])))
    }
}

/// Enough that tasks which alternate by chance get through, and no pauses.
fn patient() -> RetryOptions {
    RetryOptions::default().with_attempts(1000).with_first_delay(Duration::ZERO)
}

mod metered {
    use super::*;
    cache_conformance::suite! { Around(|store| Arc::new(Metered::new(store))) }
}

mod read_only_beside_a_writer {
    use super::*;
    cache_conformance::suite! { Around(|store| Arc::new(Split::new(store))) }
}

mod retrying {
    use super::*;
    cache_conformance::suite! { Around(|store| Arc::new(Retrying::new(store, RetryOptions::default()))) }
}

mod retrying_a_flaky_store {
    use super::*;
    cache_conformance::suite! { Around(|store| Arc::new(Retrying::new(Flaky::new(store), patient()))) }
}

mod verified {
    cache_conformance::suite! { super::Verifying }
}

#[tokio::test]
async fn verified_stream_of_other_content_is_neither_stored_nor_read() {
    let inner = open(&Setup::default()).unwrap();
    let store = Verified::new(inner.clone(), [Namespace::root()]);
    let content: Vec<Bytes> = (0..100_u8).map(|n| Bytes::from(vec![n; 10_000])).collect();
    let key = Key::from(Digest::of(content.concat()));
    let streamed = |pieces: &[Bytes]| {
        let pieces: Vec<_> = pieces.iter().cloned().map(Ok).collect();
        PutEntry::default().with_stream(BlobName::DATA, None, stream::iter(pieces).boxed())
    };
    let other = [&content[..99], &[Bytes::from(vec![0; 10_000])]].concat();
    let error = store.put(&key, streamed(&other), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!store.contains(&key).await.unwrap());
    store.put(&key, streamed(&content), PutOptions::default()).await.unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), content.concat());

    inner.put(&key, streamed(&other), PutOptions::default()).await.unwrap();
    assert_eq!(store.get_now(&key, &BlobName::DATA), None);
    let error = store.get_bytes(&key, &BlobName::DATA).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!inner.contains(&key).await.unwrap());
}

/// The flaky store is one: without retries its second call fails.
#[tokio::test]
async fn flaky_store_without_retries_fails_every_other_call() {
    let store = Flaky::new(open(&Setup::default()).unwrap());
    let key = Key::from(Digest::of("k"));
    assert_eq!(store.contains(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!store.contains(&key).await.unwrap());
    assert_eq!(store.meta(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// Reads through [`ReadOnly`] what is written beside it.
#[derive(Debug)]
struct Split {
    reader: ReadOnly<MemoryStore>,
    writer: MemoryStore,
}

impl Split {
    fn new(writer: MemoryStore) -> Self {
        Self { reader: ReadOnly::new(writer.clone()), writer }
    }
}

#[async_trait]
impl KeyManagement for Split {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.reader.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.writer.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.reader.list(options)
    }
}

#[async_trait]
impl Store for Split {
    fn info(&self) -> StoreInfo {
        self.reader.info()
    }

    fn metrics(&self) -> Metrics {
        self.reader.metrics()
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        self.reader.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.reader.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.reader.get_entry(key, options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.writer.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.reader.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.reader.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.writer.clean(scope, policy).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.writer.flush().await?;
        self.reader.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.reader.close(deadline).await
    }
}

/// Fails every other call that may be repeated, before anything is touched.
#[derive(Debug)]
struct Flaky {
    inner: MemoryStore,
    fails: Arc<AtomicBool>,
}

impl Flaky {
    fn new(inner: MemoryStore) -> Self {
        Self { inner, fails: Arc::new(AtomicBool::new(true)) }
    }

    fn falter(&self) -> Result<()> {
        if self.fails.fetch_not(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "flaky", "call"));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyManagement for Flaky {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.falter()?;
        self.inner.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.falter()?;
        self.inner.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        match self.falter() {
            Ok(()) => self.inner.list(options),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

#[async_trait]
impl Store for Flaky {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        self.inner.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.falter()?;
        self.inner.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.falter()?;
        self.inner.get_entry(key, options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if entry.blobs().iter().all(|(_, blob)| matches!(blob, PutBlob::Bytes(_))) {
            self.falter()?;
        }
        self.inner.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.falter()?;
        self.inner.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.falter()?;
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}
