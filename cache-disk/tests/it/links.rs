//! Symbolic links and other files that somebody planted: refused on read, replaced on write, and
//! nothing outside the directory is ever touched.

use std::{fs, os::unix::fs::symlink, path::Path};

use cache_core::{BlobName, ErrorKind, KeyManagement, ListOptions, Namespace, StoreExt};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;
use tempfile::TempDir;

use crate::{blob_path, entry_path, key, open};

fn outside() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    let name = dir.path().display().to_string();
    (dir, name)
}

fn untouched(outside: &Path) {
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "outside");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 1, "something was written outside");
}

#[tokio::test]
async fn a_link_in_place_of_a_blob_is_damage_and_replaced() {
    let (outside, _) = outside();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    store.put_bytes(&key, "v".into()).await.unwrap();
    let path = blob_path(dir.path(), &key);
    fs::remove_file(&path).unwrap();
    symlink(outside.path().join("secret"), &path).unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap_err().kind(), ErrorKind::Corrupt);
    store.put_bytes(&key, "new".into()).await.unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), "new");
    untouched(outside.path());
}

#[tokio::test]
async fn a_link_in_place_of_an_entry_is_refused_and_replaced() {
    let (outside, _) = outside();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    let path = entry_path(dir.path(), &key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(outside.path(), &path).unwrap();
    assert!(!store.contains(&key).await.unwrap());
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap_err().kind(), ErrorKind::Corrupt);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(outside.path(), &path).unwrap();
    store.put_bytes(&key, "new".into()).await.unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), "new");
    untouched(outside.path());
}

#[tokio::test]
async fn links_in_place_of_shards_and_namespaces_are_refused_and_replaced() {
    let (outside, _) = outside();
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let in_root = key("a");
    let mut below = in_root.clone();
    below.namespace = "ns/deep".parse().unwrap();
    symlink(outside.path(), entry_path(dir.path(), &in_root).parent().unwrap()).unwrap();
    symlink(outside.path(), dir.path().join("~ns")).unwrap();
    for key in [&in_root, &below] {
        assert_eq!(store.get_bytes(key, &BlobName::DATA).await.unwrap_err().kind(), ErrorKind::Corrupt);
        store.evict(key).await.unwrap();
    }
    let limited = DiskStore::open(DiskOptions::new(dir.path()).with_max_bytes(10)).await.unwrap();
    assert!(!limited.put_bytes(&in_root, vec![0; 11].into()).await.unwrap().is_stored());
    let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await.unwrap();
    assert_eq!(listed, []);
    for key in [&in_root, &below] {
        store.put_bytes(key, "new".into()).await.unwrap();
        assert_eq!(store.get_bytes(key, &BlobName::DATA).await.unwrap().unwrap(), "new");
    }
    untouched(outside.path());
}

#[tokio::test]
async fn a_pipe_in_place_of_a_blob_is_damage_and_does_not_hang() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    store.put_bytes(&key, "v".into()).await.unwrap();
    let path = blob_path(dir.path(), &key);
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap(), None);
}
