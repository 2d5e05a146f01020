//! How what is found in a slower tier comes into a faster one, and what that costs the reader.

use std::{sync::Arc, time::Duration};

use cache_conformance::fault::{Call, Flaky, Hanging, Slow, When};
use cache_core::{BlobName, GetOptions, Key, KeyManagement, PutEntry, PutOptions, Store, StoreExt};
use cache_layered::{LayeredStore, Promotion, TierOptions, WritePolicy};
use cache_memory::MemoryStore;
use tokio::{task::JoinSet, time::Instant};

use crate::tiers::{Stack, key, stack, unlimited};

const MIB: usize = 1 << 20;

fn with(promotion: Promotion, fast: impl Store, slow: impl Store) -> LayeredStore {
    LayeredStore::builder()
        .tier("fast", Arc::new(fast))
        .options(TierOptions::default().with_promotion(promotion))
        .tier("slow", Arc::new(slow))
        .build()
        .unwrap()
}

async fn get(store: &LayeredStore, key: &Key) -> Option<bytes::Bytes> {
    store.get_bytes(key, &BlobName::DATA).await.unwrap()
}

/// A tier whose puts hang.
fn hung() -> Hanging<MemoryStore> {
    let fast = Hanging::new(unlimited()).with_only(&[Call::Put]);
    fast.hang();
    fast
}

/// Promotions into the first tier: those that succeeded and those that failed.
fn promotions(store: &LayeredStore) -> (u64, u64) {
    let metrics = store.metrics();
    let tier = metrics.tiers.first().unwrap().1.as_tier.unwrap();
    assert_eq!((tier.promotions, tier.promotion_errors), (metrics.promotions, metrics.promotion_errors));
    (metrics.promotions, metrics.promotion_errors)
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_hangs_costs_a_read_a_tenth_of_a_second() {
    let (fast, slow) = (hung(), unlimited());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(Promotion::Inline, fast.clone(), slow);
    let begun = Instant::now();
    assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    // The copy goes on.
    fast.release();
    store.flush().await.unwrap();
    assert!(fast.contains(&key("a")).await.unwrap());
    assert_eq!(promotions(&store), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_goes_on_after_its_read_does_not_bring_the_older_value_back() {
    // A copy asks this first, and a put does not.
    let (fast, slow) = (Hanging::new(unlimited()).with_only(&[Call::Contains]), unlimited());
    fast.hang();
    slow.put_bytes(&key("a"), "old".into()).await.unwrap();
    let store = with(Promotion::Inline, fast.clone(), slow);
    assert_eq!(get(&store, &key("a")).await.unwrap(), "old");
    let put = {
        let store = store.clone();
        // Times do not tell.
        let created = PutOptions::default().with_created(std::time::SystemTime::UNIX_EPOCH);
        async move { store.put(&key("a"), PutEntry::data("new"), created).await.unwrap() }
    };
    let released = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fast.release();
    };
    futures::join!(put, released);
    store.flush().await.unwrap();
    assert_eq!(get(&store, &key("a")).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_promotion_beside_the_read_costs_it_nothing_and_a_flush_waits_for_it() {
    let fast = Slow::new(unlimited()).with_delay(Duration::from_secs(10)).with_only(&[Call::Put]);
    let slow = unlimited();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(Promotion::Background, fast.clone(), slow);
    let begun = Instant::now();
    assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
    assert_eq!((begun.elapsed(), promotions(&store)), (Duration::ZERO, (0, 0)));
    assert!(!fast.contains(&key("a")).await.unwrap());
    store.flush().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert!(fast.contains(&key("a")).await.unwrap());
    assert_eq!(promotions(&store), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_promotions_as_long_as_it_may() {
    let slow = unlimited();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(Promotion::Background, hung(), slow);
    get(&store, &key("a")).await.unwrap();
    let report = store.close(Some(Duration::from_secs(5))).await.unwrap();
    assert_eq!(report.left, 1);
}

#[tokio::test(start_paused = true)]
async fn promotions_that_hang_hold_64_mib_and_the_others_are_dropped_and_counted() {
    for promotion in [Promotion::Inline, Promotion::Background] {
        let (fast, slow) = (hung(), unlimited());
        let keys: Vec<_> = (0..100_u8).map(|n| key(&n.to_string())).collect();
        for key in &keys {
            slow.put_bytes(key, vec![7; MIB].into()).await.unwrap();
        }
        let store = with(promotion, fast.clone(), slow);
        let begun = Instant::now();
        let reads: JoinSet<_> = keys
            .into_iter()
            .map(|key| {
                let store = store.clone();
                async move { get(&store, &key).await.unwrap().len() }
            })
            .collect();
        assert!(reads.join_all().await.iter().all(|len| *len == MIB));
        assert!(begun.elapsed() <= Duration::from_millis(100), "{promotion:?} took {:?}", begun.elapsed());
        tokio::task::yield_now().await;
        assert_eq!((fast.waiting(), promotions(&store)), (64, (0, 36)), "{promotion:?}");
        fast.release();
        store.flush().await.unwrap();
        assert_eq!(promotions(&store), (64, 36));
    }
}

#[tokio::test]
async fn an_entry_larger_than_all_room_is_promoted_alone() {
    let (fast, slow) = (unlimited(), unlimited());
    slow.put_bytes(&key("a"), vec![7; 65 * MIB].into()).await.unwrap();
    let store = with(Promotion::Background, fast.clone(), slow);
    get(&store, &key("a")).await.unwrap();
    store.flush().await.unwrap();
    assert!(fast.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_tier_that_takes_nothing_from_slower_ones_has_what_was_put() {
    let (fast, slow) = (unlimited(), unlimited());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(Promotion::Never, fast.clone(), slow);
    assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
    assert!(!fast.contains(&key("a")).await.unwrap());
    store.put_bytes(&key("b"), "w".into()).await.unwrap();
    assert!(fast.contains(&key("b")).await.unwrap());
    assert_eq!(promotions(&store), (0, 0));
}

#[tokio::test]
async fn what_others_keep_is_promoted_and_never_written() {
    let (fast, theirs) = (unlimited(), unlimited());
    theirs.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("theirs", Arc::new(theirs))
        .write(WritePolicy::Never)
        .build()
        .unwrap();
    assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
    assert!(fast.contains(&key("a")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn readers_while_an_entry_is_promoted_beside_them_fetch_it_once() {
    let fast = Slow::new(unlimited()).with_delay(Duration::from_millis(500)).with_only(&[Call::Put]);
    let slow = Flaky::new(unlimited()).with_only(&[Call::GetEntry]);
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(Promotion::Background, fast, slow.clone());
    for _ in 0..20 {
        assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((slow.calls(), store.metrics().hits), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_promoted_beside_its_readers_is_for_none_after_a_write() {
    let (fast, slow) = (Slow::new(unlimited()).with_only(&[Call::Put]), unlimited());
    slow.put_bytes(&key("a"), "old".into()).await.unwrap();
    let store = with(Promotion::Background, fast.clone(), slow.clone());
    fast.set_delay(Duration::from_millis(300));
    assert_eq!(get(&store, &key("a")).await.unwrap(), "old");
    store.evict(&key("a")).await.unwrap();
    assert_eq!(get(&store, &key("a")).await, None);
    assert!(!fast.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_blob_that_a_faster_tier_lacks_is_healed_by_a_read() {
    let Stack { fast, slow, store } = stack();
    let log = BlobName::new("log").unwrap();
    let entry = || PutEntry::data("out").with(log.clone(), "text");
    let made = PutOptions::default().with_created(std::time::SystemTime::UNIX_EPOCH);
    slow.put(&key("a"), entry(), made.clone()).await.unwrap();
    fast.put(&key("a"), PutEntry::data("out"), made).await.unwrap();
    assert_eq!(store.get_bytes(&key("a"), &log).await.unwrap().unwrap(), "text");
    let healed = fast.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(healed.blobs.len(), 2);
    let before = slow.calls();
    assert_eq!(store.get_bytes(&key("a"), &log).await.unwrap().unwrap(), "text");
    assert_eq!(slow.calls(), before);
}

#[tokio::test]
async fn where_nothing_is_copied_a_blob_is_read_alone() {
    let slow = Flaky::new(unlimited()).with_only(&[Call::GetEntry]);
    let entry = PutEntry::data("v").with(BlobName::new("log").unwrap(), "text");
    slow.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    let store = with(Promotion::Never, unlimited(), slow.clone());
    slow.arm(When::Every(1));
    assert_eq!(get(&store, &key("a")).await.unwrap(), "v");
    assert_eq!(store.get_bytes(&key("a"), &BlobName::new("other").unwrap()).await.unwrap(), None);
    slow.arm(When::Never);
    let whole = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!((whole.blobs.len(), promotions(&store)), (2, (0, 0)));
}
