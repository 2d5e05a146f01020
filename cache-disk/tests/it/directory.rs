//! What the directory may be, and what it looks like.

use std::fs;

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutOptions,
    Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;

use crate::{entry_path, key, open};

#[tokio::test]
async fn the_layout_is_the_documented_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = Key::new("Team/x86".parse().unwrap(), key("a").digest);
    let entry = PutEntry::data("out").with(BlobName::new("exit code").unwrap(), "0");
    store.put(&key, entry, PutOptions::default()).await.unwrap();
    let entry = entry_path(&dir.path().join("~%54eam/~x86"), &key);
    let mut names: Vec<_> =
        fs::read_dir(&entry).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["~data", "~exit%20code"]);
    assert_eq!(fs::read_to_string(dir.path().join(".cache-disk")).unwrap(), "cache-disk 1\n");
    let place = &store.meta(&key).await.unwrap().unwrap().places[0];
    assert_eq!(place.location, entry.display().to_string());
}

#[tokio::test]
async fn a_stored_file_is_pinned_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("golden");
    store.put_bytes(&key, "golden value".into()).await.unwrap();
    let stored = fs::read(entry_path(dir.path(), &key).join("~data")).unwrap();
    assert_eq!(stored, include_bytes!("golden-v1.bin"));
    // And a directory with just that file in its place is a store that has it.
    let other = tempfile::tempdir().unwrap();
    let entry = entry_path(other.path(), &key);
    fs::create_dir_all(&entry).unwrap();
    fs::write(entry.join("~data"), include_bytes!("golden-v1.bin")).unwrap();
    let found = open(other.path()).await.get_bytes(&key, &BlobName::DATA).await.unwrap();
    assert_eq!(found.unwrap(), "golden value");
}

#[tokio::test]
async fn a_path_that_is_a_file_is_invalid_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = DiskStore::open(DiskOptions::new(&path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("is not a directory"), "{error}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
}

#[tokio::test]
async fn a_newer_layout_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".cache-disk"), "cache-disk 2\n").unwrap();
    let error = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("cache-disk 2"), "{error}");
}

#[tokio::test]
async fn strangers_are_left_alone_and_never_listed() {
    let dir = tempfile::tempdir().unwrap();
    let shard = entry_path(dir.path(), &key("a")).parent().unwrap().to_owned();
    fs::create_dir_all(&shard).unwrap();
    let strangers = [
        dir.path().join("lost+found"),
        dir.path().join("ab"),
        dir.path().join("~Upper"),
        dir.path().join(".DS_Store"),
        shard.join("notes.txt"),
        shard.join("0".repeat(64)),
        dir.path().join("zz"),
    ];
    for stranger in &strangers {
        if !stranger.exists() {
            fs::write(stranger, "stranger").unwrap();
        }
    }
    let store = open(dir.path()).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|meta| meta.key.clone()).collect::<Vec<_>>(), [key("a")]);
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 0);
    for stranger in &strangers {
        assert!(stranger.exists(), "{}", stranger.display());
    }
}

#[tokio::test]
async fn two_open_stores_share_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(dir.path()).await, open(dir.path()).await);
    one.put_bytes(&key("a"), "of one".into()).await.unwrap();
    assert_eq!(two.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "of one");
    two.evict(&key("a")).await.unwrap();
    assert!(!one.contains(&key("a")).await.unwrap());
}

#[test]
fn outside_a_runtime_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let opened = futures::FutureExt::now_or_never(DiskStore::open(DiskOptions::new(dir.path())));
    assert_eq!(opened.unwrap().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_file_where_a_directory_belongs_is_named_and_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let shard = entry_path(dir.path(), &key("a")).parent().unwrap().to_owned();
    let temp = dir.path().join(".tmp");
    fs::write(&temp, "precious").unwrap();
    let error = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&temp.display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(&temp).unwrap(), "precious");
    fs::remove_file(&temp).unwrap();

    let store = open(dir.path()).await;
    fs::write(&shard, "precious").unwrap();
    let error = store.put_bytes(&key("a"), "v".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&shard.display().to_string()), "{error}");
    store.evict(&key("a")).await.unwrap();
    assert!(!store.contains(&key("a")).await.unwrap());
    assert_eq!(fs::read_to_string(&shard).unwrap(), "precious");
}

#[tokio::test]
async fn a_marker_that_is_no_text_is_refused_and_an_empty_one_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join(".cache-disk");
    fs::write(&marker, b"\xff\xfe").unwrap();
    let error = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // What a power cut may leave: the file, without its bytes or with zeros for them.
    fs::write(&marker, [0; 13]).unwrap();
    open(dir.path()).await;
    assert_eq!(fs::read_to_string(&marker).unwrap(), "cache-disk 1\n");
    fs::write(&marker, "").unwrap();
    open(dir.path()).await;
    assert_eq!(fs::read_to_string(&marker).unwrap(), "cache-disk 1\n");
}

#[tokio::test]
async fn an_entry_with_a_name_that_is_not_utf_8_is_evicted_whole() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    fs::create_dir(entry_path(dir.path(), &key("a")).join(odd)).unwrap();
    store.evict(&key("a")).await.unwrap();
    assert!(!store.contains(&key("a")).await.unwrap());
    store.close(None).await.unwrap();
    drop(store);
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_put_into_a_directory_that_is_gone_names_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let store = open(&gone).await;
    fs::remove_dir_all(&gone).unwrap();
    let error = store.put_bytes(&key("a"), "v".into()).await.unwrap_err();
    assert!(error.to_string().starts_with("disk: put: "), "{error}");
    assert!(error.to_string().contains(&gone.display().to_string()), "{error}");
}
