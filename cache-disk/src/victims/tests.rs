use cache_core::{BlobName, Digest, KeyManagement, Store, StoreExt};

use super::*;
use crate::{DiskOptions, DiskStore};

fn key(n: u8) -> Key {
    Key::from(Digest::of([n]))
}

#[tokio::test]
async fn entries_written_or_read_since_the_scan_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    for n in 0..4 {
        store.put_bytes(&key(n), vec![0; 10].into()).await.unwrap();
    }
    store.flush().await.unwrap();
    let (found, outcome) = scan(&store.0, &Namespace::root(), "clean");
    outcome.unwrap();
    // A coarse clock may show the same time twice.
    thread::sleep(Duration::from_millis(20));
    store.put_bytes(&key(0), vec![0; 20].into()).await.unwrap();
    store.get_bytes(&key(1), &BlobName::DATA).await.unwrap();
    store.evict(&key(2)).await.unwrap();
    let mut answers = Vec::new();
    evict(
        &store.0,
        found,
        "clean",
        |_| true,
        |victim, removed| {
            answers.push((victim.meta.key.clone(), removed));
        },
    )
    .unwrap();
    let answer = |n| answers.iter().find(|(found, _)| *found == key(n)).map(|(_, removed)| *removed);
    assert_eq!(answer(0), Some(Removed::Other));
    assert_eq!(answer(1), Some(Removed::Other));
    assert_eq!(answer(2), Some(Removed::Nothing));
    assert_eq!(answer(3), Some(Removed::Entry(10)));
    assert!(store.contains(&key(0)).await.unwrap() && store.contains(&key(1)).await.unwrap());
    assert_eq!(store.metrics().evictions, 1);
    assert_eq!(store.flush().await.unwrap().entries, 1, "the entry that stayed still waits to be durable");
}
