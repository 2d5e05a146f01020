use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use cache_core::{Digest, Key, Namespace, Store, StoreExt};

use super::*;
use crate::{DiskOptions, DiskStore};

/// The `n`th key of a shard.
fn key(shard: u8, n: u64) -> Key {
    Key::from(format!("{shard:02x}{n:062x}").parse::<Digest>().unwrap())
}

async fn open(dir: &Path, max: Option<u64>) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir).with_max_bytes(max)).await.unwrap()
}

/// Five entries of 1000 bytes in the shard `ab`.
async fn fill(store: &DiskStore) {
    for n in 0..5 {
        store.put_bytes(&key(0xab, n), vec![0; 1000].into()).await.unwrap();
    }
}

fn total(store: &DiskStore) -> u64 {
    store.0.index.totals(&store.0.root, "flush").unwrap().bytes
}

async fn usage(store: &DiskStore) -> u64 {
    store.usage(&Namespace::root()).await.unwrap().bytes
}

fn write_over(dir: &Path, at: usize, bytes: &[u8]) {
    let sizes = OpenOptions::new().write(true).open(dir.join(".index/sizes")).unwrap();
    sizes.write_all_at(bytes, at as u64).unwrap();
}

#[tokio::test]
async fn a_log_of_any_length_takes_the_memory_of_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).await;
    fill(&store).await;
    let log = OpenOptions::new().write(true).open(dir.path().join(".index/ab")).unwrap();
    log.set_len(1 << 42).unwrap();
    store.put_bytes(&key(0xab, 9), vec![0; 1000].into()).await.unwrap();
    assert_eq!(total(&store), 6000);
    assert!(log.metadata().unwrap().len() < 1000, "what is no record is cut off");
}

#[tokio::test]
async fn a_garbled_size_of_a_shard_without_a_log_keeps_nobody_from_evicting() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).await;
    fill(&store).await;
    write_over(dir.path(), sizes::place(0x11), &[3]);
    let strict = open(dir.path(), Some(3000)).await;
    strict.flush().await.unwrap();
    assert_eq!(usage(&strict).await, 2000, "down to the low watermark");
    assert_eq!(total(&strict), 2000);
}

#[tokio::test]
async fn a_size_that_is_garbled_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).await;
    fill(&store).await;
    write_over(dir.path(), sizes::place(0xab), &[0; 8]);
    let strict = open(dir.path(), Some(3000)).await;
    strict.flush().await.unwrap();
    assert_eq!(usage(&strict).await, 2000);
}

#[tokio::test]
async fn what_a_lost_log_told_of_is_found_again_by_the_next_pass() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), None).await;
    fill(&store).await;
    store.put_bytes(&key(0xcd, 1), vec![0; 1000].into()).await.unwrap();
    fs::remove_file(dir.path().join(".index/ab")).unwrap();
    let strict = open(dir.path(), Some(3000)).await;
    strict.flush().await.unwrap();
    assert_eq!(usage(&strict).await, 2000, "down to the low watermark");
    assert_eq!(total(&strict), 2000);
}

#[tokio::test]
async fn a_put_finds_that_the_sizes_were_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Some(3000)).await;
    store.flush().await.unwrap();
    fs::remove_file(dir.path().join(".index/sizes")).unwrap();
    store.put_bytes(&key(0xab, 1), vec![0; 1000].into()).await.unwrap();
    assert!(dir.path().join(".index/sizes").exists());
    store.flush().await.unwrap();
    assert_eq!(total(&store), 1000);
}
