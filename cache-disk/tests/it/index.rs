//! The index: true over several stores, cheap to open, and found again from the files when it is lost.
#![expect(clippy::indexing_slicing, reason = "a test may fail")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cache_core::{
    BlobName, ErrorKind, Key, KeyManagement, Namespace, PutEntry, PutMode, PutOptions, Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};

use crate::{entry_path, key, open};

async fn limited(dir: &Path, max: u64) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir).with_max_bytes(max)).await.unwrap()
}

async fn bytes(store: &DiskStore) -> u64 {
    store.usage(&Namespace::root()).await.unwrap().bytes
}

fn numbered(n: u64) -> Key {
    let namespace = ["", "a", "a/b"][n as usize % 3].parse().unwrap();
    Key::new(namespace, key(&n.to_string()).digest)
}

async fn fill(store: &DiskStore, numbers: std::ops::Range<u64>) {
    for n in numbers {
        store.put_bytes(&numbered(n), vec![7; 100].into()).await.unwrap();
    }
}

#[tokio::test]
async fn two_stores_know_the_sum_of_what_both_do() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [open(dir.path()).await, open(dir.path()).await];
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for step in 0..600 {
        let (store, key) = (&stores[next(2) as usize], numbered(next(12)));
        let name = BlobName::new(["data", "log", "x"][next(3) as usize]).unwrap();
        let entry = PutEntry::default().with(name, vec![1; next(300) as usize]);
        let mode = match next(5) {
            0 => {
                store.evict(&key).await.unwrap();
                // A removal of nothing has seen nothing.
                PutMode::Fill
            }
            1 => PutMode::Merge,
            2 => PutMode::Fill,
            _ => PutMode::Replace,
        };
        store.put(&key, entry, PutOptions::mode(mode)).await.unwrap();
        store.put_bytes(&self::key("last"), vec![1; next(9) as usize].into()).await.unwrap();
        assert_eq!(store.metrics().resident_bytes, Some(bytes(store).await), "after step {step}");
    }
    for store in &stores {
        store.close(None).await.unwrap();
    }
    let next = limited(dir.path(), 1 << 30).await;
    next.flush().await.unwrap();
    assert_eq!(next.metrics().resident_bytes, Some(bytes(&next).await));
}

/// What may become of the files of an index.
const DAMAGE: [&str; 9] = [
    "removed",
    "emptied directory",
    "no sizes",
    "zeroed sizes",
    "short sizes",
    "garbled cells",
    "zeroed logs",
    "short logs",
    "garbled logs",
];

fn damage(dir: &Path, how: &str) {
    let index = dir.join(".index");
    let sizes = index.join("sizes");
    let logs = || {
        let all = fs::read_dir(&index).unwrap().map(|file| file.unwrap().path());
        all.filter(|path| path.file_name().unwrap().len() == 2).collect::<Vec<_>>()
    };
    let change = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    match how {
        "removed" => fs::remove_dir_all(&index).unwrap(),
        "emptied directory" => {
            for file in fs::read_dir(&index).unwrap() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        "no sizes" => fs::remove_file(&sizes).unwrap(),
        "zeroed sizes" => change(&sizes, &|bytes| bytes.fill(0)),
        "short sizes" => change(&sizes, &|bytes| bytes.truncate(100)),
        "garbled cells" => change(&sizes, &|bytes| bytes[64..].iter_mut().for_each(|byte| *byte ^= 0x55)),
        "zeroed logs" => logs().iter().for_each(|log| change(log, &|bytes| bytes.fill(0))),
        "short logs" => {
            logs().iter().for_each(|log| change(log, &|bytes| bytes.truncate(bytes.len() / 2)));
        }
        _ => logs().iter().for_each(|log| change(log, &|bytes| bytes[40] ^= 1)),
    }
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_found_again_and_costs_no_entry() {
    for how in DAMAGE {
        for is_open in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let store = limited(dir.path(), 5000).await;
            fill(&store, 0..30).await;
            store.flush().await.unwrap();
            let store = if is_open {
                damage(dir.path(), how);
                store
            } else {
                store.close(None).await.unwrap();
                drop(store);
                damage(dir.path(), how);
                limited(dir.path(), 5000).await
            };
            // Damage to a log is found by who writes to it, or by the next pass.
            fill(&store, 30..45).await;
            fill(&store, 0..20).await;
            store.flush().await.unwrap();
            assert_eq!(bytes(&store).await, 4500, "{how}, open: {is_open}");
            fill(&store, 45..60).await;
            store.flush().await.unwrap();
            let held = bytes(&store).await;
            assert!((4700..=5000).contains(&held), "{how}, open: {is_open}: {held}");
            assert_eq!(store.metrics().resident_bytes, Some(held), "{how}, open: {is_open}");
            for (n, stays) in [(20, false), (19, true), (44, true), (59, true)] {
                let is_there = store.contains(&numbered(n)).await.unwrap();
                assert_eq!(is_there, stays, "{how}, open: {is_open}: {n}");
            }
        }
    }
}

#[tokio::test]
async fn what_others_have_laid_there_is_found_if_the_index_is_lost_and_not_looked_for_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    fill(&store, 0..30).await;
    store.close(None).await.unwrap();
    drop(store);
    let other = tempfile::tempdir().unwrap();
    let foreign = open(other.path()).await;
    foreign.put_bytes(&key("foreign"), vec![1; 5000].into()).await.unwrap();
    let to = entry_path(dir.path(), &key("foreign"));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(entry_path(other.path(), &key("foreign")), to).unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    store.flush().await.unwrap();
    assert_eq!(store.metrics().resident_bytes, Some(3000), "nobody walks through a store that is in order");
    store.close(None).await.unwrap();
    drop(store);
    // A process that died may have died with the machine.
    let died = dir.path().join(".tmp/0123456789abcdef0123456789abcdef");
    fs::create_dir(&died).unwrap();
    fs::write(died.with_extension("lock"), "").unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    store.close(None).await.unwrap();
    drop(store);
    let store = limited(dir.path(), 1_000_000).await;
    store.flush().await.unwrap();
    assert_eq!(store.metrics().resident_bytes, Some(8000));
}

#[tokio::test]
async fn directories_removed_by_hand_count_for_nothing_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    fill(&store, 0..100).await;
    store.flush().await.unwrap();
    for n in 0..60 {
        let key = numbered(n);
        _ = fs::remove_dir_all(entry_path(&dir.path().join(key.namespace.encoded()), &key));
    }
    fill(&store, 100..150).await;
    store.flush().await.unwrap();
    assert_eq!(bytes(&store).await, 9000, "there was room for all that came");
    assert!(store.metrics().resident_bytes.unwrap() <= 10_000);
}

#[tokio::test]
async fn the_entry_that_was_used_least_recently_goes_whichever_store_used_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (limited(dir.path(), 10_000).await, limited(dir.path(), 10_000).await);
    fill(&one, 0..100).await;
    for round in 0..5 {
        for n in 0..10 {
            let store = if n % 2 == 0 { &one } else { &two };
            store.get_bytes(&numbered(n), &BlobName::DATA).await.unwrap().unwrap();
        }
        // Reads may be written down by the next flush only.
        two.flush().await.unwrap();
        fill(&one, 100 + round * 40..140 + round * 40).await;
        one.flush().await.unwrap();
        for n in 0..10 {
            assert!(one.contains(&numbered(n)).await.unwrap(), "{n} in round {round}");
        }
    }
    for n in 10..200 {
        assert!(!one.contains(&numbered(n)).await.unwrap(), "{n}");
    }
    for n in 240..300 {
        assert!(one.contains(&numbered(n)).await.unwrap(), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_process_evicts_puts_go_on_up_to_the_hard_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = limited(dir.path(), 10_000).await;
    fill(&store, 0..100).await;
    store.flush().await.unwrap();
    let evicting = fs::File::create(dir.path().join(".index/evicting")).unwrap();
    evicting.lock().unwrap();
    let begun = Instant::now();
    fill(&store, 100..105).await;
    // A put that waits does so for two evictions, each of which gives up after 5 s.
    assert!(begun.elapsed() < Duration::from_secs(9));
    assert_eq!(bytes(&store).await, 10_500, "nobody but the other one evicts");
    // It shows no sign of life, and in the end nobody waits for it.
    let next = numbered(105);
    let over = store.put_bytes(&next, vec![7; 100].into());
    let flushed = tokio::time::timeout(Duration::from_secs(600), async { (over.await, store.flush().await) });
    let (put, flushed) = flushed.await.unwrap();
    assert!(put.unwrap().is_stored());
    assert_eq!(flushed.unwrap_err().kind(), ErrorKind::Locked);
    drop(evicting);
    store.flush().await.unwrap();
    assert!(bytes(&store).await <= 10_000);
}

#[tokio::test]
async fn a_file_or_a_link_in_the_place_of_the_index_is_never_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join(".index");
    fs::write(&index, "precious").unwrap();
    let error = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&index.display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(&index).unwrap(), "precious");
    fs::remove_file(&index).unwrap();
    let store = limited(dir.path(), 1_000_000).await;
    fill(&store, 0..1).await;
    let precious = dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let digits = numbered(0).digest.to_string();
    for name in [&digits[..2], "sizes", "evicting"] {
        for hard in [false, true] {
            _ = fs::remove_file(index.join(name));
            match hard {
                true => fs::hard_link(&precious, index.join(name)).unwrap(),
                false => std::os::unix::fs::symlink(&precious, index.join(name)).unwrap(),
            }
            fill(&store, 0..1).await;
            store.flush().await.unwrap();
            assert_eq!(bytes(&store).await, 100);
            assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{name}, hard: {hard}");
        }
    }
}

#[tokio::test]
async fn a_put_that_cannot_be_written_down_fails_and_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let digits = key("a").digest.to_string();
    let log = dir.path().join(".index").join(&digits[..2]);
    fs::create_dir(&log).unwrap();
    let error = store.put_bytes(&key("a"), "v".into()).await.unwrap_err();
    assert!(error.to_string().contains(&log.display().to_string()), "{error}");
    assert!(!store.contains(&key("a")).await.unwrap());
    fs::remove_dir(&log).unwrap();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert_eq!(store.metrics().resident_bytes, Some(1));
}

/// Puts that wait at the hard limit are woken by whichever eviction ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_flood_one_directory_all_get_on() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (limited(dir.path(), 3000).await, limited(dir.path(), 3000).await);
    let floods = futures::future::join4(
        fill(&one, 0..150),
        fill(&one, 150..300),
        fill(&two, 300..450),
        fill(&two, 450..600),
    );
    tokio::time::timeout(Duration::from_secs(600), floods).await.unwrap();
    one.flush().await.unwrap();
    let held = bytes(&one).await;
    assert!((2800..=3000).contains(&held), "{held}");
}
