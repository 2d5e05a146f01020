//! What somebody planted, in every place that the store looks at: nothing hangs, nothing panics, nothing outside
//! of the directory is read or written, and what stands in the way is named or replaced.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use cache_core::{
    CleanPolicy, Error, ErrorKind, GetOptions, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutMode,
    PutOptions, Store, VerifyOptions,
};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::{blob_path, entry_path, key};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Thing {
    Pipe,
    Device,
    Socket,
    LinkToFile,
    LinkToDirectory,
    LinkToNothing,
    LinkToItself,
    HardLink,
    File,
    Directory,
}

const THINGS: [Thing; 10] = [
    Thing::Pipe,
    Thing::Device,
    Thing::Socket,
    Thing::LinkToFile,
    Thing::LinkToDirectory,
    Thing::LinkToNothing,
    Thing::LinkToItself,
    Thing::HardLink,
    Thing::File,
    Thing::Directory,
];

/// Puts something in place of what is there. `false` if that needs rights that this process does not have.
fn plant(thing: Thing, place: &Path, outside: &Path) -> bool {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place).unwrap(),
        Ok(_) => fs::remove_file(place).unwrap(),
        Err(_) => fs::create_dir_all(place.parent().unwrap()).unwrap(),
    }
    let node = |kind, device| mknodat(CWD, place, kind, Mode::RWXU, device).is_ok();
    match thing {
        Thing::Pipe => node(FileType::Fifo, 0),
        // /dev/zero: it can be read for ever.
        Thing::Device => node(FileType::CharacterDevice, makedev(1, 5)),
        Thing::Socket => UnixListener::bind(place).is_ok(),
        Thing::LinkToFile => symlink(outside.join("secret"), place).is_ok(),
        Thing::LinkToDirectory => symlink(outside, place).is_ok(),
        Thing::LinkToNothing => symlink(outside.join("new"), place).is_ok(),
        Thing::LinkToItself => symlink(place, place).is_ok(),
        Thing::HardLink => fs::hard_link(outside.join("secret"), place).is_ok(),
        Thing::File => fs::write(place, "a stranger's").is_ok(),
        Thing::Directory => fs::create_dir(place).is_ok(),
    }
}

/// All that tells whether something was written there.
fn state(outside: &Path) -> (Vec<PathBuf>, String, i64, i64, u32) {
    let files = fs::read_dir(outside).unwrap().map(|file| file.unwrap().path()).collect();
    let (dir, file) = (fs::metadata(outside).unwrap(), fs::metadata(outside.join("secret")).unwrap());
    (files, fs::read_to_string(outside.join("secret")).unwrap(), dir.mtime(), file.mtime(), file.mode())
}

/// Every operation, whose errors have to be such that a caller can do something about.
async fn use_it(dir: &Path, damaged: &Key) -> Result<(), Error> {
    let options = DiskOptions::new(dir).with_max_bytes(100_000);
    let store = DiskStore::open(options).await?;
    let mut outcomes: Vec<Result<(), Error>> = Vec::new();
    let root = Namespace::root();
    let other = Key::new("ns".parse().unwrap(), key("other").digest);
    for key in [damaged, &other] {
        outcomes.push(store.contains(key).await.map(drop));
        outcomes.push(store.meta(key).await.map(drop));
        outcomes.push(store.get(key, &cache_core::BlobName::DATA, GetOptions::default()).await.map(drop));
        outcomes.push(store.get_entry(key, GetOptions::default()).await.map(drop));
        for mode in [PutMode::Fill, PutMode::Merge, PutMode::Replace] {
            outcomes.push(store.put(key, PutEntry::data("new"), PutOptions::mode(mode)).await.map(drop));
        }
        outcomes.push(store.get_entry(key, GetOptions::default()).await.map(drop));
    }
    outcomes.push(store.list(ListOptions::below(&root)).try_collect::<Vec<_>>().await.map(drop));
    outcomes.push(store.usage(&root).await.map(drop));
    outcomes.push(store.verify(&root, &VerifyOptions::default()).await.map(drop));
    outcomes.push(store.clean(&root, &CleanPolicy::default().with_max_bytes(1)).await.map(drop));
    outcomes.push(store.flush().await.map(drop));
    outcomes.push(store.evict(damaged).await);
    outcomes.push(store.evict(&other).await);
    outcomes.push(store.close(None).await.map(drop));
    drop(store);
    for outcome in outcomes {
        if let Err(error) = outcome {
            // Not a bug of the store.
            assert!(!matches!(error.kind(), ErrorKind::Internal | ErrorKind::Closed), "{error}");
        }
    }
    Ok(())
}

/// Runs `work` on a runtime of its own, which is left behind if it hangs.
fn in_time(what: &str, work: impl Future<Output = Result<(), Error>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), work).await });
    runtime.shutdown_background();
    let error = match ended {
        Ok(outcome) => outcome.err(),
        Err(_) => Some(Error::new(ErrorKind::Internal, "disk", "hangs")),
    };
    assert_ne!(error.as_ref().map(Error::kind), Some(ErrorKind::Internal), "{what}: {error:?}");
}

fn try_all(name: &str, place: impl Fn(&Path, &Key) -> PathBuf) {
    for thing in THINGS {
        for flip in [false, true] {
            let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::write(outside.path().join("secret"), "outside").unwrap();
            let key = if flip { Key::new("ns".parse().unwrap(), key("a").digest) } else { key("a") };
            let what = format!("{thing:?} in place of {name}");
            in_time(&what, async {
                let store = DiskStore::open(DiskOptions::new(dir.path())).await?;
                store.put(&key, PutEntry::data("value"), PutOptions::default()).await?;
                store.close(None).await.map(drop)
            });
            if !plant(thing, &place(dir.path(), &key), outside.path()) {
                continue;
            }
            let before = state(outside.path());
            in_time(&what, use_it(dir.path(), &key));
            assert_eq!(state(outside.path()), before, "{what}: something outside was touched");
        }
    }
}

fn below(dir: &Path, key: &Key) -> PathBuf {
    dir.join(key.namespace.encoded())
}

#[test]
fn in_place_of_a_blob() {
    try_all("a blob", |dir, key| blob_path(&below(dir, key), key));
}

#[test]
fn in_place_of_an_entry() {
    try_all("an entry", |dir, key| entry_path(&below(dir, key), key));
}

#[test]
fn in_place_of_a_shard() {
    try_all("a shard", |dir, key| entry_path(&below(dir, key), key).parent().unwrap().to_owned());
}

#[test]
fn in_place_of_a_namespace() {
    try_all("a namespace", |dir, _| dir.join("~ns"));
}

#[test]
fn in_place_of_the_marker() {
    try_all("the marker", |dir, _| dir.join(".cache-disk"));
}

#[test]
fn in_place_of_the_temporaries() {
    try_all("the temporaries", |dir, _| dir.join(".tmp"));
}

#[test]
fn in_place_of_a_dead_session() {
    let id = "0123456789abcdef0123456789abcdef";
    try_all("a session's lock", |dir, _| dir.join(".tmp").join(format!("{id}.lock")));
    try_all("a session", |dir, _| {
        fs::create_dir_all(dir.join(".tmp")).unwrap();
        fs::write(dir.join(".tmp").join(format!("{id}.lock")), "").unwrap();
        dir.join(".tmp").join(id)
    });
}

#[test]
fn in_place_of_the_quarantine() {
    try_all("the quarantine", |dir, key| {
        let path = blob_path(&below(dir, key), key);
        fs::write(path, "rubbish").unwrap();
        dir.join(".quarantine")
    });
}

#[test]
fn in_place_of_something_in_quarantine() {
    try_all("something in quarantine", |dir, key| {
        let path = blob_path(&below(dir, key), key);
        fs::write(path, "rubbish").unwrap();
        dir.join(format!(".quarantine/20200101T000000.000Z-{}-01234567", key.digest))
    });
}

#[test]
fn in_place_of_the_index() {
    try_all("the index", |dir, _| dir.join(".index"));
    try_all("a file of the index", |dir, _| dir.join(".index/00"));
}

#[test]
fn in_place_of_the_directory_itself() {
    for thing in THINGS {
        let (parent, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "outside").unwrap();
        let place = parent.path().join("store");
        // A link to a directory is how users say where the store is.
        if thing == Thing::LinkToDirectory || !plant(thing, &place, outside.path()) {
            continue;
        }
        let before = state(outside.path());
        in_time(&format!("{thing:?} in place of the directory"), use_it(&place, &key("a")));
        assert_eq!(state(outside.path()), before, "{thing:?}: something outside was touched");
    }
}

#[tokio::test]
async fn strangers_of_every_kind_fail_no_open_and_no_listing() {
    use std::os::unix::ffi::OsStrExt;

    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "outside").unwrap();
    fs::create_dir_all(dir.path().join("lost+found/#12345")).unwrap();
    let shard = entry_path(dir.path(), &key("a")).parent().unwrap().to_owned();
    let entry = entry_path(dir.path(), &key("a"));
    let store = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    store.put(&key("a"), PutEntry::data("value"), PutOptions::default()).await.unwrap();
    let mut strangers = vec![dir.path().join("lost+found")];
    for place in [dir.path(), &shard, &entry, &dir.path().join(".tmp")] {
        for (thing, number) in THINGS.into_iter().zip(0..) {
            for name in [format!("stranger-{number}"), format!("~UPPER{number}"), format!("~%zz{number}")] {
                if plant(thing, &place.join(&name), outside.path()) {
                    strangers.push(place.join(name));
                }
            }
        }
        let odd = place.join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
        fs::write(&odd, "not UTF-8").unwrap();
        strangers.push(odd);
    }
    let before = state(outside.path());
    store.close(None).await.unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    let root = Namespace::root();
    let listed: Vec<_> = store.list(ListOptions::below(&root)).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|meta| &meta.key).collect::<Vec<_>>(), [&key("a")]);
    let read = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(read.blobs.len(), 1);
    let report = store.verify(&root, &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.entries, report.bytes, report.is_sound()), (1, 5, true));
    store.clean(&root, &CleanPolicy::default().with_max_bytes(100)).await.unwrap();
    assert_eq!(store.flush().await.unwrap().entries, 0);
    store.close(None).await.unwrap();
    for stranger in strangers {
        assert!(fs::symlink_metadata(&stranger).is_ok(), "{} is gone", stranger.display());
    }
    assert_eq!(state(outside.path()), before);
}
