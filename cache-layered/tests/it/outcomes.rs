//! What puts, merges, flushes and copies answer is so.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::fault::{Call, Flaky, When};
use cache_core::{
    BlobName, CopyOptions, ErrorKind, KeyManagement, Namespace, PutEntry, PutMode, PutOptions, Store,
    StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::{LayeredStore, Quorum, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::StreamExt;

use crate::tiers::{key, memory, unlimited};

async fn read(store: &impl Store, name: &str) -> Option<Bytes> {
    store.get_bytes(&key(name), &BlobName::DATA).await.unwrap()
}

async fn disk(dir: &tempfile::TempDir, name: &str) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir.path().join(name))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_is_durable_over_a_tier_that_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let below = disk(&dir, "b").await;
    let store = LayeredStore::builder()
        .spilling_tier("memory", Arc::new(unlimited()))
        .tier("disk", Arc::new(below.clone()))
        .write(WritePolicy::Spill)
        .tier("theirs", Arc::new(unlimited()))
        .write(WritePolicy::Never)
        .build()
        .unwrap();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let report = store.flush().await.unwrap();
    let there = below.contains(&key("a")).await.unwrap();
    assert_eq!(store.close(None).await.unwrap().left, 0);
    assert!(!report.durable || there, "flush says durable, and the only copy is in memory");
}

#[tokio::test]
async fn a_merge_over_a_tiers_admission_goes_elsewhere() {
    let (fast, slow) = (unlimited(), unlimited());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("slow", Arc::new(slow.clone()))
        .options(TierOptions::default().with_max_entry_bytes(10))
        .build()
        .unwrap();
    let merge = PutEntry::default().with(BlobName::DATA, vec![1; 50]);
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let there = slow.meta(&key("a")).await.unwrap();
    assert!(there.is_none_or(|meta| meta.counted_bytes() <= 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_for_spill_takes_no_victim_over_its_admission() {
    let source = memory(MemoryOptions::unlimited().with_max_bytes(100));
    let below = unlimited();
    let store = LayeredStore::builder()
        .spilling_tier("memory", Arc::new(source))
        .tier("below", Arc::new(below.clone()))
        .options(TierOptions::default().with_write(WritePolicy::Spill).with_max_entry_bytes(10))
        .build()
        .unwrap();
    for n in 0..10 {
        store.put_bytes(&key(&n.to_string()), vec![n; 60].into()).await.unwrap();
    }
    let usage = below.usage(&Namespace::root()).await.unwrap();
    assert_eq!(usage.entries, 0, "{usage:?}");
}

fn sick(tier: &Flaky<MemoryStore>) {
    tier.set_kind(ErrorKind::Unavailable);
    tier.arm(When::Every(1));
}

fn no_breaker() -> TierOptions {
    TierOptions::default().with_breaker(None).with_queue_bytes(64 << 10)
}

#[tokio::test]
async fn a_put_that_cannot_be_owed_leaves_the_older_value_below() {
    let tier = || Flaky::new(unlimited());
    let (fast, mid, slow) = (tier(), tier(), tier());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .options(no_breaker())
        .tier("mid", Arc::new(mid.clone()))
        .options(no_breaker())
        .tier("slow", Arc::new(slow.clone()))
        .options(no_breaker())
        .quorum(Quorum::AtLeast(2))
        .build()
        .unwrap();
    store.put_bytes(&key("k"), "v1".into()).await.unwrap();
    sick(&mid);
    store.put_bytes(&key("other"), vec![0; 60_000].into()).await.unwrap();
    let put = store.put_bytes(&key("k"), vec![2; 20_000].into()).await;
    assert!(put.is_err());
    assert_eq!(
        read(&slow, "k").await.as_deref(),
        Some(&b"v1"[..]),
        "a put that failed leaves the older value in slower tiers"
    );
}

#[tokio::test]
async fn a_put_that_failed_is_read_nowhere() {
    let tier = || Flaky::new(unlimited());
    let (a, b, c) = (tier(), tier(), tier());
    let store = LayeredStore::builder()
        .tier("a", Arc::new(a.clone()))
        .options(no_breaker().with_queue_bytes(1 << 20))
        .tier("b", Arc::new(b.clone()))
        .options(no_breaker())
        .tier("c", Arc::new(c.clone()))
        .options(no_breaker())
        .quorum(Quorum::AtLeast(1))
        .build()
        .unwrap();
    store.put_bytes(&key("k"), "v1".into()).await.unwrap();
    sick(&a);
    sick(&b);
    store.put_bytes(&key("other"), vec![0; 60_000].into()).await.unwrap();
    let put = store.put_bytes(&key("k"), vec![2; 20_000].into()).await;
    assert!(put.is_err());
    let seen = store.get_bytes(&key("k"), &BlobName::DATA).await;
    assert!(seen.unwrap().is_none_or(|seen| seen == "v1"), "the put that failed is read");
}

#[tokio::test]
async fn a_put_that_waits_is_no_refusal() {
    let tier = || Flaky::new(unlimited());
    let (a, b) = (tier(), tier());
    let store = LayeredStore::builder()
        .tier("a", Arc::new(a.clone()))
        .options(no_breaker().with_max_entry_bytes(10))
        .tier("b", Arc::new(b.clone()))
        .options(no_breaker())
        .quorum(Quorum::AtLeast(1))
        .build()
        .unwrap();
    sick(&b);
    let outcome = store.put_bytes(&key("k"), vec![2; 50].into()).await.unwrap();
    let readable = read(&store, "k").await.is_some();
    assert_eq!(outcome.is_stored(), readable, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_is_not_read_makes_nothing_durable() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        LayeredStore::builder()
            .tier("memory", Arc::new(unlimited()))
            .tier("copy", Arc::new(disk(&dir, "b").await))
            .options(TierOptions::default().with_read(false))
            .build()
            .unwrap()
    };
    let store = open().await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let (power, flush) = (store.info().powers.durable, store.flush().await.unwrap().durable);
    store.close(None).await.unwrap();
    let there = read(&open().await, "a").await.is_some();
    assert!(there || !(power || flush), "durable: power {power}, flush {flush}; after reopening: {there}");
}

#[tokio::test]
async fn a_put_that_only_an_unread_tier_took_is_refused() {
    let store = LayeredStore::builder()
        .tier("memory", Arc::new(unlimited()))
        .options(TierOptions::default().with_max_entry_bytes(10))
        .tier("copy", Arc::new(unlimited()))
        .options(TierOptions::default().with_read(false))
        .build()
        .unwrap();
    let outcome = store.put_bytes(&key("a"), vec![1; 50].into()).await.unwrap();
    assert_eq!(outcome.is_stored(), read(&store, "a").await.is_some(), "{outcome:?}");
}

#[tokio::test]
async fn a_merge_that_a_slower_tier_is_too_small_for_succeeds() {
    let (fast, slow) = (unlimited(), memory(MemoryOptions::unlimited().with_max_blob_bytes(10)));
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("slow", Arc::new(slow.clone()))
        .build()
        .unwrap();
    let merge = PutEntry::default().with(BlobName::DATA, vec![1; 50]);
    let put = store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await;
    assert_eq!(put.is_ok(), read(&store, "a").await.is_some());
}

#[tokio::test]
async fn a_put_that_fails_is_taken_back_from_every_tier() {
    let tier = || Flaky::new(unlimited());
    let (a, c) = (Flaky::new(unlimited()).with_only(&[Call::Evict]), tier());
    let b = tier();
    let store = LayeredStore::builder()
        .tier("a", Arc::new(a.clone()))
        .options(no_breaker())
        .tier("b", Arc::new(b.clone()))
        .options(no_breaker())
        .tier("c", Arc::new(c.clone()))
        .options(no_breaker())
        .build()
        .unwrap();
    sick(&a);
    sick(&c);
    let put = store.put_bytes(&key("k"), "new".into()).await;
    assert!(put.is_err());
    assert!(read(&b, "k").await.is_none(), "the middle tier keeps what failed");
}

#[tokio::test]
async fn a_tier_that_spills_is_written_through() {
    for options in [
        TierOptions::default().with_write(WritePolicy::Behind),
        TierOptions::default().with_deadline(Duration::from_secs(1)),
    ] {
        let built = LayeredStore::builder()
            .spilling_tier("memory", Arc::new(unlimited()))
            .options(options.clone())
            .tier("below", Arc::new(unlimited()))
            .write(WritePolicy::Spill)
            .build();
        if let Ok(store) = built {
            let outcome = store.put_bytes(&key("k"), "new".into()).await.unwrap();
            panic!("{options:?} accepted; {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_blob_over_the_limits_of_all_that_are_written_changes_nothing() {
    let small = || memory(MemoryOptions::unlimited().with_max_blob_bytes(10));
    let mine = small();
    let store = LayeredStore::builder()
        .tier("memory", Arc::new(mine.clone()))
        .tier("theirs", Arc::new(unlimited()))
        .write(WritePolicy::Never)
        .build()
        .unwrap();
    store.put_bytes(&key("a"), "v1".into()).await.unwrap();
    let put = store.put_bytes(&key("a"), vec![1; 50].into()).await;
    assert_eq!(
        put.map_err(|e| e.kind()),
        Err(ErrorKind::TooLarge),
        "a blob over max_blob_bytes; left: {:?}",
        read(&mine, "a").await
    );
}

#[tokio::test]
async fn an_entry_over_a_tiers_admission_is_not_owed_to_it() {
    let a = unlimited();
    let b = Flaky::new(unlimited());
    let store = LayeredStore::builder()
        .tier("a", Arc::new(a))
        .options(no_breaker())
        .tier("b", Arc::new(b.clone()))
        .options(no_breaker().with_max_entry_bytes(10))
        .quorum(Quorum::AtLeast(1))
        .build()
        .unwrap();
    sick(&b);
    store.put_bytes(&key("k"), vec![1; 50].into()).await.unwrap();
    b.arm(When::Never);
    store.flush().await.unwrap();
    assert!(!b.contains(&key("k")).await.unwrap(), "50 bytes in a tier that takes 10");
}

#[tokio::test]
async fn a_stream_that_a_tier_cannot_drop_for_is_taken_back() {
    let (a, c) = (unlimited(), unlimited());
    let b = Flaky::new(unlimited()).with_only(&[Call::Evict]);
    let store = LayeredStore::builder()
        .tier("a", Arc::new(a.clone()))
        .options(no_breaker())
        .tier("b", Arc::new(b.clone()))
        .options(no_breaker().with_max_entry_bytes(10))
        .tier("c", Arc::new(c.clone()))
        .options(no_breaker())
        .build()
        .unwrap();
    store.put_bytes(&key("k"), "v1".into()).await.unwrap();
    sick(&b);
    let stream = futures::stream::iter([Ok(Bytes::from(vec![2; 50]))]).boxed();
    let put = store
        .put(&key("k"), PutEntry::default().with_stream(BlobName::DATA, None, stream), PutOptions::default())
        .await;
    assert!(put.is_err());
    let values: Vec<_> = [read(&a, "k").await, read(&b, "k").await, read(&c, "k").await]
        .into_iter()
        .map(|v| v.map(|v| v.len()))
        .collect();
    let a_is_gone = read(&a, "k").await.is_none();
    assert!(a_is_gone, "tiers differ after a put that failed: {values:?}");
}

#[tokio::test]
async fn a_copy_that_could_not_be_flushed_resumes_where_it_began() {
    let (from, to) = (unlimited(), Flaky::new(unlimited()).with_only(&[Call::Flush]));
    from.put_bytes(&key("k"), "value".into()).await.unwrap();
    to.set_kind(ErrorKind::NoSpace);
    to.arm(When::Every(1));
    let report = from.copy_to(&to, &Namespace::root(), &CopyOptions::default()).await.unwrap();
    assert!(report.resume_after.is_none(), "going on after it skips what was never durable");
}

#[tokio::test]
async fn a_fill_that_the_tier_refuses_which_has_the_entry_is_refused() {
    let fast = memory(MemoryOptions::unlimited().with_max_bytes(100));
    let slow = unlimited();
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone()));
    let store = builder.tier("slow", Arc::new(slow.clone())).build().unwrap();
    store.put_bytes(&key("a"), vec![1; 100].into()).await.unwrap();
    slow.evict(&key("a")).await.unwrap();
    let log = BlobName::new("log").unwrap();
    let fill = PutEntry::default().with(log.clone(), "text");
    let outcome = store.put(&key("a"), fill, PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert!(!outcome.is_stored(), "{outcome:?}");
    assert_eq!(read(&store, "a").await.unwrap().len(), 100);
    assert!(store.get_bytes(&key("a"), &log).await.unwrap().is_none());
}
