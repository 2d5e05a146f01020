//! The budget is kept in the background, and nothing that fits is lost to it.

use cache_core::{BlobName, KeyManagement, Namespace, Store, StoreExt};
use cache_disk::{DiskOptions, DiskStore};

use crate::key;

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
