//! Object stores that answer what none should.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    BlobName, CleanPolicy, Digest, ErrorKind, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutMode,
    PutOptions, Result, Store, StoreExt,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions as PutObject, PutPayload, PutResult,
    list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore},
    memory::InMemory,
    path::Path,
};

use crate::{
    S3Store, StoreOptions,
    client::Client,
    provider::{Handles, Provider, Upload},
};

type Objects<T> = object_store::Result<T>;

#[derive(Debug)]
struct Odd {
    inner: Arc<InMemory>,
    /// The most that it answers of an object's end.
    suffix: AtomicU64,
    /// Takes its time for deletions and reads, and for each byte that is asked for by its place.
    drips: bool,
    /// Deletes all but the entry of `key(0)`.
    keeps: bool,
}

impl Odd {
    fn new(drips: bool) -> Arc<Self> {
        Arc::new(Self { inner: Arc::default(), suffix: u64::MAX.into(), drips, keeps: false })
    }

    fn keeping() -> Arc<Self> {
        Arc::new(Self { inner: Arc::default(), suffix: u64::MAX.into(), drips: false, keeps: true })
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

#[async_trait]
impl ObjectStore for Odd {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutObject) -> Objects<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Objects<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, mut options: GetOptions) -> Objects<GetResult> {
        let drips = self.drips && matches!(&options.range, Some(GetRange::Bounded(_)));
        if let Some(GetRange::Suffix(want)) = &mut options.range {
            *want = (*want).min(self.suffix.load(Ordering::SeqCst));
        }
        if self.drips {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut result = self.inner.get_opts(path, options).await?;
        if drips {
            let Range { start, end } = result.range;
            let slow = stream::iter(start..end).then(|_| async {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Ok(Bytes::from_static(b"x"))
            });
            result.payload = GetResultPayload::Stream(slow.boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Objects<Path>>) -> BoxStream<'static, Objects<Path>> {
        let kept = Path::parse(format!("!{}", key(0).digest)).unwrap();
        let keeps = self.keeps;
        let (inner, denied) = (Arc::clone(&self.inner), move |path: Objects<Path>| match path {
            Ok(path) if keeps && path == kept => Err(object_store::Error::PermissionDenied {
                path: path.to_string(),
                source: "it is to stay".into(),
            }),
            path => path,
        });
        let deleted = paths.map(denied).then(move |path| {
            let inner = Arc::clone(&inner);
            async move {
                use object_store::ObjectStoreExt;
                let path = path?;
                inner.delete(&path).await.map(|()| path)
            }
        });
        let deleted = deleted.boxed();
        if !self.drips {
            return deleted;
        }
        let slow = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            deleted
        };
        stream::once(slow).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Objects<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Objects<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Objects<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Has one page, and says each time that there is more.
#[derive(Debug)]
struct SamePage {
    name: String,
    asked: AtomicUsize,
}

#[async_trait]
impl PaginatedListStore for SamePage {
    async fn list_paginated(
        &self,
        _prefix: Option<&str>,
        _options: PaginatedListOptions,
    ) -> Objects<PaginatedListResult> {
        // So that whoever asks for ever can be stopped.
        tokio::task::yield_now().await;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let meta = ObjectMeta {
            location: Path::parse(&self.name)?,
            last_modified: UNIX_EPOCH.into(),
            size: 100,
            e_tag: None,
            version: None,
        };
        let result =
            ListResult { common_prefixes: Vec::new(), objects: vec![meta], extensions: Default::default() };
        Ok(PaginatedListResult { result, page_token: Some("more".into()) })
    }
}

/// Always tells of the same uploads.
#[derive(Debug)]
struct SameUploads(Handles, AtomicUsize);

#[async_trait]
impl Provider for SameUploads {
    fn connect(&self) -> Result<Handles> {
        Ok(self.0.clone())
    }

    fn renews(&self) -> bool {
        false
    }

    fn location(&self, _prefix: &str) -> String {
        "odd://".into()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn uploads(&self, _prefix: &str) -> Result<Vec<Upload>> {
        tokio::task::yield_now().await;
        self.1.fetch_add(1, Ordering::SeqCst);
        let upload = |number: u64| Upload {
            object: format!("!{}", key(number).digest),
            id: number.to_string(),
            begun: UNIX_EPOCH,
        };
        Ok((0..1000).map(upload).collect())
    }

    async fn abort(&self, _upload: &Upload) -> Result<()> {
        Ok(())
    }
}

fn key(number: u64) -> Key {
    Key::from(Digest::of(number.to_le_bytes()))
}

async fn open(objects: Arc<dyn ObjectStore>, options: StoreOptions) -> S3Store {
    S3Store::with_object_store(objects, "odd", options).await.unwrap()
}

fn handles(objects: Arc<dyn ObjectStore>) -> Handles {
    Handles { batches: objects.clone(), objects, pages: None }
}

#[tokio::test]
async fn fewer_bytes_than_were_asked_for_are_no_damage() {
    let odd = Odd::new(false);
    let store = open(odd.clone(), StoreOptions::default()).await;
    store.put_bytes(&key(1), Bytes::from_static(&[7; 1000])).await.unwrap();
    for most in [30, 50, 300] {
        odd.suffix.store(most, Ordering::SeqCst);
        let key = key(1);
        let get = store.get_bytes(&key, &BlobName::DATA);
        let got = tokio::time::timeout(Duration::from_secs(5), get).await.unwrap();
        assert_eq!(got.unwrap_err().kind(), ErrorKind::Unavailable, "{most} bytes");
        assert_eq!(store.meta(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    odd.suffix.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(store.get_bytes(&key(1), &BlobName::DATA).await.unwrap().unwrap().len(), 1000);
}

#[tokio::test]
async fn flushes_at_once_tell_of_each_put_once() {
    let options = StoreOptions::default().with_owned(true).with_max_bytes(1 << 20);
    let store = open(Arc::new(InMemory::new()), options).await;
    for number in 0..3 {
        store.put_bytes(&key(number), "x".into()).await.unwrap();
    }
    let (one, other) = tokio::join!(store.flush(), store.flush());
    let told = one.unwrap().entries + other.unwrap().entries + store.flush().await.unwrap().entries;
    assert_eq!(told, 3);
}

#[tokio::test]
async fn a_listing_that_comes_nowhere_ends() {
    for name in ["!foreign".to_owned(), format!("!{}", key(1).digest)] {
        let pages = Arc::new(SamePage { name: name.clone(), asked: AtomicUsize::new(0) });
        let handles = Handles { pages: Some(pages.clone()), ..handles(Arc::new(InMemory::new())) };
        let client = Client::new(None, handles, &StoreOptions::default(), "odd");
        let store = S3Store::of(client, StoreOptions::default()).await.unwrap();
        let listed = store.list(ListOptions::default()).try_collect::<Vec<_>>();
        let listed = tokio::time::timeout(Duration::from_secs(2), listed).await.expect(&name);
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(pages.asked.load(Ordering::SeqCst) < 5);
    }
}

#[tokio::test]
async fn uploads_that_stay_are_aborted_once() {
    let options = StoreOptions::default().with_owned(true);
    let provider = Arc::new(SameUploads(handles(Arc::new(InMemory::new())), AtomicUsize::new(0)));
    let client = Client::new(Some(provider.clone()), provider.0.clone(), &options, "odd");
    let store = S3Store::of(client, options).await.unwrap();
    let (everything, policy) = (Namespace::root(), CleanPolicy::default());
    let clean = store.clean(&everything, &policy);
    _ = tokio::time::timeout(Duration::from_secs(2), clean).await.expect("it ends");
    assert!(provider.1.load(Ordering::SeqCst) < 5);
}

#[tokio::test(start_paused = true)]
async fn a_clean_waits_for_what_a_dropped_one_has_begun() {
    let store = open(Odd::new(true), StoreOptions::default().with_owned(true)).await;
    for number in 0..4 {
        store.put_bytes(&key(number), "x".into()).await.unwrap();
    }
    let (everything, policy) = (Namespace::root(), CleanPolicy::default().with_max_bytes(0));
    let dropped = tokio::time::timeout(Duration::from_secs(1), store.clean(&everything, &policy)).await;
    assert!(dropped.is_err());
    let report = store.clean(&everything, &policy).await.unwrap();
    assert_eq!(report.kept_entries, 0, "{report:?}");
    assert_eq!(store.usage(&everything).await.unwrap().entries, 0);
}

/// As of a buffered stream whose items are looked at one by one.
#[tokio::test(start_paused = true)]
async fn what_nobody_polls_holds_up_nobody() {
    let store = open(Odd::new(true), StoreOptions::default()).await;
    let (key, mode) = (key(1), PutOptions::mode(PutMode::Merge));
    store.put_bytes(&key, "a".into()).await.unwrap();
    let mut merge = store.put(&key, PutEntry::default().with("log".parse().unwrap(), "x"), mode);
    assert!(futures::poll!(&mut merge).is_pending());
    let replaced = tokio::time::timeout(Duration::from_secs(300), store.put_bytes(&key, "b".into()));
    replaced.await.expect("a merge that is not polled").unwrap();
    let mut evictions = [store.evict(&key), store.evict(&key)];
    for eviction in &mut evictions {
        assert!(futures::poll!(eviction).is_pending());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let replaced = tokio::time::timeout(Duration::from_secs(300), store.put_bytes(&key, "c".into()));
    replaced.await.expect("an eviction that is not polled").unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), "c");
}

#[tokio::test]
async fn an_entry_that_may_not_go_keeps_no_others() {
    const ENTRIES: u64 = 2500;
    let store = open(Odd::keeping(), StoreOptions::default().with_owned(true)).await;
    for number in 0..ENTRIES {
        store.put_bytes(&key(number), "x".into()).await.unwrap();
    }
    let (everything, policy) = (Namespace::root(), CleanPolicy::default().with_max_bytes(0));
    let error = store.clean(&everything, &policy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(store.usage(&everything).await.unwrap().entries, 1);
    assert_eq!(store.metrics().evictions, ENTRIES - 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_merge_keeps_must_come_in_time() {
    let odd = Odd::new(true);
    let store = open(odd, StoreOptions::default()).await;
    store.put_bytes(&key(1), vec![7; 3 << 20].into()).await.unwrap();
    let merge = PutEntry::default().with("log".parse().unwrap(), "x");
    let (key, options) = (key(1), PutOptions::mode(PutMode::Merge));
    let merge = store.put(&key, merge, options);
    let merged = tokio::time::timeout(Duration::from_secs(300), merge).await.expect("it gives up");
    assert_eq!(merged.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_fill_that_met_another_put_stores_what_is_absent_or_fails() {
    let store = open(Arc::new(InMemory::new()), StoreOptions::default()).await;
    let other = store.clone();
    let first = stream::once(async move {
        other.put_bytes(&key(1), "theirs".into()).await?;
        Ok(Bytes::from_static(b"ours"))
    });
    let more: BlobName = "more".parse().unwrap();
    let second = stream::iter([Ok(Bytes::from_static(b"more"))]);
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, first.boxed()).with_stream(
        more.clone(),
        None,
        second.boxed(),
    );
    let filled = store.put(&key(1), entry, PutOptions::mode(PutMode::Fill)).await;
    assert_eq!(store.get_bytes(&key(1), &BlobName::DATA).await.unwrap().unwrap(), "theirs");
    let has_more = store.get_bytes(&key(1), &more).await.unwrap().is_some();
    assert!(filled.is_err() || has_more, "{filled:?}");
}
