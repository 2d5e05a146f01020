use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_core::{
    BlobName, CleanPolicy, Clock, Digest, ErrorKind, GetOptions, Key, KeyManagement, ManualClock, Namespace,
    PutEntry, PutMode, PutOptions, PutStatus, Refusal, Store, StoreExt,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{FutureExt, StreamExt, stream};

#[tokio::test]
async fn a_hit_hands_out_the_very_bytes_that_were_put() {
    let store = MemoryStore::open(MemoryOptions::default()).unwrap();
    let key = Key::from(Digest::of("k"));
    let bytes = Bytes::from(vec![7; 100]);
    store.put_bytes(&key, bytes.clone()).await.unwrap();
    let now = store.get_now(key.view(), &BlobName::DATA).unwrap();
    let later = store.get(&key, &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(now.as_ptr(), bytes.as_ptr());
    assert_eq!(later.bytes().unwrap().as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn accesses_are_counted_and_questions_are_not() {
    let store = MemoryStore::open(MemoryOptions::default()).unwrap();
    let key = Key::from(Digest::of("k"));
    store.put_bytes(&key, "v".into()).await.unwrap();
    store.get_now(key.view(), &BlobName::DATA).unwrap();
    store.get_bytes(&key, &BlobName::DATA).await.unwrap();
    let before = (store.metrics(), store.meta(&key).await.unwrap().unwrap());
    assert!(store.contains(&key).await.unwrap());
    let after = (store.metrics(), store.meta(&key).await.unwrap().unwrap());
    assert_eq!((after.1.access_count, &after.1), (Some(2), &before.1));
    assert_eq!((after.0.bytes_out, after.0.hits), (before.0.bytes_out, before.0.hits));
    assert_eq!(after.0.contains_hits, before.0.contains_hits + 1);
}

#[tokio::test]
async fn evictions_are_counted_with_their_bytes() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    for n in 0..3_u8 {
        store.put_bytes(&Key::from(Digest::of([n])), vec![n; 50].into()).await.unwrap();
    }
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(50)).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.evictions, metrics.evicted_bytes), (2, 100));
    assert_eq!((metrics.entries, metrics.resident_bytes), (Some(1), Some(50)));
}

#[tokio::test]
async fn removals_that_were_asked_for_are_counted() {
    let store = MemoryStore::open(MemoryOptions::default()).unwrap();
    let key = Key::from(Digest::of("k"));
    store.put_bytes(&key, "v".into()).await.unwrap();
    store.evict(&key).await.unwrap();
    store.evict(&key).await.unwrap();
    store.close(None).await.unwrap();
    store.evict(&key).await.unwrap_err();
    assert_eq!((store.metrics().removals, store.metrics().evictions), (2, 0));
}

fn pieces(count: usize, end: Option<cache_core::Error>) -> PutEntry {
    let pieces = (0..count).map(|_| Ok(Bytes::from(vec![7; 10]))).chain(end.map(Err)).collect::<Vec<_>>();
    PutEntry::default().with_stream(BlobName::DATA, None, stream::iter(pieces).boxed())
}

#[tokio::test]
async fn a_stream_that_fails_leaves_the_older_value_also_when_memory_is_short() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let key = Key::from(Digest::of("k"));
    store.put_bytes(&key, vec![1; 60].into()).await.unwrap();
    let broken = pieces(3, Some(cache_core::Error::invalid("broke off")));
    assert!(store.put(&key, broken, PutOptions::default()).await.is_err());
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), vec![1; 60]);
    // Both together do not fit: the newer one is refused, and the older one is outdated.
    let outcome = store.put(&key, pieces(5, None), PutOptions::default()).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Refused(Refusal::NoRoom));
    assert!(!store.contains(&key).await.unwrap());
}

#[tokio::test]
async fn a_streamed_fill_that_is_refused_takes_nothing_away() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let key = Key::from(Digest::of("k"));
    let old = PutEntry::default().with(BlobName::new("a").unwrap(), vec![1; 60]);
    store.put(&key, old, PutOptions::default()).await.unwrap();
    let outcome = store.put(&key, pieces(5, None), PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert!(!outcome.is_stored());
    assert_eq!(store.meta(&key).await.unwrap().unwrap().bytes, Some(60));
}

#[tokio::test]
async fn an_oversized_stream_of_known_length_evicts_nobody() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let other = Key::from(Digest::of("other"));
    store.put_bytes(&other, vec![1; 100].into()).await.unwrap();
    let stream = stream::pending().boxed();
    let large = PutEntry::default().with_stream(BlobName::DATA, Some(101), stream);
    let outcome = store.put(&Key::from(Digest::of("k")), large, PutOptions::default()).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Refused(Refusal::OverBudget));
    assert!(store.contains(&other).await.unwrap());
}

#[test]
fn a_bound_of_no_entries_is_invalid() {
    let refused = MemoryStore::open(MemoryOptions::default().with_max_entries(0));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A clock that asks the store something when it is read.
#[derive(Debug, Default)]
struct Nosy(std::sync::OnceLock<MemoryStore>);

impl Clock for Nosy {
    fn now(&self) -> SystemTime {
        self.0.get().map(ask);
        SystemTime::UNIX_EPOCH
    }
}

/// Bytes whose owner asks the store something when they go.
struct Asking(MemoryStore, Vec<u8>);

impl AsRef<[u8]> for Asking {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ask(&self.0);
    }
}

fn ask(store: &MemoryStore) {
    thread_local! {
        static ASKS: Cell<bool> = const { Cell::new(false) };
    }
    // What it does is not to ask again.
    if ASKS.replace(true) {
        return;
    }
    store.metrics();
    let keep_all = CleanPolicy::default();
    _ = store.clean(&Namespace::root(), &keep_all).now_or_never();
    _ = store.usage(&Namespace::root()).now_or_never();
    ASKS.set(false);
}

#[test]
fn nothing_of_the_callers_runs_under_the_lock() {
    let (done, ended) = std::sync::mpsc::channel();
    let work = async move {
        let clock = Arc::new(Nosy::default());
        let options = MemoryOptions::default().with_max_bytes(100);
        let store = MemoryStore::open_with_clock(options, clock.clone()).unwrap();
        clock.0.set(store.clone()).unwrap();
        let (key, other) = (Key::from(Digest::of("k")), Key::from(Digest::of("other")));
        let asking = || Bytes::from_owner(Asking(store.clone(), vec![7; 60]));
        let step = |name: &'static str| done.send(name).unwrap();
        store.put_bytes(&key, asking()).await.unwrap();
        store.put_bytes(&key, asking()).await.unwrap();
        step("replaced");
        assert!(store.get_now(key.view(), &BlobName::DATA).is_some());
        step("got at once");
        store.get(&key, &BlobName::DATA, GetOptions::default()).await.unwrap();
        step("got");
        store.get_entry(&key, GetOptions::default()).await.unwrap();
        step("got as an entry");
        store.put_bytes(&other, asking()).await.unwrap();
        step("put out");
        store.evict(&other).await.unwrap();
        step("evicted");
        store.put_bytes(&key, asking()).await.unwrap();
        store.put(&key, pieces(6, None), PutOptions::default()).await.unwrap();
        step("refused");
        store.put_bytes(&key, asking()).await.unwrap();
        store.put(&other, pieces(6, None), PutOptions::default()).await.unwrap();
        step("put out by a stream");
        store.put_bytes(&key, asking()).await.unwrap();
        let fill = PutEntry::data(asking());
        store.put(&key, fill, PutOptions::mode(PutMode::Fill)).await.unwrap();
        step("not filled in");
        let merged = PutEntry::data(asking());
        store.put(&key, merged, PutOptions::mode(PutMode::Merge)).await.unwrap();
        step("merged over");
        let more = PutEntry::default().with(BlobName::new("more").unwrap(), asking());
        store.put(&key, more, PutOptions::mode(PutMode::Merge)).await.unwrap();
        step("refused when merged");
        store.put_bytes(&key, asking()).await.unwrap();
        store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
        step("cleaned");
        store.put_bytes(&key, asking()).await.unwrap();
        store.close(None).await.unwrap();
        step("closed");
    };
    std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work));
    let steps: Vec<_> = std::iter::from_fn(|| ended.recv_timeout(Duration::from_secs(10)).ok()).collect();
    assert_eq!(steps.last(), Some(&"closed"), "what came next does not end: {steps:?}");
}

/// It is as recent as its end.
#[tokio::test]
async fn a_slow_stream_is_a_use_when_it_is_stored() {
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
    let store = MemoryStore::open_with_clock(MemoryOptions::default(), clock.clone()).unwrap();
    let key = Key::from(Digest::of("k"));
    let begun = clock.now();
    let later = {
        let clock = clock.clone();
        stream::once(async move {
            clock.advance(Duration::from_secs(60));
            Ok("v".into())
        })
    };
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, later.boxed());
    store.put(&key, entry, PutOptions::default()).await.unwrap();
    let meta = store.meta(&key).await.unwrap().unwrap();
    assert_eq!(meta.last_accessed, Some(begun + Duration::from_secs(60)));
}
