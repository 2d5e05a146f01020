//! The queue is bounded.

use cache_core::{KeyManagement, PutEntry, PutOptions, PutStatus, Refusal};
use futures::future::join_all;

use super::*;
use crate::WhenFull;

const HALF: usize = 30 << 10;

fn half(byte: u8) -> Vec<u8> {
    vec![byte; HALF]
}

/// A full queue whose words cannot be written.
async fn full(options: &TierOptions) -> (Tier, Behind) {
    let tier = tier();
    let (store, _) = behind_with(&tier, options);
    put(&store, "c", "old").await.unwrap();
    store.flush().await.unwrap();
    tier.inner().hang();
    for name in ["a", "b"] {
        put(&store, name, half(1)).await.unwrap();
    }
    tier.inner().until_waiting(2).await;
    (tier, store)
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_makes_puts_wait() {
    let (tier, store) = full(&options()).await;
    let (c, entry) = (key("c"), PutEntry::data(half(2)));
    let mut waits = store.put(&c, entry, PutOptions::default());
    assert!(tokio::time::timeout(Duration::from_secs(3600), &mut waits).await.is_err(), "it waits");
    assert_eq!(get(&store, "c").await.unwrap(), "old");
    tier.inner().release();
    assert_eq!(waits.await.unwrap().status, PutStatus::Queued);
    assert_eq!(get(&store, "c").await.unwrap(), half(2));
}

#[tokio::test(start_paused = true)]
async fn a_put_waits_for_room_no_longer_than_the_deadline() {
    let deadline = Duration::from_secs(2);
    let (_tier, store) = full(&options().with_deadline(deadline)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(kind(put(&store, "c", half(2)).await), ErrorKind::Timeout);
    assert_eq!(begun.elapsed(), deadline);
    assert_eq!(get(&store, "c").await.unwrap(), "old", "nothing is changed");
    put(&store, "c", "short").await.expect("there is room for this one");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_put_that_waits_leaves_nothing() {
    let (tier, store) = full(&options()).await;
    let before = store.queued();
    assert!(tokio::time::timeout(Duration::from_secs(1), put(&store, "c", half(2))).await.is_err());
    assert_eq!(store.queued(), before);
    tier.inner().release();
    store.flush().await.unwrap();
    assert_eq!(get(&store, "c").await.unwrap(), "old");
    assert_eq!(store.queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_refuses() {
    let (tier, store) = full(&options().with_when_full(WhenFull::Refuse)).await;
    let refused = PutStatus::Refused(Refusal::NoRoom);
    assert_eq!(put(&store, "c", half(2)).await.unwrap().status, refused);
    assert_eq!((get(&store, "c").await, below(&tier, "c").await), (None, None), "the older value goes");
    // One that waits goes, too, without more room than there was.
    put(&store, "d", "v").await.unwrap();
    let before = store.queued();
    assert_eq!(put(&store, "d", half(3)).await.unwrap().status, refused);
    assert_eq!(get(&store, "d").await, None);
    assert!(store.queued().1 < before.1);
    // If the older value cannot go, the put fails.
    tier.arm(When::Every(1));
    assert_eq!(kind(put(&store, "e", half(3)).await), ErrorKind::Unavailable);
    tier.arm(When::Never);
    tier.inner().release();
    until(|| store.queued() == (0, 0)).await;
    assert_eq!(get(&store, "a").await.unwrap(), half(1));
    put(&store, "c", half(4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_owed_than_there_is_room_for() {
    let (tier, store) = full(&options()).await;
    let blobs = |bytes: Vec<u8>| vec![(BlobName::DATA, bytes.into())];
    assert!(!store.has_room(&key("c"), &blobs(half(2))));
    assert_eq!(get(&store, "c").await.unwrap(), "old");
    let mut owed = 0;
    while store.has_room(&key(&format!("owed {owed}")), &[]) {
        assert!(store.owe_evict(&key(&format!("owed {owed}"))));
        owed += 1;
        assert!(store.queued().1 <= QUEUE);
    }
    assert!(owed > 1);
    assert!(store.has_room(&key("owed 0"), &[]), "a word that replaces one needs no more room");
    tier.inner().release();
    until(|| store.queued() == (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_put_is_not_kept_out_by_small_ones() {
    let (tier, store) = full(&options()).await;
    let large = put(&store, "large", vec![1; 60 << 10]);
    let small = join_all((0..500).map(|number| {
        let store = &store;
        async move { put(store, &number.to_string(), vec![2; 1 << 10]).await.unwrap() }
    }));
    let all = async {
        let (large, _) = futures::join!(large, small);
        large.unwrap();
    };
    let releasing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tier.inner().release();
    };
    futures::join!(all, releasing);
    store.flush().await.unwrap();
    assert_eq!(below(&tier, "large").await.unwrap().len(), 60 << 10);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_concurrent_puts_keep_the_bound() {
    let slow = cache_conformance::fault::Slow::new(tier())
        .with_delay(Duration::from_millis(1))
        .with_jitter(Duration::from_millis(20));
    let store = Behind::new(Arc::new(slow), &options(), Arc::default(), Arc::new(SystemClock));
    let highest = std::sync::atomic::AtomicU64::new(0);
    let puts = (0..1000_usize).map(|number| {
        let (store, highest) = (&store, &highest);
        async move {
            put(store, &number.to_string(), vec![1; 1 + number * 13 % 4000]).await.unwrap();
            highest.fetch_max(store.queued().1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    join_all(puts).await;
    let highest = highest.into_inner();
    assert!(highest <= QUEUE && highest > QUEUE / 2, "{highest} bytes");
    store.flush().await.unwrap();
    assert_eq!(store.queued(), (0, 0));
    for number in 0..1000_usize {
        let found = get(&store, &number.to_string()).await.unwrap();
        assert_eq!(found.len(), 1 + number * 13 % 4000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_word_costs_its_bytes_its_names_and_what_it_takes_itself() {
    let (_tier, store) = stuck();
    let entry = PutEntry::data("12345").with(BlobName::new("log").unwrap(), "678");
    store.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    assert_eq!(store.queued(), (1, 256 + 5 + 3 + "data".len() as u64 + "log".len() as u64));
    assert!(store.owe_evict(&key("b")));
    assert_eq!(store.queued().0, 2);
    _ = store.evict(&key("a")).await;
    assert_eq!(store.queued(), (2, 512));
}
