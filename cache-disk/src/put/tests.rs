use std::{future::Future, time::Duration};

use cache_core::{Digest, Store, StoreExt};
use futures::{FutureExt, poll};
use tokio::time::timeout;

use super::*;
use crate::DiskOptions;

async fn limited(dir: &std::path::Path) -> DiskStore {
    let store = DiskStore::open(DiskOptions::new(dir).with_max_bytes(1000)).await.unwrap();
    store.flush().await.unwrap();
    store
}

/// Puts of which two bring a store of 1000 bytes far over that; the third one waits.
async fn flood(store: &DiskStore) {
    for name in ["a", "b", "c"] {
        store.put_bytes(&Key::from(Digest::of(name)), vec![0; 900].into()).await.unwrap();
    }
}

async fn begin(store: &DiskStore, mut put: impl Future + Unpin) {
    while !store.0.budget.is_far_over(1000) {
        assert!(timeout(Duration::from_millis(1), &mut put).await.is_err());
    }
    assert!(timeout(Duration::from_millis(50), &mut put).await.is_err(), "it waits");
}

async fn ends(put: impl Future) {
    timeout(Duration::from_secs(60), put).await.expect("the put waits for ever");
}

#[tokio::test]
async fn a_put_that_waits_goes_on_when_a_clean_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path()).await;
    let cleaning = store.evicting("clean").await.unwrap();
    let mut put = flood(&store).boxed();
    begin(&store, &mut put).await;
    drop(cleaning);
    ends(put).await;
}

#[tokio::test]
async fn a_put_that_waits_goes_on_when_a_flush_is_dropped_that_was_to_evict() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path()).await;
    let cleaning = store.evicting("clean").await.unwrap();
    let mut flush = store.enforce_for_flush().boxed();
    assert!(poll!(&mut flush).is_pending());
    let mut put = flood(&store).boxed();
    begin(&store, &mut put).await;
    drop(cleaning);
    // The turn is the flush's now, which does not know it yet.
    assert!(timeout(Duration::from_millis(50), &mut put).await.is_err());
    drop(flush);
    ends(put).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_puts_at_a_time_never_pass_the_budget_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path()).with_max_bytes(1_000_000)).await.unwrap();
    store.flush().await.unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let puts = (0..500_u32).map(|n| {
        let store = &store;
        async move {
            store.put_bytes(&Key::from(Digest::of(n.to_be_bytes())), vec![0; 10_000].into()).await.unwrap();
        }
    });
    let most = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(store.0.index.totals(&store.0.root, "put").unwrap().bytes);
                std::thread::sleep(Duration::from_micros(100));
            }
            most
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(futures::future::join_all(puts))
        });
        done.store(true, Ordering::Relaxed);
        sampler.join().unwrap()
    });
    assert!(most <= 1_100_000, "{most}");
}
