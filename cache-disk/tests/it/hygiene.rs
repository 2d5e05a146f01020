//! Temporaries: none are left by puts that end, fail or are dropped, and dead ones are swept.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use cache_core::{BlobName, ByteStream, Error, KeyManagement, PutEntry, PutOptions, Store, StoreExt};
use futures::{StreamExt, stream};

use crate::{key, open};

/// What lies in the temporary directories of all processes, locks aside.
pub(crate) fn temporaries(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for session in fs::read_dir(dir.join(".tmp")).unwrap() {
        let session = session.unwrap();
        if session.file_type().unwrap().is_dir() {
            found.extend(
                fs::read_dir(session.path()).unwrap().map(|file| format!("{:?}", file.unwrap().path())),
            );
        }
    }
    found
}

fn broken() -> ByteStream {
    let pieces = [Ok(Bytes::from_static(b"some bytes")), Err(Error::invalid("the source broke off"))];
    stream::iter(pieces).boxed()
}

#[tokio::test]
async fn nothing_temporary_is_left_by_any_kind_of_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for _ in 0..3 {
        store.put_bytes(&key("a"), "v".into()).await.unwrap();
    }
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken());
    assert!(store.put(&key("a"), entry, PutOptions::default()).await.is_err());
    let endless = PutEntry::default().with_stream(BlobName::DATA, None, stream::pending().boxed());
    let fresh = key("b");
    let dropped = store.put(&fresh, endless, PutOptions::default());
    assert!(tokio::time::timeout(Duration::from_millis(50), dropped).await.is_err());
    store.evict(&key("a")).await.unwrap();
    store.close(None).await.unwrap();
    assert_eq!(temporaries(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_dead_process_left_is_swept_and_what_a_living_one_has_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let living = open(dir.path()).await;
    let begun = stream::iter([Ok(Bytes::from(vec![0; 1 << 20]))]).chain(stream::pending());
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, begun.boxed());
    let begun = key("a");
    let put = living.put(&begun, entry, PutOptions::default());
    tokio::pin!(put);
    while temporaries(dir.path()).is_empty() {
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut put).await.is_err());
    }

    let temp = dir.path().join(".tmp");
    let dead = temp.join("0123456789abcdef0123456789abcdef");
    let dead_lock = dead.with_extension("lock");
    fs::create_dir_all(dead.join("entry")).unwrap();
    fs::write(dead.join("entry/~data"), "half a value").unwrap();
    fs::write(&dead_lock, "").unwrap();
    let package = temp.join("package");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("precious"), "a stranger's").unwrap();
    fs::write(temp.join("package.lock"), "").unwrap();
    let next = open(dir.path()).await;
    // The sweep runs beside the open; closing waits for it.
    next.close(None).await.unwrap();
    assert!(!dead.exists() && !dead_lock.exists());
    assert!(package.join("precious").exists() && temp.join("package.lock").exists());
    assert_eq!(temporaries(dir.path()).len(), 2, "the living put's stage is still there, and the stranger");
}

#[tokio::test]
async fn a_closed_store_takes_its_temporary_directory_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.close(None).await.unwrap();
    drop(store);
    assert_eq!(fs::read_dir(dir.path().join(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn temporaries_are_unguessable_and_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let stores = [open(dir.path()).await, open(dir.path()).await];
    let begun = || stream::iter([Ok(Bytes::from(vec![0; 2 << 20]))]).chain(stream::pending());
    let entry = || PutEntry::default().with_stream(BlobName::DATA, None, begun().boxed());
    let (a, b) = (key("a"), key("b"));
    let mut puts = [
        stores[0].put(&a, entry(), PutOptions::default()),
        stores[1].put(&b, entry(), PutOptions::default()),
    ];
    while temporaries(dir.path()).len() < 2 {
        for put in &mut puts {
            assert!(tokio::time::timeout(Duration::from_millis(1), put).await.is_err());
        }
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let is_random = |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let temp = dir.path().join(".tmp");
    assert_eq!(mode(&temp), 0o700);
    let mut names = Vec::new();
    for session in fs::read_dir(&temp).unwrap() {
        let session = session.unwrap();
        let name = session.file_name().into_string().unwrap();
        assert!(is_random(name.strip_suffix(".lock").unwrap_or(&name)), "{name}");
        if name.ends_with(".lock") {
            assert_eq!(mode(&session.path()), 0o600);
            continue;
        }
        assert_eq!(mode(&session.path()), 0o700);
        for stage in fs::read_dir(session.path()).unwrap() {
            let stage = stage.unwrap();
            assert_eq!(mode(&stage.path()), 0o700);
            // A count will do: nobody can guess the directory that it lies in.
            names.push(stage.path());
        }
        names.push(session.path());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "a session and a stage of each, all of different names");
}
