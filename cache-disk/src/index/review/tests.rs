use std::{fs, path::Path};

use cache_core::{Digest, Namespace, Store, StoreExt};

use super::*;
use crate::{DiskOptions, DiskStore, index::Used};

async fn open(dir: &Path) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir)).await.unwrap()
}

/// Keys of one shard.
fn key(n: u64) -> Key {
    Key::from(format!("ab{n:062x}").parse::<Digest>().unwrap())
}

const SHARD: u8 = 0xab;

fn held(bytes: u64) -> Held {
    Held { bytes, used: Used(7) }
}

fn write(store: &DiskStore, key: &Key, before: u64, held: Option<Held>) {
    store.0.index.lock(&store.0.root, key, "put").unwrap().write(key, before, held).unwrap();
}

fn look_through(store: &DiskStore, look: Option<Look<'_>>) -> Replay {
    let inner = &store.0;
    let (replay, written) =
        review(&inner.index, &inner.root, &inner.session(), SHARD, "flush", look).unwrap();
    written.unwrap();
    replay
}

fn total(store: &DiskStore) -> u64 {
    store.0.index.totals(&store.0.root, "flush").unwrap().bytes
}

#[tokio::test]
async fn what_was_found_counts_unless_a_record_was_written_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for n in 0..4 {
        write(&store, &key(n), 0, Some(held(10)));
    }
    let look = |_: &Replay| {
        write(&store, &key(0), 10, Some(held(5)));
        write(&store, &key(1), 10, None);
        let keys = (0..3).map(|n| (key(n), None)).chain([(key(1), Some(held(3))), (key(9), Some(held(100)))]);
        Ok(Findings { keys: keys.collect() })
    };
    let replay = look_through(&store, Some(&look));
    let found = [0, 1, 2, 3, 9].map(|n| replay.get(&key(n)).map(|held| held.bytes));
    assert_eq!(found, [Some(5), None, None, Some(10), Some(100)]);
    assert_eq!(total(&store), 115);
    let again = look_through(&store, None);
    assert_eq!(again.bytes(), 115);
}

#[tokio::test]
async fn a_log_is_no_longer_than_twice_its_entries_and_some_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for n in 0..2000 {
        store.put_bytes(&key(n % 20), vec![1; (n % 7) as usize].into()).await.unwrap();
        let len = fs::metadata(dir.path().join(".index/ab")).unwrap().len();
        assert!(len < 40_000, "{len} bytes after {n} puts of 20 entries");
    }
    store.flush().await.unwrap();
    assert_eq!(total(&store), store.usage(&Namespace::root()).await.unwrap().bytes);
    // Whoever waits while the log is replaced writes to the new one.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..200 {
                    write(store, &key(1000 + thread * 1000 + n), 0, Some(held(1)));
                    if n % 20 == 0 {
                        look_through(store, Some(&|_: &Replay| Ok(Findings { keys: vec![(key(0), None)] })));
                        write(store, &key(0), 0, Some(held(0)));
                    }
                }
            });
        }
    });
    let replay = look_through(&store, None);
    let written = (0..4).flat_map(|thread| (0..200).map(move |n| key(1000 + thread * 1000 + n)));
    assert!(written.into_iter().all(|key| replay.get(&key).is_some()));
}

/// Whatever is at the end of a log, a record is read if it is whole, and nothing is suspect that need not be.
#[tokio::test]
async fn what_is_torn_is_cut_off_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = dir.path().join(".index/ab");
    write(&store, &key(1), 0, Some(held(10)));
    write(&store, &key(2), 0, Some(held(20)));
    let good = fs::read(&log).unwrap();
    let sizes = fs::read(dir.path().join(".index/sizes")).unwrap();
    let totals = || store.0.index.totals(&store.0.root, "flush").unwrap();
    for torn in [1, 8, 63, 64, 200] {
        let mut bytes = good.clone();
        bytes.resize(good.len() + torn, 0);
        fs::write(&log, bytes).unwrap();
        write(&store, &key(3), 0, Some(held(40)));
        assert_eq!((total(&store), totals().suspect), (70, false), "{torn} bytes");
        assert_eq!(look_through(&store, None).bytes(), 70);
        fs::write(&log, &good).unwrap();
        fs::write(dir.path().join(".index/sizes"), &sizes).unwrap();
    }
    // A whole record of which the sizes know nothing: its writer died in between.
    let one = good.len() - 64;
    fs::write(&log, &good[..one]).unwrap();
    fs::remove_file(dir.path().join(".index/sizes")).unwrap();
    store.0.index.totals(&store.0.root, "flush").unwrap();
    look_through(&store, None);
    store.0.index.healed(totals().asked).unwrap();
    fs::write(&log, &good).unwrap();
    assert_eq!(total(&store), 10);
    write(&store, &key(3), 0, Some(held(40)));
    assert_eq!((total(&store), totals().suspect), (70, false));
}

#[tokio::test]
async fn a_log_that_lost_records_makes_the_index_suspect() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let log = dir.path().join(".index/ab");
    for damage in ["cut off", "emptied", "removed", "garbled", "of a later version"] {
        write(&store, &key(1), 0, Some(held(10)));
        write(&store, &key(2), 0, Some(held(20)));
        assert!(!store.0.index.totals(&store.0.root, "flush").unwrap().suspect);
        let mut bytes = fs::read(&log).unwrap();
        match damage {
            "cut off" => fs::write(&log, &bytes[..bytes.len() - 1]).unwrap(),
            "emptied" => fs::write(&log, b"").unwrap(),
            "removed" => fs::remove_file(&log).unwrap(),
            "garbled" => {
                bytes[30] ^= 1;
                fs::write(&log, &bytes).unwrap();
            }
            _ => {
                bytes[8] += 1;
                fs::write(&log, &bytes).unwrap();
            }
        }
        look_through(&store, None);
        let totals = store.0.index.totals(&store.0.root, "flush").unwrap();
        assert!(totals.suspect, "{damage}");
        store.0.index.healed(totals.asked).unwrap();
        let clear = |log: &Replay| {
            let keys =
                log.entries().map(|(namespace, digest, _)| (Key::new(namespace.clone(), digest), None));
            Ok(Findings { keys: keys.collect() })
        };
        look_through(&store, Some(&clear));
    }
}
