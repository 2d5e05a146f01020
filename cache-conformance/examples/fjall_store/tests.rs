//! What the suite does not see: what damage takes with it, what is dropped half-way, and who else has it open.

use std::{
    future::Future, path::Path, pin::Pin, sync::Arc, task::Poll, thread, time::Duration, time::UNIX_EPOCH,
};

use cache_core::{
    BlobName, Digest, ErrorKind, GetOptions, Key, KeyManagement, Namespace, PutEntry, PutOptions, Result,
    Store, StoreExt,
};
use fjall::Slice;
use futures::{FutureExt, TryFutureExt};
use tempfile::TempDir;

use crate::store::{FjallStore, prefix};

fn fresh() -> (TempDir, FjallStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FjallStore::open(dir.path(), None).unwrap();
    (dir, store)
}

fn key(text: &str) -> Key {
    Digest::of(text).into()
}

fn log() -> BlobName {
    BlobName::new("log").unwrap()
}

async fn put(store: &FjallStore, key: &Key, text: &'static str) {
    let entry = PutEntry::data(text).with(log(), "a log");
    assert!(store.put(key, entry, PutOptions::default()).await.unwrap().is_stored());
}

/// The value of one blob as the engine has it.
fn stored(store: &FjallStore, key: &Key, name: &BlobName) -> (Slice, Slice) {
    let engine = store.engine.get().unwrap();
    let found = fjall::Readable::prefix(&engine.db.read_tx(), &engine.rows, prefix(key, Some(name))).next();
    found.unwrap().into_inner().unwrap()
}

fn overwrite(store: &FjallStore, at: Slice, value: impl Into<Slice>) {
    let engine = store.engine.get().unwrap();
    engine.rows.insert(at, value).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_one_blob_takes_the_whole_entry_and_no_other() {
    let (_dir, store) = fresh();
    put(&store, &key("other"), "other").await;
    for whole in [false, true] {
        put(&store, &key("a"), "payload").await;
        overwrite(&store, stored(&store, &key("a"), &BlobName::DATA).0, "none");
        let kept = store.get_bytes(&key("a"), &log()).await.unwrap();
        assert_eq!(kept.as_deref(), Some(&b"a log"[..]), "another blob is not read");
        let read = match whole {
            true => store.get_entry(&key("a"), GetOptions::default()).await.map(drop),
            false => store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await.map(drop),
        };
        assert_eq!(kind(read), Some(ErrorKind::Corrupt));
        assert!(store.get_bytes(&key("a"), &log()).await.unwrap().is_none(), "a part of the entry is left");
        assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    }
    assert!(store.get_bytes(&key("other"), &BlobName::DATA).await.unwrap().is_some());
}

/// Polls once, and waits until what it begins has hold of the engine.
async fn begin<F: Future + ?Sized>(store: &FjallStore, future: &mut Pin<Box<F>>) {
    let engine = store.engine.get().unwrap();
    let holders = Arc::strong_count(&engine);
    assert!(matches!(futures::poll!(future.as_mut()), Poll::Pending));
    while Arc::strong_count(&engine) == holders {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Nobody writes until it is called.
fn stall(store: &FjallStore) -> impl FnOnce() + use<> {
    let engine = store.engine.get().unwrap();
    let ((stalled, is_stalled), (go, wait)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let stalling = thread::spawn(move || {
        let _tx = engine.db.write_tx();
        stalled.send(()).unwrap();
        _ = wait.recv();
    });
    is_stalled.recv().unwrap();
    move || {
        drop(go);
        // It has the engine until it has ended.
        stalling.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_write_never_lands_after_the_next_one() {
    let (_dir, store) = fresh();
    for round in 0..300 {
        let key = key(&format!("round {round}"));
        let mut dropped = match round % 2 {
            0 => store.evict(&key).boxed(),
            _ => store.put(&key, PutEntry::data("dropped"), PutOptions::default()).map_ok(drop).boxed(),
        };
        // It has begun, and nobody waits for it any more.
        _ = futures::poll!(dropped.as_mut());
        drop(dropped);
        assert!(store.put(&key, PutEntry::data("last"), PutOptions::default()).await.unwrap().is_stored());
        store.flush().await.unwrap();
        let read = store.get_bytes(&key, &BlobName::DATA).await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"last"[..]), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_for_a_write_whose_caller_is_gone() {
    let (dir, store) = fresh();
    let go_on = stall(&store);
    let written = key("a");
    let mut dropped = store.put(&written, PutEntry::data("value"), PutOptions::default()).boxed();
    begin(&store, &mut dropped).await;
    drop(dropped);
    // With time for the engine to be given up, which is work, too.
    assert_eq!(store.close(Some(Duration::from_secs(1))).await.unwrap().left, 1);
    go_on();
    assert_eq!(store.close(None).await.unwrap().left, 0);
    drop(store);
    let store = FjallStore::open(dir.path(), None).unwrap();
    assert!(store.get_bytes(&written, &BlobName::DATA).await.unwrap().is_some());
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn second_open_is_locked_until_the_first_is_closed() {
    let (dir, store) = fresh();
    let open = |dir: &Path| FjallStore::open(dir, None);
    assert_eq!(kind(open(dir.path())), Some(ErrorKind::Locked));
    store.close(None).await.unwrap();
    assert_eq!(kind(open(dir.path())), None, "although {store:?} is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_over_a_limit_that_came_later_is_not_read() {
    let (dir, store) = fresh();
    put(&store, &key("a"), "payload").await;
    store.close(None).await.unwrap();
    let store = FjallStore::open(dir.path(), Some(5)).unwrap();
    let read = store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await;
    assert_eq!(kind(read), Some(ErrorKind::TooLarge));
    assert!(store.get_bytes(&key("a"), &log()).await.unwrap().is_some());
    assert!(store.meta(&key("a")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn value_made_before_1970_keeps_its_time() {
    let (_dir, store) = fresh();
    let created = UNIX_EPOCH - Duration::new(5, 1);
    let options = PutOptions::default().with_created(created);
    store.put(&key("a"), PutEntry::data("old"), options).await.unwrap();
    assert_eq!(store.meta(&key("a")).await.unwrap().unwrap().created, Some(created));
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let (_dir, store) = fresh();
    let read = store.get_bytes(&key("a"), &BlobName::DATA).now_or_never().unwrap();
    assert_eq!(kind(read), Some(ErrorKind::Unsupported));
    assert_eq!(kind(store.close(None).now_or_never().unwrap()), Some(ErrorKind::Unsupported));
}

#[test]
fn store_takes_less_than_250_lines() {
    let lines = include_str!("store.rs").lines().count();
    assert!(lines < 250, "{lines}");
}
