//! The tier sees the words of a key in the order in which they came.

use cache_core::{GetOptions, KeyManagement, PutEntry, PutMode, PutOptions, PutStatus};
use futures::{StreamExt, stream};

use super::*;

/// A store whose first put of `a` is being written, and hangs.
async fn writing() -> (Tier, Behind) {
    let tier = tier();
    let store = behind(&tier);
    tier.inner().hang();
    put(&store, "a", "first").await.unwrap();
    tier.inner().until_waiting(1).await;
    (tier, store)
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_key_reach_the_tier_in_order() {
    let (tier, store) = writing().await;
    put(&store, "a", "second").await.unwrap();
    put(&store, "a", "third").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tier.inner().waiting(), 1, "one write of a key at a time");
    assert_eq!(get(&store, "a").await.unwrap(), "third");
    tier.inner().release();
    until(|| store.queued() == (0, 0)).await;
    assert_eq!(below(&tier, "a").await.unwrap(), "third");
    let puts = tier.inner().inner().inner().metrics().puts;
    assert_eq!(puts, 2, "one that waits is replaced by a newer one");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_waits_for_what_is_being_written() {
    let (tier, store) = writing().await;
    let a = key("a");
    let mut evict = store.evict(&a);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut evict).await.is_err(), "it waits");
    tier.inner().release();
    evict.await.unwrap();
    assert_eq!((get(&store, "a").await, below(&tier, "a").await), (None, None));
    assert_eq!(store.queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_is_dropped_runs_to_its_end() {
    let (tier, store) = writing().await;
    drop(tokio::time::timeout(Duration::from_secs(1), store.evict(&key("a"))).await);
    tier.inner().release();
    put(&store, "b", "v").await.unwrap();
    store.flush().await.unwrap();
    until(|| store.queued() == (0, 0)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((get(&store, "a").await, below(&tier, "a").await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_merge_adds_to_what_waits() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    let log = BlobName::new("log").unwrap();
    let more = || PutEntry::default().with(log.clone(), "a log");
    let merge = PutOptions::mode(PutMode::Merge);
    assert_eq!(kind(store.put(&key("a"), more(), merge.clone()).await), ErrorKind::Unavailable);
    assert_eq!(get(&store, "a").await.unwrap(), "v", "a merge that failed changed nothing");
    tier.arm(When::Never);
    let outcome = store.put(&key("a"), more(), merge).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Stored, "merges are written by their puts");
    let entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert!(entry.has(&BlobName::DATA) && entry.has(&log));
    assert_eq!(store.queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_after_what_was_put_before_it() {
    let (tier, store) = writing().await;
    let pieces = stream::iter(["str", "eam"].map(|piece| Ok(Bytes::from(piece)))).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
    let (a, options) = (key("a"), PutOptions::default());
    let mut streamed = store.put(&a, entry, options);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut streamed).await.is_err(), "it waits");
    assert_eq!(get(&store, "a").await.unwrap(), "first");
    tier.inner().release();
    assert_eq!(streamed.await.unwrap().status, PutStatus::Stored);
    assert_eq!(get(&store, "a").await.unwrap(), "stream");
    store.flush().await.unwrap();
    assert_eq!(below(&tier, "a").await.unwrap(), "stream");
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_holds_up_nobody() {
    let tier = tier();
    let store = behind(&tier);
    let (a, options) = (key("a"), PutOptions::default());
    let pieces = stream::iter([Ok(Bytes::from("piece"))]).chain(stream::pending()).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
    let mut streamed = store.put(&a, entry, options);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut streamed).await.is_err());
    put(&store, "a", "v").await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(below(&tier, "a").await.unwrap(), "v");
    store.evict(&a).await.unwrap();
    drop(streamed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(get(&store, "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_larger_than_the_queue_is_written_by_its_put() {
    let tier = tier();
    let store = behind(&tier);
    put(&store, "a", "small").await.unwrap();
    let large = vec![7; usize::try_from(QUEUE).unwrap()];
    let outcome = put(&store, "a", large.clone()).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Stored);
    assert_eq!(store.queued(), (0, 0), "what it replaces is not written any more");
    assert_eq!(below(&tier, "a").await.unwrap(), large);
}

#[tokio::test(start_paused = true)]
async fn four_keys_are_written_at_a_time_and_the_oldest_first() {
    let tier = tier();
    let store = behind(&tier);
    tier.inner().hang();
    for number in 0..10 {
        put(&store, &number.to_string(), "v").await.unwrap();
    }
    tier.inner().until_waiting(4).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tier.inner().waiting(), 4);
    // Those that hang go on; the next ones hang again.
    tier.inner().release();
    tier.inner().hang();
    until(|| store.queued().0 == 6 && tier.inner().waiting() == 4).await;
    for number in 0..4 {
        assert!(below(&tier, &number.to_string()).await.is_some(), "{number} is one of the oldest");
    }
    tier.inner().release();
    until(|| store.queued() == (0, 0)).await;
}
