//! What lies at the path and is not a database of this store, or is no more.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cache_core::{BlobName, Error, ErrorKind, Namespace, Store, StoreExt};
use cache_redb::{RedbOptions, RedbStore};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;

use crate::{key, open};

const USERS: TableDefinition<'_, &str, u64> = TableDefinition::new("users");

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    (dir, path)
}

async fn refusal(path: &Path, read_only: bool) -> Error {
    let error = RedbStore::open(RedbOptions::new(path).with_read_only(read_only)).await.unwrap_err();
    assert!(error.to_line().contains(path.to_str().unwrap()), "{}", error.to_line());
    assert_eq!((error.store(), error.operation()), ("redb", "open"));
    error
}

fn names(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_as_it_is() {
    for bytes in [b"SQLite format 3\0 and more".as_slice(), b"x", b"redb", &[0x8e; 100_000]] {
        let (dir, path) = place();
        fs::write(&path, bytes).unwrap();
        if b"redb\x1a".starts_with(bytes) {
            continue;
        }
        for read_only in [false, true] {
            assert_eq!(refusal(&path, read_only).await.kind(), ErrorKind::Corrupt);
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(names(&dir), ["it.redb"]);
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_keeps_its_rows() {
    let (dir, path) = place();
    let theirs = Database::create(&path).unwrap();
    let transaction = theirs.begin_write().unwrap();
    transaction.open_table(USERS).unwrap().insert("ada", 1815).unwrap();
    transaction.commit().unwrap();
    drop(theirs);
    for read_only in [false, true, false] {
        assert_eq!(refusal(&path, read_only).await.kind(), ErrorKind::Corrupt);
    }
    let theirs = Database::create(&path).unwrap();
    let users = theirs.begin_read().unwrap().open_table(USERS).unwrap();
    assert_eq!(users.get("ada").unwrap().unwrap().value(), 1815);
    assert_eq!(users.iter().unwrap().count(), 1);
    assert_eq!(names(&dir), ["it.redb"]);
}

#[tokio::test]
async fn a_layout_to_come_is_refused_by_its_version() {
    let (dir, path) = place();
    let store = open(&path).await;
    store.put_bytes(&key("a"), "x".into()).await.unwrap();
    store.close(None).await.unwrap();
    let version = |version: u64| {
        let format: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(format).unwrap().insert("version", version).unwrap();
        transaction.commit().unwrap();
    };
    version(2);
    for read_only in [false, true] {
        let error = refusal(&path, read_only).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_line().contains("version 2"), "{}", error.to_line());
    }
    version(1);
    let found = open(&path).await.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
    assert_eq!(found.as_deref(), Some(b"x".as_slice()));
    assert_eq!(names(&dir), ["it.redb"]);
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let (dir, path) = place();
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&path, false).await.kind(), ErrorKind::Invalid);
    assert_eq!(refusal(&path, true).await.kind(), ErrorKind::Invalid);
    assert_eq!(names(&dir), ["it.redb"]);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pipe_or_a_device_holds_up_nobody() {
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let (dir, path) = place();
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link, Path::new("/dev/zero")] {
        for read_only in [false, true] {
            let refused = tokio::time::timeout(Duration::from_secs(5), refusal(path, read_only));
            assert_eq!(refused.await.unwrap().kind(), ErrorKind::Invalid);
        }
    }
    assert_eq!(names(&dir), ["it.redb", "link"]);
}

#[tokio::test]
async fn a_damaged_database_is_set_aside_and_the_last_one_is_kept() {
    let (dir, path) = place();
    let aside = dir.path().join("it.redb.damaged");
    let store = open(&path).await;
    store.put_bytes(&key("a"), vec![7; 100_000].into()).await.unwrap();
    store.close(None).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let mut no_roots = whole.clone();
    no_roots.get_mut(64..320).unwrap().fill(0xff);
    let cut = whole.get(..whole.len() / 2).unwrap();
    for damaged in [whole.get(..5).unwrap(), cut, &no_roots] {
        fs::write(&path, damaged).unwrap();
        // Who only looks moves nothing.
        RedbStore::open(RedbOptions::new(&path).with_read_only(true)).await.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), damaged);

        let store = open(&path).await;
        assert_eq!(store.metrics().corrupt, 1);
        assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap(), None);
        store.put_bytes(&key("b"), "y".into()).await.unwrap();
        store.close(None).await.unwrap();
        assert_eq!(fs::read(&aside).unwrap().len(), damaged.len());
        assert_eq!(names(&dir), ["it.redb", "it.redb.damaged"]);
        let again = open(&path).await;
        assert_eq!(again.usage(&Namespace::root()).await.unwrap().entries, 1);
        again.close(None).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_database_that_cannot_be_set_aside_is_told_and_stays() {
    let (dir, path) = place();
    fs::create_dir(dir.path().join("it.redb.damaged")).unwrap();
    fs::write(&path, b"redb\x1a\n").unwrap();
    let error = refusal(&path, false).await;
    assert!(error.to_line().contains("is damaged and cannot be set aside"), "{}", error.to_line());
    assert_eq!(fs::read(&path).unwrap(), b"redb\x1a\n");
    assert_eq!(names(&dir), ["it.redb", "it.redb.damaged"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_place_that_may_not_be_written_is_denied() {
    let path = Path::new("/proc/self/it.redb");
    let kind = refusal(path, false).await.kind();
    assert!(matches!(kind, ErrorKind::Denied | ErrorKind::Unavailable), "{kind:?}");
}
