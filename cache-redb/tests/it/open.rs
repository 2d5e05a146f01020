//! One file, open once for writing, or looked into by many.

use cache_core::{BlobName, CleanPolicy, ErrorKind, KeyManagement, Namespace, Store, StoreExt};
use cache_redb::{RedbOptions, RedbStore};

use crate::{key, open};

#[tokio::test]
async fn a_second_store_is_told_that_the_file_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let first = open(&path).await;
    for read_only in [false, true] {
        let second = RedbStore::open(RedbOptions::new(&path).with_read_only(read_only)).await.unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Locked);
        assert!(second.to_line().contains(path.to_str().unwrap()), "{}", second.to_line());
    }
    first.close(None).await.unwrap();
    open(&path).await;
}

#[tokio::test]
async fn a_dropped_store_keeps_what_was_put_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    for round in 0..20 {
        let store = open(&path).await;
        assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, round);
        store.put_bytes(&key(&round.to_string()), "x".into()).await.unwrap();
    }
}

#[tokio::test]
async fn who_looks_into_a_file_changes_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let looking = RedbOptions::new(&path).with_read_only(true);
    let absent = RedbStore::open(looking.clone()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Unavailable);
    assert!(!path.exists());

    let store = open(&path).await;
    store.put_bytes(&key("a"), "x".into()).await.unwrap();
    store.close(None).await.unwrap();
    let before = std::fs::read(&path).unwrap();

    let (one, two) =
        (RedbStore::open(looking.clone()).await.unwrap(), RedbStore::open(looking).await.unwrap());
    for store in [&one, &two] {
        let found = store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
        assert_eq!(found.as_deref(), Some(b"x".as_slice()));
        assert!(store.contains(&key("a")).await.unwrap());
        assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
        let refused = [
            store.put_bytes(&key("b"), "y".into()).await.unwrap_err(),
            store.evict(&key("a")).await.unwrap_err(),
            store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap_err(),
        ];
        assert_eq!(refused.map(|error| error.kind()), [ErrorKind::Unsupported; 3]);
        store.flush().await.unwrap();
    }
    // Who writes waits for those who look.
    let locked = RedbStore::open(RedbOptions::new(&path)).await.unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Locked);
    one.close(None).await.unwrap();
    two.close(None).await.unwrap();
    let closed = one.get_bytes(&key("a"), &BlobName::DATA).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    drop((one, two));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    open(&path).await;
}

#[tokio::test]
async fn durable_puts_are_there_after_a_kill_without_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("it.redb"), dir.path().join("copy.redb"));
    let store = RedbStore::open(RedbOptions::new(&path).with_durable_puts(true)).await.unwrap();
    for n in 0..10 {
        store.put_bytes(&key(&n.to_string()), vec![1; 300_000].into()).await.unwrap();
    }
    std::fs::copy(&path, &copy).unwrap();
    let killed = open(&copy).await;
    for n in 0..10 {
        let found = killed.get_bytes(&key(&n.to_string()), &BlobName::DATA).await.unwrap().unwrap();
        assert_eq!(found, vec![1; 300_000]);
    }
}
