//! Stores that go with their last handle, and what of a given directory goes with them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use cache_core::{BlobName, ErrorKind, Key, KeyManagement, Store, StoreExt};
use cache_disk::{DiskOptions, DiskStore};

use crate::{blob_path, entry_path, key, open};

fn dir_of(store: &DiskStore) -> std::path::PathBuf {
    store.info().location.into()
}

async fn is_gone(path: &Path) -> bool {
    for _ in 0..6000 {
        if !path.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Entries here and in namespaces, and a damaged one.
async fn fill(store: &DiskStore) {
    let dir = dir_of(store);
    for name in ["a", "b"] {
        store.put_bytes(&key(name), "v".into()).await.unwrap();
        let deep = Key::new("team/x86".parse().unwrap(), key(name).digest);
        store.put_bytes(&deep, "v".into()).await.unwrap();
    }
    fs::write(blob_path(&dir, &key("b")), "rubbish").unwrap();
    assert_eq!(store.get_bytes(&key("b"), &BlobName::DATA).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_temporary_store_has_a_private_directory_of_its_own() {
    let (one, two) = (DiskStore::temporary().await.unwrap(), DiskStore::temporary().await.unwrap());
    let dir = dir_of(&one);
    assert_ne!(dir, dir_of(&two));
    assert!(dir.starts_with(std::env::temp_dir()));
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    fill(&one).await;
    assert_eq!(one.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "v");
    assert!(!one.info().powers.durable && !one.flush().await.unwrap().durable);
}

#[tokio::test]
async fn a_temporary_store_goes_when_it_is_closed() {
    let store = DiskStore::temporary().await.unwrap();
    fill(&store).await;
    let (dir, clone) = (dir_of(&store), store.clone());
    assert_eq!(store.close(None).await.unwrap().left, 0);
    assert!(!dir.exists());
    assert_eq!(clone.contains(&key("a")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(clone.close(None).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_temporary_store_goes_with_its_last_clone() {
    let store = DiskStore::temporary().await.unwrap();
    fill(&store).await;
    let (dir, clone) = (dir_of(&store), store.clone());
    drop(store);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(clone.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "v");
    drop(clone);
    assert!(is_gone(&dir).await);
}

#[test]
fn a_temporary_store_goes_with_its_runtime_and_outside_of_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(DiskStore::temporary()).unwrap();
    runtime.block_on(fill(&store));
    let dir = dir_of(&store);
    drop(runtime);
    assert!(dir.exists());
    drop(store);
    assert!(!dir.exists());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let dir = runtime.block_on(async {
        let store = DiskStore::temporary().await.unwrap();
        fill(&store).await;
        dir_of(&store)
    });
    drop(runtime);
    assert!(!dir.exists(), "a task that the runtime never began");
}

#[tokio::test]
async fn what_is_under_way_at_the_deadline_keeps_the_files_until_it_ends() {
    let store = DiskStore::temporary().await.unwrap();
    fill(&store).await;
    let dir = dir_of(&store);
    store.close(Some(Duration::ZERO)).await.unwrap();
    drop(store);
    assert!(is_gone(&dir).await);
}

#[tokio::test]
async fn a_given_directory_is_emptied_of_all_that_is_the_stores() {
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions::new(dir.path()).with_temporary(true);
    let store = DiskStore::open(options.clone()).await.unwrap();
    fill(&store).await;
    fs::create_dir_all(dir.path().join(".index")).unwrap();
    fs::write(dir.path().join(".index/file"), "").unwrap();
    store.close(None).await.unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
    let again = DiskStore::open(options).await.unwrap();
    assert!(!again.contains(&key("a")).await.unwrap());
    fill(&again).await;
    drop(again);
    assert!(is_gone(&dir.path().join(".cache-disk")).await);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_strangers_file_in_a_given_directory_stays() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "outside").unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path()).with_temporary(true)).await.unwrap();
    fill(&store).await;
    let shard = entry_path(dir.path(), &key("a")).parent().unwrap().to_owned();
    let strangers = [
        dir.path().join("notes.txt"),
        dir.path().join("~team/notes.txt"),
        shard.join("notes.txt"),
        dir.path().join(".tmp/notes.txt"),
        dir.path().join(".quarantine/notes.txt"),
    ];
    for stranger in &strangers {
        fs::write(stranger, "precious").unwrap();
    }
    std::os::unix::fs::symlink(outside.path(), dir.path().join("~link")).unwrap();
    store.close(None).await.unwrap();
    for stranger in &strangers {
        assert_eq!(fs::read_to_string(stranger).unwrap(), "precious", "{}", stranger.display());
    }
    assert!(!entry_path(dir.path(), &key("a")).exists() && !dir.path().join("~team/~x86").exists());
    assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "outside");
}

#[tokio::test]
async fn everything_stays_while_another_store_has_the_directory_open() {
    let dir = tempfile::tempdir().unwrap();
    let other = open(dir.path()).await;
    let store = DiskStore::open(DiskOptions::new(dir.path()).with_temporary(true)).await.unwrap();
    fill(&store).await;
    store.close(None).await.unwrap();
    assert_eq!(other.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn a_store_that_is_not_temporary_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store).await;
    store.close(None).await.unwrap();
    drop(store);
    assert_eq!(open(dir.path()).await.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "v");
    let error = DiskStore::open(DiskOptions::new("")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn an_open_that_fails_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.close(None).await.unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join(".tmp")).unwrap();
    fs::write(dir.path().join(".tmp"), "a stranger's").unwrap();
    let error = DiskStore::open(DiskOptions::new(dir.path()).with_temporary(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(blob_path(dir.path(), &key("a")).is_file());
}
