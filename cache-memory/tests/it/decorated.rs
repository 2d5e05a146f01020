//! The suite over the decorators of the core.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{
    Decorated, Reference, Setup,
    fault::{Call, Flaky, When},
};
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Deadline, Digest, EntryMeta, EntryRead, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metered, Metrics, Namespace, PutEntry,
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

/// Enough that tasks which alternate by chance get through, and no pauses.
fn patient() -> RetryOptions {
    RetryOptions::default().with_attempts(1000).with_first_delay(Duration::ZERO)
}

/// Writes the suite over a decorator of a store that can be damaged, made to fail, and killed.
macro_rules! suite_over {
    ($($name:ident: $around:expr,)*) => {
        $(mod $name {
            use super::*;

            cache_conformance::suite! {
                Decorated::new(Reference::default(), |store| Ok(Arc::new($around(store)))),
                handles: [damage, failures, crash]
            }
        })*
    };
}

suite_over! {
    deadline: |store| Deadline::new(store, Duration::from_secs(30)),
    metered: Metered::new,
    read_only_beside_a_writer: Split::new,
    retrying: |store| Retrying::new(store, RetryOptions::default()),
    // What fails every other time, if it may be repeated.
    retrying_a_flaky_store: |store| {
        let flaky = Flaky::new(store).with_only(Call::REPEATABLE).with_faults(When::Every(2));
        Retrying::new(flaky, patient())
    },
    // Of a namespace which the suite does not use.
    verified: |store| Verified::new(store, [namespace("content-addressed")]),
}

fn namespace(path: &str) -> Namespace {
    path.parse().unwrap()
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
    assert_eq!(store.get_now(key.view(), &BlobName::DATA), None);
    let error = store.get_bytes(&key, &BlobName::DATA).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!inner.contains(&key).await.unwrap());
}

/// Reads through [`ReadOnly`] what is written beside it.
#[derive(Debug)]
struct Split {
    reader: ReadOnly<Arc<dyn Store>>,
    writer: Arc<dyn Store>,
}

impl Split {
    fn new(writer: Arc<dyn Store>) -> Self {
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

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
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
