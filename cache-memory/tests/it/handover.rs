//! Sinks that are busy, slow or hang, and what puts then do.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and joins its tasks")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{
    Digest, EntryRead, ErrorKind, EvictionSink, Handover, Key, KeyManagement, PutEntry, PutOptions,
    SpillSource, Store,
};
use cache_memory::{MemoryOptions, MemoryStore, Policy};
use futures::future::join_all;
use tokio::{sync::Semaphore, task::yield_now, time::timeout};

const SOON: Duration = Duration::from_secs(20);

/// Answers all the same.
#[derive(Debug)]
struct Says(Handover, AtomicUsize);

#[async_trait]
impl EvictionSink for Says {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        self.1.fetch_add(victims.len(), Ordering::Relaxed);
        yield_now().await;
        vec![self.0; victims.len()]
    }
}

/// Takes each batch with a permit.
#[derive(Debug)]
struct Gate(Semaphore, AtomicUsize);

#[async_trait]
impl EvictionSink for Gate {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.acquire().await.unwrap().forget();
        vec![Handover::Taken; victims.len()]
    }
}

fn key(n: u32) -> Key {
    Key::from(Digest::of(n.to_be_bytes()))
}

fn open(max_bytes: u64) -> MemoryStore {
    let options = MemoryOptions::unlimited().with_policy(Policy::Lru).with_max_bytes(max_bytes);
    MemoryStore::open(options).unwrap()
}

async fn put(store: &MemoryStore, n: u32, bytes: usize) -> cache_core::Result<bool> {
    let entry = PutEntry::data(vec![7; bytes]);
    store.put(&key(n), entry, PutOptions::default()).await.map(|outcome| outcome.is_stored())
}

#[tokio::test]
async fn puts_at_once_end_though_all_victims_stay() {
    let store = open(100);
    for n in 0..10 {
        assert!(put(&store, n, 10).await.unwrap());
    }
    let sink = Arc::new(Says(Handover::Busy, AtomicUsize::new(0)));
    store.set_sink(Some(sink.clone()));
    let puts = join_all((100..104).map(|n| put(&store, n, 30)));
    let ended = timeout(SOON, puts).await.unwrap();
    assert!(ended.into_iter().all(|stored| !stored.unwrap()));
    let offered = sink.1.load(Ordering::Relaxed);
    assert!(offered <= 40, "each put offers each entry once: {offered}");
}

/// A store that holds ten, and two puts: one that hands all of it on, and one that waits for that.
async fn waiting() -> (MemoryStore, Arc<Gate>, [tokio::task::JoinHandle<cache_core::Result<bool>>; 2]) {
    let store = open(10);
    assert!(put(&store, 1, 10).await.unwrap());
    let gate = Arc::new(Gate(Semaphore::new(0), AtomicUsize::new(0)));
    store.set_sink(Some(gate.clone()));
    let puts = [2, 3].map(|n| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, n, 5).await })
    });
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(gate.1.load(Ordering::Relaxed), 1);
    (store, gate, puts)
}

#[tokio::test]
async fn a_put_that_waits_for_a_handover_ends_with_the_store() {
    let (store, _gate, [hanging, waiting]) = waiting().await;
    store.close(None).await.unwrap();
    let ended = timeout(SOON, waiting).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Closed);
    hanging.abort();
}

#[tokio::test]
async fn a_put_without_a_sink_waits_for_handovers_under_way() {
    let (store, gate, [handing, waiting]) = waiting().await;
    store.set_sink(None);
    let late = tokio::spawn({
        let store = store.clone();
        async move { put(&store, 4, 10).await }
    });
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(!late.is_finished(), "{:?}", late.await);
    gate.0.add_permits(1);
    for put in [handing, waiting, late] {
        assert!(timeout(SOON, put).await.unwrap().unwrap().unwrap());
    }
}

#[tokio::test]
async fn no_more_is_handed_on_than_has_to_go() {
    let store = open(100);
    for n in 0..10 {
        assert!(put(&store, n, 10).await.unwrap());
    }
    let sink = Arc::new(Says(Handover::Taken, AtomicUsize::new(0)));
    store.set_sink(Some(sink.clone()));
    assert!(put(&store, 20, 50).await.unwrap());
    assert_eq!(sink.1.load(Ordering::Relaxed), 5);
    assert!(put(&store, 20, 51).await.unwrap());
    assert_eq!(sink.1.load(Ordering::Relaxed), 6, "one byte more");
    store.evict(&key(20)).await.unwrap();
    assert!(put(&store, 21, 65).await.unwrap());
    assert_eq!(sink.1.load(Ordering::Relaxed), 7, "five bytes more than are free");
}
