use cache_conformance::fault::{Call, Flaky, When};
use cache_core::{BlobName, ErrorKind, KeyManagement, ListOptions, Store, StoreExt};
use futures::TryStreamExt;

use crate::sample::{each_call, key, read, store};

/// Which of so many calls fail.
async fn failing(store: &Flaky<impl Store>, calls: usize) -> Vec<usize> {
    let mut failing = Vec::new();
    for number in 1..=calls {
        if store.contains(&key("a")).await.is_err() {
            failing.push(number);
        }
    }
    failing
}

#[tokio::test]
async fn nth_call_fails_and_no_other() {
    let store = Flaky::new(store().await).with_faults(When::Nth(3));
    assert_eq!(failing(&store, 10).await, [3]);
    assert_eq!((store.calls(), store.failed()), (10, 1));
}

#[tokio::test]
async fn every_kth_call_fails() {
    let store = Flaky::new(store().await).with_faults(When::Every(3));
    assert_eq!(failing(&store, 10).await, [3, 6, 9]);
    store.arm(When::Every(1));
    assert_eq!(failing(&store, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn same_seed_fails_the_same_calls() {
    let inner = store().await;
    let of = async |seed| {
        let store = Flaky::new(inner.clone()).with_seed(seed).with_faults(When::Chance(0.5));
        failing(&store, 200).await
    };
    let first = of(1).await;
    assert_eq!(first, of(1).await);
    assert_ne!(first, of(2).await);
    assert!((60..140).contains(&first.len()), "{} of 200", first.len());
}

#[tokio::test]
async fn chance_of_none_and_of_one_are_certain() {
    let store = Flaky::new(store().await).with_faults(When::Chance(0.0));
    assert!(failing(&store, 50).await.is_empty());
    store.arm(When::Chance(1.0));
    assert_eq!(failing(&store, 50).await.len(), 50);
}

#[tokio::test]
async fn clone_is_armed_again_while_in_use() {
    let store = Flaky::new(store().await);
    let control = store.clone();
    assert!(failing(&store, 5).await.is_empty());
    control.arm(When::Nth(2));
    assert_eq!(failing(&store, 5).await, [2]);
    control.arm(When::Nth(1));
    control.set_kind(ErrorKind::Timeout);
    assert_eq!(store.contains(&key("a")).await.unwrap_err().kind(), ErrorKind::Timeout);
    control.arm(When::Every(1));
    control.arm(When::Never);
    assert!(failing(&store, 5).await.is_empty());
    assert_eq!((control.calls(), control.failed()), (16, 2));
}

#[tokio::test]
async fn call_fails_before_the_store_is_asked() {
    let inner = store().await;
    let store = Flaky::new(inner.clone()).with_faults(When::Nth(1));
    let error = store.put_bytes(&key("a"), "v".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.operation()), (ErrorKind::Unavailable, "flaky", "put"));
    assert_eq!(error.key(), Some(&key("a")));
    assert!(!inner.contains(&key("a")).await.unwrap());
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert_eq!(inner.metrics().puts, 1);
}

#[tokio::test]
async fn lost_reply_is_that_of_a_call_which_was_carried_out() {
    let inner = store().await;
    let store = Flaky::new(inner.clone()).with_lost_replies().with_kind(ErrorKind::Timeout);
    store.arm(When::Every(1));
    let error = store.put_bytes(&key("a"), "v".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(read(&inner, &key("a")).await.unwrap(), "v");
    assert!(store.evict(&key("a")).await.is_err());
    assert!(!inner.contains(&key("a")).await.unwrap());
    inner.close(None).await.unwrap();
    assert_eq!(store.evict(&key("a")).await.unwrap_err().kind(), ErrorKind::Closed, "the store's own error");
}

#[tokio::test]
async fn every_call_can_fail_and_is_counted_once() {
    let store = Flaky::new(store().await);
    store.arm(When::Every(1));
    assert_eq!(each_call(&store).await.len(), 12);
    assert_eq!((store.calls(), store.failed()), (12, 12));
    store.arm(When::Never);
    assert!(each_call(&store).await.is_empty());
}

#[tokio::test]
async fn only_named_calls_are_counted_and_fail() {
    let repeatable = Flaky::new(store().await).with_only(Call::REPEATABLE).with_faults(When::Every(1));
    let spared = ["put stream", "clean", "flush", "close"];
    let failed = each_call(&repeatable).await;
    assert_eq!((failed.len(), repeatable.calls()), (8, 8));
    assert!(spared.iter().all(|call| !failed.contains(call)), "{failed:?}");
    let flushes = Flaky::new(store().await).with_only(&[Call::Flush]).with_faults(When::Every(1));
    assert_eq!(each_call(&flushes).await, ["flush"]);
    assert_eq!(flushes.calls(), 1);
}

#[tokio::test]
async fn listing_fails_when_its_first_entry_is_asked_for() {
    let store = Flaky::new(store().await).with_faults(When::Nth(1));
    let mut listing = store.list(ListOptions::default());
    assert_eq!(store.calls(), 0);
    assert_eq!(listing.try_next().await.unwrap_err().operation(), "list");
    assert!(listing.try_next().await.unwrap().is_none(), "it goes on after the error");
}

#[tokio::test]
async fn get_now_leaves_the_fault_to_get() {
    let store = Flaky::new(store().await);
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let now = || store.get_now(key("a").view(), &BlobName::DATA);
    assert!(now().is_some());
    store.arm(When::Nth(1));
    assert_eq!(now(), None);
    assert!(store.get_bytes(&key("a"), &BlobName::DATA).await.is_err());
    assert!(now().is_some(), "the fault is over");
    let puts = store.clone().with_only(&[Call::Put]);
    puts.arm(When::Every(1));
    assert!(puts.get_now(key("a").view(), &BlobName::DATA).is_some());
}
