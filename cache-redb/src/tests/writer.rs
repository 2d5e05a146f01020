//! Many puts share a transaction, nobody but those who write waits for it, and what fails is told.

use std::{sync::Arc, time::Duration};

use cache_core::{BlobName, ErrorKind, KeyManagement, ListOptions, Namespace, Store, StoreExt};
use futures::{FutureExt, TryStreamExt};
use tokio::task::{JoinSet, spawn_blocking};

use super::{bytes, key, open, open_as, options};
use crate::{
    RedbStore,
    memory_medium::{Logged, MemoryMedium},
    writer::{self, Writer},
};

/// Keeps the writer from its work, as a slow disk does.
async fn hold(store: &RedbStore) -> Writer {
    loop {
        if let Some(writer) = store.engine().unpark() {
            return writer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets it go on.
async fn go_on(store: &RedbStore, writer: Writer) {
    let engine = Arc::clone(store.engine());
    spawn_blocking(move || {
        engine.park(writer);
        writer::work(&engine);
    })
    .await
    .unwrap();
}

fn put(store: &RedbStore, number: u64, len: usize) -> impl Future<Output = cache_core::Result<()>> + use<> {
    let store = store.clone();
    async move { store.put_bytes(&key("", number), bytes(number, len)).await.map(drop) }
}

async fn waiting(store: &RedbStore, at_least: usize) -> usize {
    for _ in 0..1_000 {
        if store.engine().queue.len() >= at_least {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Whoever else could come has come by now.
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.engine().queue.len()
}

#[tokio::test]
async fn reads_wait_for_no_writer() {
    let store = open(&MemoryMedium::new()).await.unwrap();
    put(&store, 1, 100).await.unwrap();
    put(&store, 2, 400_000).await.unwrap();
    let writer = hold(&store).await;
    let mut pending = JoinSet::new();
    pending.spawn(put(&store, 3, 100));
    assert_eq!(waiting(&store, 1).await, 1);
    for number in [1, 2] {
        let found = store.get_bytes(&key("", number), &BlobName::DATA).await.unwrap().unwrap();
        assert_eq!(found, bytes(number, found.len()));
        assert!(store.contains(&key("", number)).await.unwrap());
        assert!(store.get_entry(&key("", number), Default::default()).await.unwrap().is_some());
    }
    assert!(store.get_now(key("", 1).view(), &BlobName::DATA).is_some());
    assert!(!store.contains(&key("", 3)).await.unwrap(), "a put that is not committed");
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 2);
    assert!(pending.try_join_next().is_none());
    go_on(&store, writer).await;
    pending.join_next().await.unwrap().unwrap().unwrap();
    assert!(store.contains(&key("", 3)).await.unwrap(), "a put that was answered");
}

#[tokio::test]
async fn who_finds_the_queue_full_waits_and_is_served() {
    let store = open(&MemoryMedium::new()).await.unwrap();
    let writer = hold(&store).await;
    let mut puts = JoinSet::new();
    for number in 0..250 {
        puts.spawn(put(&store, number, 200 << 10));
    }
    let waiting = waiting(&store, 150).await;
    assert_eq!(waiting, 163, "32 MiB are in the queue, and no more");
    // What takes no room does not wait for any.
    assert!(!store.contains(&key("", 1)).await.unwrap());
    go_on(&store, writer).await;
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 250);
}

#[tokio::test]
async fn small_operations_fill_the_queue_by_their_number() {
    let store = open(&MemoryMedium::new()).await.unwrap();
    let writer = hold(&store).await;
    let mut puts = JoinSet::new();
    for number in 0..5_000 {
        puts.spawn(put(&store, number, 1));
    }
    assert_eq!(waiting(&store, 4_096).await, 4_096);
    go_on(&store, writer).await;
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 5_000);
}

#[tokio::test]
async fn many_puts_and_flushes_share_a_commit() {
    let medium = MemoryMedium::new();
    let store = open_as(&medium, options().with_durable_puts(true)).await.unwrap();
    let writer = hold(&store).await;
    let mut puts = JoinSet::new();
    for number in 0..64 {
        puts.spawn(put(&store, number, 1_000));
    }
    assert_eq!(waiting(&store, 64).await, 64);
    for _ in 0..10 {
        let store = store.clone();
        puts.spawn(async move { store.flush().await.map(drop) });
    }
    assert_eq!(waiting(&store, 74).await, 74);
    medium.record();
    go_on(&store, writer).await;
    while let Some(put) = puts.join_next().await {
        put.unwrap().unwrap();
    }
    let syncs = medium.take_record().iter().filter(|done| matches!(done, Logged::Sync)).count();
    // Two for each commit; what takes long, as on a busy machine, is cut into several.
    assert!((1..=16).contains(&syncs), "{syncs} syncs for 64 puts");
    // They were durable when they were answered.
    medium.crash();
    let killed = open(&medium).await.unwrap();
    assert_eq!(killed.usage(&Namespace::root()).await.unwrap().entries, 64);
}

#[tokio::test]
async fn a_put_that_nobody_waits_for_any_more_is_not_begun() {
    let store = open(&MemoryMedium::new()).await.unwrap();
    let writer = hold(&store).await;
    let mut dropped = Box::pin(put(&store, 1, 100));
    assert!(dropped.as_mut().now_or_never().is_none());
    assert_eq!(waiting(&store, 1).await, 1);
    drop(dropped);
    go_on(&store, writer).await;
    assert!(!store.contains(&key("", 1)).await.unwrap());
}

#[tokio::test]
async fn a_failed_commit_fails_its_puts_and_is_told_by_the_next_flush() {
    let medium = MemoryMedium::new().with_cache_bytes(0);
    let store = open_as(&medium, options().with_durable_puts(true)).await.unwrap();
    put(&store, 1, 1_000).await.unwrap();
    let writer = hold(&store).await;
    let mut puts = JoinSet::new();
    for number in 2..5 {
        puts.spawn(put(&store, number, 1_000));
    }
    assert_eq!(waiting(&store, 3).await, 3);
    medium.fail(4);
    go_on(&store, writer).await;
    while let Some(put) = puts.join_next().await {
        assert_eq!(put.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let told = store.flush().await.unwrap_err();
    assert_eq!((told.kind(), told.store(), told.operation()), (ErrorKind::Unavailable, "redb", "flush"));
    store.flush().await.unwrap();
    // It goes on with what was durable.
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    put(&store, 2, 1_000).await.unwrap();
    assert!(store.contains(&key("", 2)).await.unwrap());
    assert_eq!(store.metrics().put_errors, 3);
}

#[tokio::test]
async fn puts_that_are_lost_before_a_flush_are_told_by_it() {
    let medium = MemoryMedium::new();
    let store = open(&medium).await.unwrap();
    put(&store, 1, 1_000).await.unwrap();
    store.flush().await.unwrap();
    for number in 2..5 {
        put(&store, number, 1_000).await.unwrap();
    }
    medium.fail(1);
    let failed = store.flush().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.to_line().contains("3 puts"), "{}", failed.to_line());
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    assert_eq!(store.metrics().entries, Some(1));
    store.flush().await.unwrap();
    assert_eq!((store.metrics().flushes, store.metrics().flush_errors), (2, 1));
}

#[tokio::test]
async fn a_disk_that_keeps_failing_fails_everything_and_is_tried_again() {
    let medium = MemoryMedium::new().with_cache_bytes(0);
    let store = open_as(&medium, options().with_durable_puts(true)).await.unwrap();
    put(&store, 1, 1_000).await.unwrap();
    medium.fail_from(1);
    for _ in 0..3 {
        put(&store, 2, 1_000).await.unwrap_err();
        store.flush().await.unwrap_err();
        store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap_err();
        store.contains(&key("", 1)).await.unwrap_err();
        store.usage(&Namespace::root()).await.unwrap_err();
    }
    medium.fail(0);
    assert!(store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap().is_some());
    put(&store, 2, 1_000).await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 2);
}

#[tokio::test]
async fn a_clock_that_panics_costs_its_own_put_alone() {
    #[derive(Debug, Default)]
    struct Broken(std::sync::atomic::AtomicBool);
    impl cache_core::Clock for Broken {
        fn now(&self) -> std::time::SystemTime {
            assert!(!self.0.load(std::sync::atomic::Ordering::SeqCst), "a clock that is broken");
            std::time::SystemTime::UNIX_EPOCH
        }
    }

    let (medium, clock) = (MemoryMedium::new(), Arc::new(Broken::default()));
    let opened = RedbStore::open_on(Arc::new(medium.clone()), options(), Arc::clone(&clock) as _);
    let store = opened.await.unwrap();
    put(&store, 1, 100).await.unwrap();
    store.flush().await.unwrap();
    let writer = hold(&store).await;
    let mut pending = JoinSet::new();
    pending.spawn(put(&store, 2, 100));
    assert_eq!(waiting(&store, 1).await, 1);
    clock.0.store(true, std::sync::atomic::Ordering::SeqCst);
    go_on(&store, writer).await;
    assert_eq!(pending.join_next().await.unwrap().unwrap().unwrap_err().kind(), ErrorKind::Internal);
    clock.0.store(false, std::sync::atomic::Ordering::SeqCst);
    put(&store, 3, 100).await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 2);
    assert!(medium.aside().is_none(), "the database was set aside");
}
