//! A put that its caller dropped must not land after what the same caller did next.

use std::time::Duration;

use cache_core::{BlobName, GetOptions, KeyManagement, Namespace, PutEntry, PutOptions, Store, StoreExt};
use cache_disk::{DiskOptions, DiskStore};

use crate::{hygiene::temporaries, key, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_put_never_lands_after_a_newer_put_or_eviction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for n in 0..60 {
        let key = key(&n.to_string());
        let mut put = store.put(&key, PutEntry::data(vec![1; 500_000]), PutOptions::default());
        _ = futures::poll!(put.as_mut());
        std::thread::sleep(Duration::from_micros(n * 40));
        drop(put);
        if n % 2 == 0 {
            store.put_bytes(&key, "newer".into()).await.unwrap();
        } else {
            store.evict(&key).await.unwrap();
        }
    }
    // Whatever still ran in the background has ended.
    store.close(None).await.unwrap();
    let store = open(dir.path()).await;
    for n in 0..60 {
        let found = store.get(&key(&n.to_string()), &BlobName::DATA, GetOptions::default()).await.unwrap();
        assert_eq!(found.map(|blob| blob.len()), (n % 2 == 0).then_some(5), "put {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_that_were_dropped_count_against_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path()).with_max_bytes(100_000)).await.unwrap();
    store.flush().await.unwrap();
    for n in 0..100 {
        let key = key(&n.to_string());
        let mut put = store.put(&key, PutEntry::data(vec![7; 10_000]), PutOptions::default());
        _ = futures::poll!(put.as_mut());
        std::thread::sleep(Duration::from_micros(n * 10));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.flush().await.unwrap();
    assert!(store.usage(&Namespace::root()).await.unwrap().bytes <= 100_000);
}

#[tokio::test]
async fn a_directory_emptied_under_an_open_store_takes_puts_and_evictions_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    std::fs::remove_dir_all(dir.path().join(".tmp")).unwrap();
    store.evict(&key("a")).await.unwrap();
    assert!(!store.contains(&key("a")).await.unwrap());
    for found in std::fs::read_dir(dir.path()).unwrap() {
        let path = found.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }
    store.put_bytes(&key("b"), "v".into()).await.unwrap();
    assert!(store.contains(&key("b")).await.unwrap());
    assert!(dir.path().join(".cache-disk").exists());
}

#[test]
fn a_close_with_a_deadline_needs_no_timer() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = open(dir.path()).await;
        let key = key("a");
        store.put_bytes(&key, "v".into()).await.unwrap();
        let shard = std::fs::File::open(crate::entry_path(dir.path(), &key).parent().unwrap()).unwrap();
        shard.lock().unwrap();
        {
            let mut put = store.put(&key, PutEntry::data("w"), PutOptions::default());
            // Until it has begun, and is to wait for the lock.
            while temporaries(dir.path()).is_empty() {
                assert!(futures::poll!(put.as_mut()).is_pending());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // What the close itself begins may be left as well.
        let mut left = 0;
        while left != 1 {
            left = store.close(Some(Duration::from_millis(50))).await.unwrap().left;
            assert!(left > 0);
        }
        drop(shard);
        assert_eq!(store.close(Some(Duration::from_secs(60))).await.unwrap().left, 0);
    });
}
