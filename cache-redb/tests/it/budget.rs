//! The budget is kept in the background, by bytes and by entries, and nothing that fits is lost to it.

use cache_core::{BlobName, ErrorKind, KeyManagement, Namespace, Store, StoreExt};
use cache_redb::{RedbOptions, RedbStore};

use crate::key;

async fn limited(dir: &std::path::Path, max: u64) -> RedbStore {
    RedbStore::open(RedbOptions::new(dir.join("it.redb")).with_max_bytes(max)).await.unwrap()
}

#[tokio::test]
async fn a_flood_of_puts_never_passes_the_hard_limit_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 100_000).await;
    for n in 0..400 {
        store.put_bytes(&key(&n.to_string()), vec![0; 1000].into()).await.unwrap();
        let held = store.usage(&Namespace::root()).await.unwrap().bytes;
        assert!(held <= 110_000, "{held} bytes after {n} puts");
    }
    store.flush().await.unwrap();
    let held = store.usage(&Namespace::root()).await.unwrap();
    assert_eq!((held.entries, held.bytes), (100, 100_000), "no more goes than has to");
    assert!(store.contains(&key("399")).await.unwrap(), "the newest entry stays");
    let metrics = store.metrics();
    assert_eq!((metrics.evictions, metrics.evicted_bytes), (300, 300_000));
    assert_eq!((metrics.entries, metrics.resident_bytes), (Some(100), Some(100_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_puts_at_a_time_never_pass_the_budget_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..500 {
        let store = store.clone();
        tasks.spawn(async move {
            store.put_bytes(&key(&n.to_string()), vec![7; 20_000].into()).await.unwrap();
            store.usage(&Namespace::root()).await.unwrap().bytes
        });
    }
    while let Some(held) = tasks.join_next().await {
        let held = held.unwrap();
        assert!(held <= 1_100_000, "{held}");
    }
    store.flush().await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 50);
}

#[tokio::test]
async fn entries_are_bounded_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(dir.path().join("it.redb"));
    let none = RedbStore::open(options.clone().with_max_entries(0)).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
    let store = RedbStore::open(options.with_max_entries(10)).await.unwrap();
    for n in 0..40 {
        store.put_bytes(&key(&n.to_string()), "x".into()).await.unwrap();
    }
    assert!(store.get_bytes(&key("39"), &BlobName::DATA).await.unwrap().is_some());
    store.flush().await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 10);
    assert_eq!(store.info().max_entries, Some(10));
}

#[tokio::test]
async fn one_entry_over_a_smaller_budget_does_not_cost_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let generous = limited(dir.path(), 1_000_000).await;
    for n in 0..80 {
        generous.put_bytes(&key(&n.to_string()), vec![0; 100].into()).await.unwrap();
    }
    generous.put_bytes(&key("huge"), vec![0; 20_000].into()).await.unwrap();
    generous.close(None).await.unwrap();
    let strict = limited(dir.path(), 10_000).await;
    strict.flush().await.unwrap();
    assert_eq!(strict.usage(&Namespace::root()).await.unwrap().entries, 80);
    assert!(!strict.contains(&key("huge")).await.unwrap());
}
