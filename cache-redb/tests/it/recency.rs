//! What is known of uses: in memory first, and in the file from the next flush on.

use cache_core::{BlobName, CleanPolicy, KeyManagement, ListOptions, Namespace, Store, StoreExt};
use cache_redb::{RedbOptions, RedbStore};
use futures::TryStreamExt;

use crate::{key, open};

async fn filled(path: &std::path::Path) -> RedbStore {
    let store = open(path).await;
    for n in 0..10 {
        store.put_bytes(&key(&n.to_string()), vec![0; 100].into()).await.unwrap();
    }
    store
}

#[tokio::test]
async fn reads_and_their_counts_outlive_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let store = filled(&path).await;
    for _ in 0..3 {
        store.get_bytes(&key("0"), &BlobName::DATA).await.unwrap().unwrap();
    }
    let before = store.meta(&key("0")).await.unwrap().unwrap();
    assert_eq!(before.access_count, Some(3));
    store.close(None).await.unwrap();
    let store = open(&path).await;
    assert_eq!(store.meta(&key("0")).await.unwrap().unwrap(), before);
    assert_eq!(store.meta(&key("1")).await.unwrap().unwrap().access_count, Some(0));
    let policy = CleanPolicy::default().with_max_bytes(300);
    store.clean(&Namespace::root(), &policy).await.unwrap();
    let kept: Vec<_> =
        store.list(ListOptions::default()).map_ok(|meta| meta.key).try_collect().await.unwrap();
    let mut expected = ["0", "8", "9"].map(key);
    expected.sort();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn an_order_of_uses_outlives_a_clock_that_was_set_back() {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    #[derive(Debug)]
    struct Back(Mutex<SystemTime>);
    impl cache_core::Clock for Back {
        fn now(&self) -> SystemTime {
            let mut now = self.0.lock().unwrap();
            *now -= Duration::from_secs(3600);
            *now
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(dir.path().join("it.redb")).with_max_entries(3);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let clock = Arc::new(Back(Mutex::new(start)));
    let store = RedbStore::open_with_clock(options, clock).await.unwrap();
    for name in ["a", "b", "c"] {
        store.put_bytes(&key(name), "x".into()).await.unwrap();
    }
    store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap();
    store.put_bytes(&key("d"), "x".into()).await.unwrap();
    store.flush().await.unwrap();
    assert!(!store.contains(&key("b")).await.unwrap());
    assert!(store.contains(&key("a")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_forgotten_while_others_are_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("it.redb")).await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        readers.spawn(async move {
            for n in 0..2_000 {
                store.get_bytes(&key(&(n % 10).to_string()), &BlobName::DATA).await.unwrap().unwrap();
            }
        });
    }
    let mut seen = 0;
    while !readers.is_empty() {
        while let Some(ended) = readers.try_join_next() {
            ended.unwrap();
        }
        store.flush().await.unwrap();
        let count = store.meta(&key("0")).await.unwrap().unwrap().access_count.unwrap();
        assert!(count >= seen, "{count} after {seen}");
        seen = count;
    }
    for n in 0..10 {
        let meta = store.meta(&key(&n.to_string())).await.unwrap().unwrap();
        assert_eq!(meta.access_count, Some(800));
    }
}
