use std::{fs, path::Path, sync::Arc};

use cache_core::{BlobName, Digest, Key, KeyManagement, Namespace, Store, StoreExt, SystemClock};

use super::*;
use crate::{DiskOptions, DiskStore, index::Used};

async fn limited(dir: &Path, max: u64) -> DiskStore {
    let options = DiskOptions::new(dir).with_max_bytes(max);
    DiskStore::open_with_clock(options, Arc::new(SystemClock)).await.unwrap()
}

fn key(n: u32) -> Key {
    Key::from(Digest::of(n.to_be_bytes()))
}

async fn fill(store: &DiskStore, numbers: std::ops::Range<u32>) {
    for n in numbers {
        store.put_bytes(&key(n), vec![7; 100].into()).await.unwrap();
    }
}

fn recorded(store: &DiskStore, key: &Key) -> Option<Held> {
    let (inner, shard) = (&store.0, key.digest.as_bytes()[0]);
    let (log, _) = review(&inner.index, &inner.root, &inner.session(), shard, "flush", None).unwrap();
    log.get(key)
}

#[tokio::test]
async fn an_old_entry_in_use_is_written_down_as_used_and_not_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    fill(&store, 0..100).await;
    store.flush().await.unwrap();
    let before = recorded(&store, &key(0)).unwrap();
    store.get_bytes(&key(0), &BlobName::DATA).await.unwrap().unwrap();
    store.0.write_recency();
    let used = store.meta(&key(0)).await.unwrap().unwrap().last_accessed.unwrap();
    assert_eq!(recorded(&store, &key(0)), Some(before), "reads write nothing");
    fill(&store, 100..101).await;
    store.flush().await.unwrap();
    assert_eq!(recorded(&store, &key(0)), Some(Held { bytes: 100, used: used.into() }));
    assert!(Used::from(used) > before.used);
}

/// What a put leaves that was killed between its record and its rename.
#[tokio::test]
async fn a_record_without_an_entry_is_dropped_when_its_turn_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    for n in 1000..1030 {
        let mut log = store.0.index.lock(&store.0.root, &key(n), "put").unwrap();
        log.write(&key(n), 0, Some(Held { bytes: 100, used: Used(1) })).unwrap();
    }
    fill(&store, 0..80).await;
    store.flush().await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 80, "no entry goes for them");
    let dead = (1000..1030).filter(|n| recorded(&store, &key(*n)).is_some()).count() as u64;
    assert!(dead <= 20, "{dead} of 30 are left");
    assert_eq!(store.metrics().resident_bytes, Some(8000 + dead * 100));
}

#[tokio::test]
async fn what_another_store_has_evicted_is_not_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (limited(dir.path(), 10_000).await, limited(dir.path(), 10_000).await);
    // What the open has begun has ended.
    two.flush().await.unwrap();
    fill(&one, 0..101).await;
    one.flush().await.unwrap();
    let evicted = |store: &DiskStore| store.metrics().evictions;
    assert!(evicted(&one) > 0);
    for round in 0..20 {
        let store = if round % 2 == 0 { &two } else { &one };
        fill(store, 200 + round * 10..210 + round * 10).await;
        store.flush().await.unwrap();
        let held = store.usage(&Namespace::root()).await.unwrap().bytes;
        assert!((9500..=10_000).contains(&held), "{held} in round {round}");
        assert_eq!(store.metrics().resident_bytes, Some(held));
    }
    assert!(evicted(&two) > 50);
}

#[tokio::test]
async fn what_cannot_be_removed_is_passed_over_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    fill(&store, 0..100).await;
    store.flush().await.unwrap();
    // A record that leads to something which is no shard.
    let odd = key(7);
    let shard = dir.path().join(&odd.digest.to_string()[..2]);
    fs::remove_dir_all(&shard).unwrap();
    fs::write(&shard, "a stranger's").unwrap();
    fill(&store, 2000..2001).await;
    store.flush().await.unwrap();
    assert!(store.usage(&Namespace::root()).await.unwrap().bytes <= 10_000);
    assert!(shard.is_file());
}

#[tokio::test]
async fn what_was_removed_by_hand_costs_no_entry_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    store.flush().await.unwrap();
    for n in 0..9 {
        store.put_bytes(&key(n), vec![0; 1000].into()).await.unwrap();
    }
    for n in 0..9 {
        _ = fs::remove_dir_all(dir.path().join(crate::root::shard_path(&key(n))));
    }
    for n in 10..16 {
        store.put_bytes(&key(n), vec![0; 1000].into()).await.unwrap();
    }
    store.flush().await.unwrap();
    for n in 10..16 {
        assert!(store.contains(&key(n)).await.unwrap(), "{n}");
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().bytes, 6000);
    assert!(store.metrics().resident_bytes.unwrap() <= 10_000);
}

#[tokio::test]
async fn a_file_in_place_of_an_entry_does_not_count_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 3000).await;
    store.flush().await.unwrap();
    store.put_bytes(&key(0), vec![0; 1000].into()).await.unwrap();
    let place = dir.path().join(crate::root::entry_path(&key(0)));
    fs::remove_dir_all(&place).unwrap();
    fs::write(&place, "a stranger's").unwrap();
    for n in 1..4 {
        store.put_bytes(&key(n), vec![0; 900].into()).await.unwrap();
    }
    store.flush().await.unwrap();
    assert_eq!(store.metrics().resident_bytes, Some(2700));
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().bytes, 2700);
}
