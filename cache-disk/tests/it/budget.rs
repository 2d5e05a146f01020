//! The budget is kept in the background, and nothing that fits is lost to it.

use cache_core::{
    BlobName, CleanPolicy, KeyManagement, Namespace, PutEntry, PutMode, PutOptions, Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};

use crate::{entry_path, key};

async fn limited(dir: &std::path::Path, max: u64) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir).with_max_bytes(max)).await.unwrap()
}

#[tokio::test]
async fn a_flood_of_puts_never_passes_the_hard_limit_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 100_000).await;
    for n in 0..400 {
        store.put_bytes(&key(&n.to_string()), vec![0; 1000].into()).await.unwrap();
        if n % 20 == 0 {
            let held = store.usage(&Namespace::root()).await.unwrap().bytes;
            assert!(held <= 112_000, "{held} bytes after {n} puts");
        }
    }
    store.flush().await.unwrap();
    let held = store.usage(&Namespace::root()).await.unwrap().bytes;
    assert!((50_000..=100_000).contains(&held), "{held}");
    assert!(store.contains(&key("399")).await.unwrap(), "the newest entry stays");
    assert!(store.metrics().evictions >= 300);
}

#[tokio::test]
async fn an_eviction_spares_the_newest_entry_if_it_fits() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 1000).await;
    store.put_bytes(&key("small"), vec![0; 100].into()).await.unwrap();
    store.put_bytes(&key("almost all"), vec![0; 950].into()).await.unwrap();
    store.flush().await.unwrap();
    assert!(store.get_bytes(&key("almost all"), &BlobName::DATA).await.unwrap().is_some());
    assert!(!store.contains(&key("small")).await.unwrap());
}

#[tokio::test]
async fn a_smaller_budget_is_kept_from_the_first_flush_on() {
    let dir = tempfile::tempdir().unwrap();
    let generous = limited(dir.path(), 10_000).await;
    for n in 0..8 {
        generous.put_bytes(&key(&n.to_string()), vec![0; 1000].into()).await.unwrap();
    }
    generous.close(None).await.unwrap();
    let strict = limited(dir.path(), 3000).await;
    strict.flush().await.unwrap();
    assert!(strict.usage(&Namespace::root()).await.unwrap().bytes <= 3000);
}

#[tokio::test]
async fn two_stores_of_one_directory_keep_the_budget_together() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (limited(dir.path(), 100_000).await, limited(dir.path(), 100_000).await);
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    for n in 0..90 {
        one.put_bytes(&key(&n.to_string()), vec![0; 1000].into()).await.unwrap();
        two.put_bytes(&key(&format!("other {n}")), vec![0; 1000].into()).await.unwrap();
    }
    one.flush().await.unwrap();
    assert!(one.usage(&Namespace::root()).await.unwrap().bytes <= 100_000);
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
}

#[tokio::test]
async fn merges_replaces_and_evictions_move_the_estimate_by_what_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    store.flush().await.unwrap();
    let resident = || store.metrics().resident_bytes.unwrap();
    store.put_bytes(&key("a"), vec![0; 1000].into()).await.unwrap();
    for n in 0..5 {
        let more = PutEntry::default().with(BlobName::new(format!("b{n}")).unwrap(), "x");
        store.put(&key("a"), more, PutOptions::mode(PutMode::Merge)).await.unwrap();
    }
    assert_eq!((resident(), store.metrics().bytes_in), (1005, 1005));
    store.put(&key("a"), PutEntry::data("other"), PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert_eq!((resident(), store.metrics().bytes_in), (1005, 1005));
    store.put_bytes(&key("a"), vec![0; 10].into()).await.unwrap();
    assert_eq!(resident(), 10);
    store.evict(&key("a")).await.unwrap();
    store.evict(&key("a")).await.unwrap();
    assert_eq!(resident(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_shard_others_hold_delays_neither_flush_nor_clean() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 25_000).await;
    store.put_bytes(&key("held"), vec![0; 10_000].into()).await.unwrap();
    let shard = std::fs::File::open(entry_path(dir.path(), &key("held")).parent().unwrap()).unwrap();
    shard.lock().unwrap();
    store.put_bytes(&key("b"), vec![0; 10_000].into()).await.unwrap();
    store.put_bytes(&key("c"), vec![0; 10_000].into()).await.unwrap();
    // Who waits for the lock does so for 30 s.
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, store.flush()).await.unwrap().unwrap();
    assert!(store.contains(&key("held")).await.unwrap());
    assert!(store.usage(&Namespace::root()).await.unwrap().bytes <= 25_000);
    let all = CleanPolicy::default().with_max_bytes(0);
    let report = tokio::time::timeout(limit, store.clean(&Namespace::root(), &all)).await.unwrap().unwrap();
    assert_eq!((report.kept_entries, report.kept_bytes), (1, 10_000));
}

#[tokio::test]
async fn a_fill_that_wrote_nothing_leaves_nothing_to_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 25_000).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert_eq!(store.flush().await.unwrap().entries, 1);
    store.put(&key("a"), PutEntry::data("w"), PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert_eq!(store.flush().await.unwrap().entries, 0);
}

#[tokio::test]
async fn a_view_for_the_suite_does_not_tell_the_bytes_of_others_as_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 25_000).await;
    store.put_bytes(&key("others"), vec![0; 500].into()).await.unwrap();
    assert_eq!(store.metrics().resident_bytes, Some(500));
    let view = cache_conformance::Scoped::new(std::sync::Arc::new(store), "mine".parse().unwrap());
    assert_eq!((view.metrics().resident_bytes, view.metrics().puts), (None, 1));
}
