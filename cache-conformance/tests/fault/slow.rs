use std::time::Duration;

use cache_conformance::fault::{Call, Slow};
use cache_core::{BlobName, KeyManagement, Store, StoreExt};
use tokio::time::Instant;

use crate::sample::{each_call, key, large, put_stream, read, read_stream, store};

const DELAY: Duration = Duration::from_secs(1);

/// How long it takes by the paused clock, which counts milliseconds.
async fn time(work: impl Future) -> Duration {
    let begun = Instant::now();
    work.await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn every_call_takes_so_long() {
    let store = Slow::new(store().await).with_delay(DELAY);
    let mut failed = Vec::new();
    assert_eq!(time(async { failed = each_call(&store).await }).await, 12 * DELAY);
    assert!(failed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn delay_changes_while_in_use() {
    let store = Slow::new(store().await);
    let control = store.clone();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    for delay in [Duration::ZERO, DELAY, 2 * DELAY, Duration::ZERO] {
        control.set_delay(delay);
        assert_eq!(time(store.contains(&key("a"))).await, delay);
        let now = store.get_now(key("a").view(), &BlobName::DATA);
        assert_eq!(now.is_some(), delay.is_zero(), "a slow store has no hit at once");
    }
}

#[tokio::test(start_paused = true)]
async fn only_named_calls_are_slow() {
    let store = Slow::new(store().await).with_delay(DELAY).with_only(&[Call::Put, Call::Flush]);
    assert_eq!(time(each_call(&store)).await, 2 * DELAY);
    assert!(store.inner().contains(&key("a")).await.is_err(), "it is closed");
    let fresh = Slow::new(crate::sample::store().await).with_delay(DELAY).with_only(&[Call::Put]);
    fresh.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert!(fresh.get_now(key("a").view(), &BlobName::DATA).is_some());
}

#[tokio::test(start_paused = true)]
async fn same_seed_has_the_same_jitter() {
    let inner = store().await;
    let of = async |seed| {
        let store = Slow::new(inner.clone()).with_delay(DELAY).with_jitter(DELAY).with_seed(seed);
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(time(store.contains(&key("a"))).await);
        }
        times
    };
    let first = of(1).await;
    assert_eq!(first, of(1).await);
    assert_ne!(first, of(2).await);
    assert!(first.iter().all(|time| (DELAY..=2 * DELAY).contains(time)), "{first:?}");
    assert!(first.iter().any(|time| *time < DELAY * 3 / 2) && first.iter().any(|time| *time > DELAY * 3 / 2));
}

#[tokio::test(start_paused = true)]
async fn pieces_are_slow_where_asked_for() {
    let (a, bytes) = (key("a"), large());
    let store = Slow::new(store().await).with_delay(DELAY);
    assert_eq!(time(put_stream(&store, &a, &bytes)).await, DELAY);
    assert_eq!(time(read_stream(&store, &a)).await, DELAY);
    let store = store.with_slow_pieces();
    assert_eq!(time(put_stream(&store, &a, &bytes)).await, 11 * DELAY);
    assert_eq!(time(read_stream(&store, &a)).await, 11 * DELAY);
    assert_eq!(time(read(&store, &a)).await, DELAY, "one in hand has no pieces");
    assert_eq!(read_stream(&store, &a).await.unwrap(), bytes);
}
