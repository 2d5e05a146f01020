//! The write path: through to every tier, and never two truths.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::fault::{Call, Hanging, Slow};
use cache_core::{
    BlobName, Cache, Digest, ErrorKind, GetOptions, Key, KeyManagement, Namespace, PutEntry, PutMode,
    PutOptions, PutStatus, Refusal, Store, StoreExt,
};
use cache_memory::MemoryOptions;
use futures::{StreamExt, stream};

use crate::tiers::{Stack, Tier, fail, key, layered, stack, stack_with, unlimited};

fn name(name: &str) -> BlobName {
    BlobName::new(name).unwrap()
}

#[tokio::test]
async fn a_put_reaches_every_tier_and_says_so() {
    let Stack { fast, slow, store } = stack();
    let outcome = store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let tiers: Vec<_> = outcome.tiers.iter().map(|(name, status)| (&**name, *status)).collect();
    assert_eq!(tiers, [("fast", PutStatus::Stored), ("slow", PutStatus::Stored)]);
    assert!(fast.contains(&key("a")).await.unwrap() && slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_put_that_one_tier_fails_is_an_error_and_not_counted() {
    let Stack { fast, slow, store } = stack();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    slow.inner().set_room(0);
    let error = store.put_bytes(&key("a"), "new".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::NoSpace, "layered/slow"));
    assert!(!fast.contains(&key("a")).await.unwrap(), "the fast tier must not show what the slow one lacks");
    let found = store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
    assert_eq!(found.unwrap(), "old", "the older value is intact");
    assert_eq!((store.metrics().puts, store.metrics().put_errors), (1, 1));
}

#[tokio::test]
async fn a_stream_is_read_once_and_reaches_every_tier() {
    let Stack { fast, slow, store } = stack();
    let pieces = stream::iter((0..50_u8).map(|n| Ok(Bytes::from(vec![n; 1000])))).boxed();
    let entry = PutEntry::data("first").with_stream(name("log"), None, pieces);
    store.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    for tier in [&fast, &slow] {
        assert_eq!(tier.get_bytes(&key("a"), &name("log")).await.unwrap().unwrap().len(), 50_000);
        assert_eq!(tier.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "first");
    }
    assert_eq!(store.metrics().bytes_in, 50_005);
}

#[tokio::test]
async fn a_stream_that_the_fast_tier_refuses_still_reaches_the_slow_one() {
    // Over an older value memory runs out of room before the stream is known to be over the budget.
    for (older, reason) in [(false, Refusal::OverBudget), (true, Refusal::NoRoom)] {
        let fast = MemoryOptions::unlimited().with_max_bytes(10_000);
        let Stack { fast, slow, store } = stack_with(fast, MemoryOptions::unlimited());
        if older {
            store.put_bytes(&key("a"), "old".into()).await.unwrap();
        }
        let pieces = stream::iter((0..50_u8).map(|n| Ok(Bytes::from(vec![n; 1000])))).boxed();
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
        let outcome = store.put(&key("a"), entry, PutOptions::default()).await.unwrap();
        assert!(outcome.is_stored());
        assert_eq!(outcome.tiers.first().unwrap().1, PutStatus::Refused(reason));
        assert!(!fast.contains(&key("a")).await.unwrap(), "no older value is left in the tier that refused");
        assert_eq!(slow.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap().len(), 50_000);
    }
}

#[tokio::test]
async fn a_blob_over_the_limit_of_one_tier_goes_to_the_others() {
    let fast = MemoryOptions::unlimited().with_max_blob_bytes(5);
    let Stack { fast, slow, store } = stack_with(fast, MemoryOptions::unlimited());
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    let outcome = store.put_bytes(&key("a"), "longer".into()).await.unwrap();
    assert_eq!(outcome.tiers.first().unwrap().1, PutStatus::Refused(Refusal::PassedOver));
    assert!(!fast.contains(&key("a")).await.unwrap());
    assert!(slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_merge_never_leaves_half_an_entry_in_a_faster_tier() {
    let Stack { fast, slow, store } = stack();
    let both = PutEntry::data("out").with(name("stdout"), "text");
    store.put(&key("a"), both, PutOptions::default()).await.unwrap();
    fast.evict(&key("a")).await.unwrap();
    let added = PutEntry::default().with(name("exit_code"), "0");
    store.put(&key("a"), added, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(entry.blobs.len(), 3);
    let promoted = fast.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(promoted.blobs.len(), 3);
    assert_eq!(slow.meta(&key("a")).await.unwrap().unwrap().blobs.len(), 3);
}

#[tokio::test]
async fn a_merge_finds_the_entry_where_only_the_fast_tier_has_it() {
    let slow = MemoryOptions::unlimited().with_max_bytes(5);
    let Stack { store, .. } = stack_with(MemoryOptions::unlimited(), slow);
    store.put_bytes(&key("a"), "longer than five".into()).await.unwrap();
    let added = PutEntry::default().with(name("b"), "b");
    store.put(&key("a"), added, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(entry.blobs.len(), 2);
}

#[tokio::test]
async fn an_eviction_takes_the_entry_from_every_tier_also_after_a_failure() {
    let Stack { fast, slow, store } = stack();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    fail(&fast, ErrorKind::Unavailable);
    assert_eq!(store.evict(&key("a")).await.unwrap_err().store(), "layered/fast");
    assert!(!slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_promotion_does_not_bring_back_what_was_evicted_meanwhile() {
    let fast = unlimited();
    let slow = Hanging::new(unlimited()).with_only(&[Call::GetEntry]).with_held_replies();
    let store = layered(fast.clone(), slow.clone());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    slow.hang();
    let reader = {
        let store = store.clone();
        tokio::task::JoinSet::from_iter([async move { store.get_bytes(&key("a"), &BlobName::DATA).await }])
    };
    tokio::time::timeout(Duration::from_secs(5), slow.until_waiting(1)).await.expect("a read that hangs");
    store.evict(&key("a")).await.unwrap();
    slow.release();
    let read = reader.join_all().await.pop().unwrap().unwrap();
    assert_eq!(read.unwrap(), "v", "the read began before the eviction");
    assert!(!fast.contains(&key("a")).await.unwrap() && !slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn concurrent_puts_of_a_key_leave_the_same_value_in_every_tier() {
    let Stack { fast, slow, store } = stack();
    for round in 0..50_u8 {
        let puts = (0..8_u8).map(|n| {
            let store = store.clone();
            async move { store.put_bytes(&key("a"), vec![round, n].into()).await.unwrap() }
        });
        tokio::task::JoinSet::from_iter(puts).join_all().await;
        let of = |tier: Tier| async move { tier.get_bytes(&key("a"), &BlobName::DATA).await.unwrap() };
        assert_eq!(of(fast.clone()).await, of(slow.clone()).await);
    }
}

#[tokio::test]
async fn a_failing_fast_tier_leaves_the_older_value_of_the_slow_one() {
    let Stack { fast, slow, store } = stack();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    fast.evict(&key("a")).await.unwrap();
    fast.inner().set_room(0);
    assert_eq!(store.put_bytes(&key("a"), "new".into()).await.unwrap_err().store(), "layered/fast");
    let streamed =
        PutEntry::default().with_stream(BlobName::DATA, None, stream::iter([Ok("new".into())]).boxed());
    let failed = store.put(&key("a"), streamed, PutOptions::default()).await.unwrap_err();
    assert_eq!((failed.kind(), failed.store()), (ErrorKind::NoSpace, "layered/fast"));
    assert_eq!(slow.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "old");
}

#[tokio::test]
async fn a_streamed_put_that_the_slow_tier_fails_is_taken_back_from_the_fast_one() {
    let Stack { fast, slow, store } = stack();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    slow.inner().set_room(0);
    let streamed =
        PutEntry::default().with_stream(BlobName::DATA, None, stream::iter([Ok("new".into())]).boxed());
    let failed = store.put(&key("a"), streamed, PutOptions::default()).await.unwrap_err();
    assert_eq!((failed.kind(), failed.store()), (ErrorKind::NoSpace, "layered/slow"));
    assert!(!fast.contains(&key("a")).await.unwrap());
    assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "old");
}

#[tokio::test]
async fn a_put_that_is_dropped_midway_reaches_every_tier_or_none() {
    for millis in [0, 1, 2, 4, 8] {
        let (fast, slow) = (unlimited(), Slow::new(unlimited()).with_only(&[Call::Put]));
        let store = layered(fast.clone(), slow.clone());
        store.put_bytes(&key("a"), "old".into()).await.unwrap();
        slow.set_delay(Duration::from_millis(3));
        let a = key("a");
        let put = store.put_bytes(&a, "new".into());
        _ = tokio::time::timeout(Duration::from_millis(millis), put).await;
        // Whoever comes next waits for the write that goes on.
        store
            .put(&a, PutEntry::default().with(name("b"), "b"), PutOptions::mode(PutMode::Merge))
            .await
            .unwrap();
        let of = store.get_bytes(&a, &BlobName::DATA).await.unwrap();
        assert_eq!(of, slow.get_bytes(&a, &BlobName::DATA).await.unwrap());
        assert_eq!(of, fast.get_bytes(&a, &BlobName::DATA).await.unwrap());
    }
}

#[tokio::test]
async fn an_upload_that_stalls_holds_up_nobody_and_leaves_nothing() {
    let Stack { fast, slow, store } = stack();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    let a = key("a");
    let stalled = stream::iter([Ok(Bytes::from_static(b"begun"))]).chain(stream::pending()).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, stalled);
    {
        let put = store.put(&a, entry, PutOptions::default());
        tokio::pin!(put);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut put).await.is_err());
        let other = tokio::time::timeout(Duration::from_secs(5), store.put_bytes(&a, "other".into())).await;
        assert!(other.expect("a put beside a stalled one").unwrap().is_stored());
    }
    store.close(Some(Duration::from_secs(5))).await.unwrap();
    for tier in [fast, slow] {
        assert_eq!(tier.get_now(a.view(), &BlobName::DATA), None, "closed");
    }
}

#[tokio::test]
async fn a_stream_that_no_tier_wants_does_not_wait_for_its_source() {
    let none = || MemoryOptions::unlimited().with_max_bytes(0);
    let Stack { store, .. } = stack_with(none(), none());
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, stream::pending().boxed());
    let a = key("a");
    let put = store.put(&a, entry, PutOptions::default());
    let outcome = tokio::time::timeout(Duration::from_secs(5), put).await.expect("an answer").unwrap();
    assert_eq!(outcome.status, PutStatus::Refused(Refusal::Disabled));
}

#[tokio::test]
async fn a_merge_over_the_limit_of_the_tier_that_has_the_entry_changes_nothing() {
    let slow = MemoryOptions::unlimited().with_max_blob_bytes(10);
    let Stack { slow, store, .. } = stack_with(MemoryOptions::unlimited(), slow);
    slow.put_bytes(&key("a"), "old".into()).await.unwrap();
    let large = PutEntry::default().with(name("b"), vec![0; 20]);
    let failed = store.put(&key("a"), large, PutOptions::mode(PutMode::Merge)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::TooLarge);
    assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "old");
}

#[tokio::test]
async fn a_merge_into_an_entry_that_only_the_fast_tier_has_reaches_the_slow_one_whole() {
    let Stack { slow, store, .. } = stack();
    store.put_bytes(&key("a"), "out".into()).await.unwrap();
    slow.evict(&key("a")).await.unwrap();
    let added = PutEntry::default().with(name("b"), "b");
    store.put(&key("a"), added, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(slow.meta(&key("a")).await.unwrap().unwrap().blobs.len(), 2);
}

#[tokio::test]
async fn a_promotion_never_mixes_two_versions() {
    let Stack { fast, slow, store } = stack();
    fast.put_bytes(&key("a"), "version 1".into()).await.unwrap();
    let newer = PutEntry::data("version 2").with(name("b"), "of version 2");
    slow.put(&key("a"), newer, PutOptions::default()).await.unwrap();
    assert!(store.get_bytes(&key("a"), &name("b")).await.unwrap().is_some());
    let whole = fast.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(whole.blobs.len(), 2);
    assert_eq!(fast.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "version 2");
}

#[tokio::test]
async fn reading_does_not_change_when_blobs_were_made() {
    let Stack { slow, store, .. } = stack();
    let at = |seconds| std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    slow.put(&key("a"), PutEntry::data("old"), PutOptions::default().with_created(at(1))).await.unwrap();
    let mut merge = PutOptions::mode(PutMode::Merge);
    merge.created = Some(at(1000));
    slow.put(&key("a"), PutEntry::default().with(name("b"), "new"), merge).await.unwrap();
    let before = store.meta(&key("a")).await.unwrap().unwrap();
    store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
    let after = store.meta(&key("a")).await.unwrap().unwrap();
    assert_eq!((after.created, after.modified), (Some(at(1)), Some(at(1000))));
    assert_eq!(after.blobs, before.blobs);
}

#[tokio::test]
async fn twenty_small_puts_over_a_tiny_fast_tier_are_all_found() {
    let fast = MemoryOptions::unlimited().with_max_bytes(300);
    let Stack { store, .. } = stack_with(fast, MemoryOptions::unlimited());
    let keys: Vec<Key> = (0..20_u8).map(|n| Key::from(Digest::of([n]))).collect();
    for key in &keys {
        store.put_bytes(key, vec![1; 100].into()).await.unwrap();
    }
    for key in &keys {
        assert!(store.get_bytes(key, &BlobName::DATA).await.unwrap().is_some());
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 20);
}

#[tokio::test]
async fn a_clear_empties_every_tier() {
    let Stack { fast, slow, store } = stack();
    let cache = Cache::new(Arc::new(store));
    for part in ["a", "b"] {
        cache.namespace(part).unwrap().put(Digest::of(part), "v").await.unwrap();
    }
    fast.evict(&Key::new("a".parse().unwrap(), Digest::of("a"))).await.unwrap();
    let report = cache.clear().await.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.evicted_entries, 2);
    for tier in [&fast, &slow] {
        assert_eq!(tier.usage(&Namespace::root()).await.unwrap().entries, 0);
    }
}
