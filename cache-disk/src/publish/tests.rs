use std::{fs, path::Path, time::SystemTime};

use bytes::Bytes;
use cache_core::{BlobName, Digest, ErrorKind, Store, StoreExt};

use super::*;
use crate::{DiskOptions, DiskStore, root::shard_path};

fn key() -> Key {
    Key::from(Digest::of("k"))
}

fn staged(store: &DiskStore, bytes: &'static [u8]) -> Stage {
    let mut stage = Stage::begin(&store.0, &key(), SystemTime::UNIX_EPOCH).unwrap();
    stage.write(&BlobName::DATA, &Bytes::from_static(bytes)).unwrap();
    stage
}

/// As what is put over an entry of three bytes.
fn step(shard: &OwnedFd) -> Step<'_> {
    Step { shard, before: 3, used: Used(0), whole: true }
}

async fn open(dir: &Path) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir)).await.unwrap()
}

async fn get(store: &DiskStore) -> Option<Bytes> {
    store.get_bytes(&key(), &BlobName::DATA).await.unwrap()
}

#[tokio::test]
async fn a_put_that_was_dropped_does_not_become_visible() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let dropped = Cancel::default();
    dropped.set();
    for held in [None, Some("newer")] {
        if let Some(held) = held {
            store.put_bytes(&key(), held.into()).await.unwrap();
        }
        assert!(publish(&store.0, staged(&store, b"older"), PutMode::Replace, &dropped).is_err());
        assert_eq!(get(&store).await, held.map(Bytes::from));
    }
    assert_eq!(store.flush().await.unwrap().entries, 1);
}

#[tokio::test]
async fn a_file_system_without_exchange_replaces_in_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key(), "old".into()).await.unwrap();
    let shard = store.0.root.open_dir(&shard_path(&key())).unwrap().unwrap();
    let stage = staged(&store, b"new");
    replace_in_two_steps(&store.0, &stage, &step(&shard), &Cancel::default()).unwrap();
    stage.was_published();
    assert_eq!(get(&store).await.unwrap(), "new");
}

#[tokio::test]
async fn a_replace_in_two_steps_whose_second_fails_puts_the_old_entry_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key(), "old".into()).await.unwrap();
    let shard = store.0.root.open_dir(&shard_path(&key())).unwrap().unwrap();
    let stage = staged(&store, b"new");
    let session = fs::read_dir(dir.path().join(".tmp")).unwrap().find_map(|found| {
        let path = found.unwrap().path();
        path.is_dir().then_some(path)
    });
    fs::remove_dir_all(session.unwrap().join(&stage.name)).unwrap();
    assert!(replace_in_two_steps(&store.0, &stage, &step(&shard), &Cancel::default()).is_err());
    assert_eq!(get(&store).await.unwrap(), "old");
}

#[tokio::test]
async fn a_directory_emptied_between_stage_and_rename_is_an_error_that_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let stage = staged(&store, b"new");
    fs::remove_dir_all(dir.path().join(".tmp")).unwrap();
    let error = publish(&store.0, stage, PutMode::Replace, &Cancel::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn a_put_that_is_dropped_leaves_no_empty_shard() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let dropped = Cancel::default();
    dropped.set();
    assert!(publish(&store.0, staged(&store, b"v"), PutMode::Replace, &dropped).is_err());
    assert!(!dir.path().join(shard_path(&key())).exists());
}

fn total(store: &DiskStore) -> u64 {
    store.0.index.totals(&store.0.root, "put").unwrap().bytes
}

#[tokio::test]
async fn who_comes_second_to_a_new_key_leaves_the_sizes_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key(), "first".into()).await.unwrap();
    let shard = store.0.root.open_dir(&shard_path(&key())).unwrap().unwrap();
    let stage = staged(&store, b"second");
    let step = Step { before: 0, ..step(&shard) };
    let placed = becoming_visible(&store.0, &stage, &step, &Cancel::default(), || {
        renameat(stage.session.dir(), &stage.name, &shard, key().digest.to_string())
    });
    assert_eq!(placed.unwrap(), Err(Errno::NOTEMPTY));
    assert_eq!(total(&store), 5);
}

#[tokio::test]
async fn a_kill_at_the_exchange_never_leaves_more_bytes_than_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key(), "of ten all".into()).await.unwrap();
    let shard = store.0.root.open_dir(&shard_path(&key())).unwrap().unwrap();
    for (new, counted) in [(b"small".as_slice(), 10), (b"and of twenty it is..", 21)] {
        let stage = staged(&store, new);
        let step = Step { before: 10, ..step(&shard) };
        let place = |outcome: Result<(), Errno>| {
            becoming_visible(&store.0, &stage, &step, &Cancel::default(), || {
                assert_eq!(total(&store), counted);
                outcome
            })
            .unwrap()
        };
        assert_eq!(place(Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(total(&store), 10);
        assert_eq!(place(Ok(())), Ok(()));
        assert_eq!(total(&store), new.len() as u64);
        // As it was, for the next round.
        let held = Held { bytes: 10, used: Used(0) };
        let mut log = store.0.index.lock(&store.0.root, &key(), "put").unwrap();
        log.write(&key(), new.len() as u64, Some(held)).unwrap();
    }
}
