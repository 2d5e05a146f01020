//! Readers that ask for the same at the same time: the slow tier is asked once.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::fault::{Call, Flaky, Hanging, Slow, When};
use cache_core::{
    BlobName, Error, ErrorKind, GetOptions, Key, KeyManagement, PutEntry, PutOptions, Result, Store, StoreExt,
};
use cache_layered::LayeredStore;
use cache_memory::{MemoryOptions, MemoryStore};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::tiers::{key, layered, memory, unlimited};

const FETCH: Duration = Duration::from_millis(100);

/// A tier of which each read takes a while, and whose reads are counted.
type Remote = Flaky<Slow<MemoryStore>>;

fn remote() -> Remote {
    Flaky::new(Slow::new(unlimited()).with_delay(FETCH).with_only(&[Call::GetEntry]))
        .with_only(&[Call::GetEntry])
}

/// A tier that holds nothing.
fn disabled() -> MemoryStore {
    memory(MemoryOptions::unlimited().with_max_bytes(0))
}

async fn get(store: LayeredStore) -> Result<Option<Bytes>> {
    store.get_bytes(&key("a"), &BlobName::DATA).await
}

/// So many readers of the same entry at the same time, each with a clone of the stack.
fn readers(store: &LayeredStore, count: usize) -> JoinSet<Result<Option<Bytes>>> {
    (0..count).map(|_| get(store.clone())).collect()
}

async fn answers(readers: JoinSet<Result<Option<Bytes>>>) -> Vec<Result<Option<Bytes>>> {
    timeout(Duration::from_secs(60), readers.join_all()).await.expect("an answer for everybody")
}

fn is_value(answer: &Result<Option<Bytes>>, value: &str) -> bool {
    answer.as_ref().is_ok_and(|bytes| bytes.as_ref().is_some_and(|bytes| bytes == value))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_readers_of_what_a_slow_tier_has_fetch_it_once() {
    let slow = remote();
    let store = layered(unlimited(), slow.clone());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let begun = Instant::now();
    let answers = answers(readers(&store, 1000)).await;
    assert!(begun.elapsed() <= FETCH.mul_f64(1.2), "the last one waited {:?}", begun.elapsed());
    assert!(answers.iter().all(|answer| is_value(answer, "v")));
    let metrics = store.metrics();
    assert_eq!((slow.calls(), metrics.hits, metrics.coalesced, metrics.promotions), (1, 1000, 999, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_on_several_threads_fetch_once() {
    for _ in 0..50 {
        let slow = Flaky::new(unlimited()).with_only(&[Call::GetEntry]);
        let store = layered(unlimited(), slow.clone());
        slow.put_bytes(&key("a"), "v".into()).await.unwrap();
        let answers = answers(readers(&store, 200)).await;
        assert!(answers.iter().all(|answer| is_value(answer, "v")));
        assert_eq!((slow.calls(), store.metrics().hits), (1, 200));
    }
}

#[tokio::test(start_paused = true)]
async fn readers_of_whole_entries_fetch_them_once() {
    let slow = remote();
    let store = layered(unlimited(), slow.clone());
    let entry = PutEntry::data("out").with(BlobName::new("log").unwrap(), "text");
    slow.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    let read = |store: LayeredStore| async move { store.get_entry(&key("a"), GetOptions::default()).await };
    let readers: JoinSet<_> = (0..100).map(|_| read(store.clone())).collect();
    for entry in readers.join_all().await {
        assert_eq!(entry.unwrap().unwrap().blobs.len(), 2);
    }
    assert_eq!((slow.calls(), store.metrics().coalesced), (1, 99));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_when_the_reader_who_began_it_leaves() {
    let slow = remote();
    let store = layered(unlimited(), slow.clone());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let first = timeout(FETCH / 2, get(store.clone()));
    let (first, rest) = futures::join!(first, answers(readers(&store, 10)));
    assert!(first.is_err(), "the one who left");
    assert!(rest.iter().all(|answer| is_value(answer, "v")));
    assert_eq!(slow.calls(), 1);
}

/// Each of them is the one who was woken for all at some time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_leave_take_nobodys_answer_along() {
    for round in 0..100_u64 {
        let slow = Slow::new(unlimited()).with_delay(Duration::from_millis(2)).with_only(&[Call::GetEntry]);
        let store = layered(unlimited(), slow.clone());
        slow.put_bytes(&key("a"), "v".into()).await.unwrap();
        let mut leaving: JoinSet<_> = (0..20)
            .map(|n| timeout(Duration::from_micros((round * 37 + n * 131) % 3000), get(store.clone())))
            .collect();
        let staying = answers(readers(&store, 5)).await;
        assert!(staying.iter().all(|answer| is_value(answer, "v")));
        while leaving.join_next().await.is_some() {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_everybody_left_ends() {
    let slow = Hanging::new(unlimited()).with_only(&[Call::GetEntry]);
    let store = layered(unlimited(), slow.clone());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    slow.hang();
    let mut readers = readers(&store, 10);
    slow.until_waiting(1).await;
    assert_eq!(slow.waiting(), 1);
    readers.shutdown().await;
    assert_eq!(slow.waiting(), 0);
    slow.release();
    assert!(is_value(&get(store).await, "v"));
}

#[tokio::test(start_paused = true)]
async fn misses_and_failures_are_shared_by_those_who_wait_and_by_nobody_else() {
    let slow = remote();
    let store = layered(unlimited(), slow.clone());
    let missed = answers(readers(&store, 10)).await;
    assert!(missed.iter().all(|answer| matches!(answer, Ok(None))));
    assert_eq!((slow.calls(), store.metrics().misses), (1, 10));
    slow.arm(When::Every(1));
    slow.set_kind(ErrorKind::Corrupt);
    // Each fails only after a while.
    let store = layered(unlimited(), Slow::new(slow.clone()).with_delay(FETCH).with_only(&[Call::GetEntry]));
    let failed = answers(readers(&store, 10)).await;
    let is_corrupt = |error: &Error| (error.kind(), error.store()) == (ErrorKind::Corrupt, "layered/slow");
    assert!(failed.iter().all(|answer| answer.as_ref().is_err_and(is_corrupt)), "{failed:?}");
    assert_eq!((slow.calls(), slow.failed()), (2, 1));
    slow.arm(When::Never);
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert!(is_value(&get(store.clone()).await, "v"));
    assert_eq!((store.metrics().misses, store.metrics().corrupt), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn each_reader_who_was_answered_in_spite_of_a_failure_counts() {
    let (middle, slow) = (Flaky::new(unlimited()).with_faults(When::Every(1)), remote());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(disabled()))
        .tier("middle", Arc::new(middle))
        .tier("slow", Arc::new(slow.clone()))
        .build()
        .unwrap();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert!(answers(readers(&store, 10)).await.iter().all(|answer| is_value(answer, "v")));
    assert_eq!((store.metrics().degraded, store.metrics().hits), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_write_gets_nothing_that_was_read_before_it() {
    for evicts in [false, true] {
        let slow = Hanging::new(unlimited()).with_only(&[Call::GetEntry]).with_held_replies();
        let store = layered(disabled(), slow.clone());
        slow.put_bytes(&key("a"), "old".into()).await.unwrap();
        slow.hang();
        let before = readers(&store, 5);
        slow.until_waiting(1).await;
        if evicts {
            store.evict(&key("a")).await.unwrap();
        } else {
            store.put_bytes(&key("a"), "new".into()).await.unwrap();
        }
        let after = readers(&store, 5);
        slow.until_waiting(2).await;
        slow.release();
        assert!(answers(before).await.iter().all(|answer| is_value(answer, "old")));
        for answer in answers(after).await {
            assert_eq!(answer.unwrap(), (!evicts).then(|| Bytes::from_static(b"new")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parts_and_quiet_reads_are_nobody_elses() {
    let slow = Flaky::new(Slow::new(unlimited()).with_delay(FETCH)).with_only(&[Call::Get, Call::GetEntry]);
    let store = layered(unlimited(), slow.clone());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let read = |store: LayeredStore| async move {
        store.get(&key("a"), &BlobName::DATA, GetOptions::default().quietly()).await
    };
    let readers: JoinSet<_> = (0..10).map(|_| read(store.clone())).collect();
    assert_eq!(readers.join_all().await.len(), 10);
    assert_eq!((slow.calls(), store.metrics().coalesced), (10, 0));
}

/// What lands is counted by groups of keys, and here all of them are of one group.
#[tokio::test(start_paused = true)]
async fn a_reader_is_not_held_up_by_what_lands_of_other_keys() {
    let fast = Slow::new(unlimited()).with_only(&[Call::Get]).with_delay(FETCH / 2);
    let slow = unlimited();
    let of_one_group = |key: &Key| key.digest.as_bytes().first().is_some_and(|first| first % 64 == 0);
    let mut keys = (0..).map(|n: u32| key(&n.to_string())).filter(of_one_group);
    let mine = keys.next().unwrap();
    let others: Vec<_> = keys.take(500).collect();
    for key in others.iter().chain([&mine]) {
        slow.put_bytes(key, "v".into()).await.unwrap();
    }
    let store = layered(fast, slow);
    let landing = async {
        for other in others {
            store.get_entry(&other, GetOptions::default()).await.unwrap().unwrap();
            sleep(FETCH / 5).await;
        }
    };
    let reading = async {
        let begun = Instant::now();
        assert!(store.get_bytes(&mine, &BlobName::DATA).await.unwrap().is_some());
        begun.elapsed()
    };
    let (_, took) = futures::join!(landing, reading);
    assert!(took <= FETCH * 2, "{took:?}");
}
