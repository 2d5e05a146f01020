//! Sick tiers: a read that another tier can answer does not fail, and every failure is counted.

use std::{sync::Arc, time::Duration};

use cache_conformance::fault::{Flaky, Hanging, When};
use cache_core::{
    BlobName, ByteRange, Deadline, ErrorKind, GetOptions, KeyManagement, ListOptions, Namespace, Store,
    StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use futures::TryStreamExt;

use crate::tiers::{Stack, fail, key, layered, stack, unlimited};

#[tokio::test]
async fn a_failing_fast_tier_is_passed_over_and_counted() {
    let Stack { fast, slow, store } = stack();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    for kind in [ErrorKind::Unavailable, ErrorKind::Corrupt, ErrorKind::Denied, ErrorKind::Timeout] {
        fail(&fast, kind);
        let before = store.metrics();
        assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "v");
        assert!(store.get_entry(&key("a"), GetOptions::default()).await.unwrap().is_some());
        assert!(store.contains(&key("a")).await.unwrap());
        let counted = store.metrics().since(&before);
        assert_eq!((counted.hits, counted.degraded, counted.errors), (2, 3, 0), "{kind:?}");
        assert_eq!(counted.promotion_errors, 2, "the copies failed, the reads did not");
    }
}

#[tokio::test]
async fn a_failing_slow_tier_does_not_hide_a_hit_and_turns_the_rest_into_misses() {
    let Stack { slow, store, .. } = stack();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    fail(&slow, ErrorKind::Unavailable);
    assert!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().is_some());
    assert!(store.get_bytes(&key("absent"), &BlobName::DATA).await.unwrap().is_none());
    assert_eq!(store.metrics().degraded, 1);
    // Existence is not guessed: the slow tier may have it.
    assert!(store.contains(&key("a")).await.unwrap());
    assert_eq!(store.contains(&key("absent")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.meta(&key("absent")).await.unwrap_err().store(), "layered/slow");
}

#[tokio::test]
async fn damage_that_no_tier_can_heal_is_a_miss_for_the_handle_unless_asked() {
    let Stack { slow, store, .. } = stack();
    fail(&slow, ErrorKind::Corrupt);
    let cache = cache_core::Cache::new(Arc::new(store));
    assert_eq!(cache.get(key("a").digest).await.unwrap(), None);
    assert_eq!((cache.metrics().corrupt, cache.metrics().misses), (1, 1));
    let asking = cache.report_corruption();
    assert_eq!(asking.get(key("a").digest).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_stack_of_which_no_tier_can_answer_says_so() {
    let Stack { fast, slow, store } = stack();
    fail(&fast, ErrorKind::Denied);
    fail(&slow, ErrorKind::Unavailable);
    let error = store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Denied, "layered/fast"));
    assert_eq!(store.contains(&key("a")).await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn a_listing_that_lacks_a_tier_fails_rather_than_lies() {
    let Stack { slow, store, .. } = stack();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    fail(&slow, ErrorKind::Unavailable);
    let listed: Result<Vec<_>, _> = store.list(ListOptions::default()).try_collect().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unavailable);
    let short = key("a").digest.prefix(8).into();
    assert_eq!(store.expand(&Namespace::root(), short).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_callers_mistake_is_not_taken_for_a_sick_tier() {
    let Stack { store, .. } = stack();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let range = ByteRange::new(10, None).unwrap();
    let error = store.get_range(&key("a"), &BlobName::DATA, range).await.unwrap_err();
    assert_eq!((error.kind(), store.metrics().degraded), (ErrorKind::Invalid, 0));
}

#[tokio::test]
async fn a_flush_fails_if_one_tier_does_and_still_flushes_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    let fast = Flaky::new(unlimited());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("disk", Arc::new(disk.clone()))
        .build()
        .unwrap();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    fast.arm(When::Every(1));
    assert_eq!(store.flush().await.unwrap_err().store(), "layered/fast");
    assert_eq!(disk.metrics().flushes, 1);
    fast.arm(When::Never);
    let report = store.flush().await.unwrap();
    let durable: Vec<_> = report.tiers.iter().map(|(name, tier)| (&**name, tier.durable)).collect();
    assert!(report.durable);
    assert_eq!(durable, [("fast", false), ("disk", true)]);
}

#[tokio::test]
async fn damage_on_disk_is_healed_from_the_slower_tier() {
    let (dir, slower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = async |dir: &tempfile::TempDir| DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    let disk = open(&dir).await;
    let store = layered(disk.clone(), open(&slower).await);
    store.put_bytes(&key("a"), "precious".into()).await.unwrap();
    let digits = key("a").digest.to_string();
    let path = dir.path().join(digits.get(..2).unwrap()).join(&digits).join("~data");
    std::fs::write(&path, "rubbish").unwrap();
    assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "precious");
    assert_eq!(disk.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "precious");
    assert_eq!(disk.metrics().corrupt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hung_tier_behind_a_deadline_costs_that_long_and_no_error() {
    let slow = Hanging::new(unlimited());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    slow.hang();
    let store = layered(unlimited(), Deadline::new(slow, Duration::from_secs(2)));
    let begun = tokio::time::Instant::now();
    assert!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().is_none());
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert_eq!(store.metrics().degraded, 1);
}
