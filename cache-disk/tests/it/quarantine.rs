//! Where damaged entries go: aside, some of them, and out of everybody's sight but that of `ls`.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache_core::{
    BlobName, Cache, ErrorKind, GetOptions, Key, KeyManagement, ListOptions, ManualClock, Namespace,
    PutEntry, PutOptions, Store, StoreExt, Usage,
};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;

use crate::{blob_path, entry_path, key, open};

/// What is in quarantine, oldest first.
fn quarantined(dir: &Path) -> Vec<String> {
    let Ok(found) = fs::read_dir(dir.join(".quarantine")) else { return Vec::new() };
    let mut names: Vec<_> = found.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Puts an entry, damages it and finds the damage.
async fn damage(store: &DiskStore, dir: &Path, key: &Key, len: usize) {
    store.put_bytes(key, vec![7; len].into()).await.unwrap();
    let path = blob_path(&dir.join(key.namespace.encoded()), key);
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = store.get_bytes(key, &BlobName::DATA).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_damaged_entry_is_moved_aside_whole_and_named_by_time_digest_and_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let noon = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_262_400_250);
    let clock = Arc::new(ManualClock::new(noon));
    let store = DiskStore::open_with_clock(DiskOptions::new(dir.path()), clock).await.unwrap();
    let key = Key::new("team/x86".parse().unwrap(), key("a").digest);
    let entry = PutEntry::data("output").with(BlobName::new("stdout").unwrap(), "text");
    store.put(&key, entry, PutOptions::default()).await.unwrap();
    let path = blob_path(&dir.path().join("~team/~x86"), &key);
    fs::write(&path, "rubbish").unwrap();
    assert_eq!(store.get_entry(&key, GetOptions::default()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let names = quarantined(dir.path());
    let [name] = names.as_slice() else { panic!("{names:?}") };
    assert!(name.starts_with(&format!("20261121T120000.250Z-{}-", key.digest)), "{name}");
    assert!(name.ends_with("-~team+~x86"), "{name}");
    let kept = dir.path().join(".quarantine").join(name);
    assert_eq!(fs::read(kept.join("~data")).unwrap(), b"rubbish");
    assert!(kept.join("~stdout").is_file());
    assert_eq!(store.metrics().corrupt, 1);
}

#[tokio::test]
async fn what_is_in_quarantine_is_no_entry_and_the_next_put_repairs() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(DiskOptions::new(dir.path()).with_max_bytes(1000)).await.unwrap();
    let (a, b) = (key("a"), key("b"));
    store.put_bytes(&b, vec![1; 500].into()).await.unwrap();
    store.flush().await.unwrap();
    damage(&store, dir.path(), &a, 400).await;
    assert_eq!(quarantined(dir.path()).len(), 1);
    let mut usage = Usage::default();
    usage.add(500, store.meta(&b).await.unwrap().unwrap().stored_bytes);
    assert_eq!(store.usage(&Namespace::root()).await.unwrap(), usage);
    let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!store.contains(&a).await.unwrap() && store.meta(&a).await.unwrap().is_none());
    store.put_bytes(&a, vec![2; 400].into()).await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.get_bytes(&a, &BlobName::DATA).await.unwrap().unwrap(), vec![2; 400]);
    assert!(store.contains(&b).await.unwrap(), "quarantine takes no room from entries");
}

#[tokio::test]
async fn the_oldest_go_first_when_there_are_too_many_or_too_large_ones() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
    let options = DiskOptions::new(dir.path()).with_quarantine(3, 10_000);
    let store = DiskStore::open_with_clock(options, clock.clone()).await.unwrap();
    let left =
        || -> Vec<String> { quarantined(dir.path()).iter().map(|name| name[21..85].to_owned()).collect() };
    let named =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| key(name).digest.to_string()).collect() };
    for name in ["a", "b", "c", "d"] {
        clock.advance(Duration::from_secs(1));
        damage(&store, dir.path(), &key(name), 100).await;
    }
    assert_eq!(left(), named(&["b", "c", "d"]));
    clock.advance(Duration::from_secs(1));
    damage(&store, dir.path(), &key("large"), 9_500).await;
    assert_eq!(left(), named(&["d", "large"]), "a sealed blob of 100 bytes has 212");
    clock.advance(Duration::from_secs(1));
    damage(&store, dir.path(), &key("too large"), 20_000).await;
    assert_eq!(left(), named(&["d", "large"]), "what is over the limit alone drives out no other");
}

#[tokio::test]
async fn without_room_for_any_damaged_entries_are_dropped() {
    for (entries, bytes) in [(0, 1 << 20), (16, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let options = DiskOptions::new(dir.path()).with_quarantine(entries, bytes);
        let store = DiskStore::open(options).await.unwrap();
        damage(&store, dir.path(), &key("a"), 100).await;
        assert!(!dir.path().join(".quarantine").exists());
        assert!(!entry_path(dir.path(), &key("a")).exists());
    }
}

#[tokio::test]
async fn what_cannot_be_moved_aside_is_dropped_and_strangers_stay() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(".quarantine");
    fs::write(&place, "a stranger's").unwrap();
    let store = open(dir.path()).await;
    damage(&store, dir.path(), &key("a"), 100).await;
    assert_eq!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap(), None);
    assert_eq!(fs::read_to_string(&place).unwrap(), "a stranger's");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(place.join("notes.txt"), "a stranger's").unwrap();
    fs::create_dir(place.join("2026")).unwrap();
    let options = DiskOptions::new(dir.path()).with_quarantine(1, 1 << 20);
    let store = DiskStore::open(options).await.unwrap();
    for name in ["a", "b"] {
        damage(&store, dir.path(), &key(name), 100).await;
    }
    let names = quarantined(dir.path());
    assert!(
        names.len() == 3 && names.contains(&"notes.txt".into()) && names.contains(&"2026".into()),
        "{names:?}"
    );
}

#[tokio::test]
async fn links_and_pipes_in_place_of_the_quarantine_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(".quarantine");
    let store = open(dir.path()).await;
    std::os::unix::fs::symlink(outside.path(), &place).unwrap();
    damage(&store, dir.path(), &key("a"), 100).await;
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!fs::symlink_metadata(&place).unwrap().is_symlink());
    fs::remove_dir_all(&place).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &place, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    damage(&store, dir.path(), &key("b"), 100).await;
    assert_eq!(store.get_bytes(&key("b"), &BlobName::DATA).await.unwrap(), None);
}

/// Two stores of one directory, as two processes have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_stores_keep_the_limits_together() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [open(dir.path()).await, open(dir.path()).await];
    let path = dir.path();
    let find = |store: DiskStore, from: u32| async move {
        for n in from..from + 30 {
            damage(&store, path, &key(&n.to_string()), 100).await;
        }
    };
    let [one, two] = stores;
    futures::join!(find(one, 0), find(two, 100));
    assert_eq!(quarantined(dir.path()).len(), 16);
}

#[tokio::test]
async fn a_clear_leaves_what_is_in_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    damage(&store, dir.path(), &key("a"), 100).await;
    store.put_bytes(&key("b"), "v".into()).await.unwrap();
    assert!(Cache::new(Arc::new(store)).clear().await.unwrap().is_complete());
    assert_eq!(quarantined(dir.path()).len(), 1, "it is no entry, and tells what happened");
}

#[tokio::test]
async fn what_came_before_the_clock_was_set_back_keeps_nothing_out() {
    let dir = tempfile::tempdir().unwrap();
    let noon = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_262_400_250);
    let open_at = async |now| {
        let clock = Arc::new(ManualClock::new(now));
        let options = DiskOptions::new(dir.path()).with_quarantine(2, 1 << 20);
        (DiskStore::open_with_clock(options, clock.clone()).await.unwrap(), clock)
    };
    let (store, _) = open_at(noon + Duration::from_secs(86_400)).await;
    for name in ["a", "b"] {
        damage(&store, dir.path(), &key(name), 100).await;
    }
    let (store, clock) = open_at(noon).await;
    for name in ["c", "d"] {
        damage(&store, dir.path(), &key(name), 100).await;
        clock.advance(Duration::from_secs(1));
        let digest = key(name).digest.to_string();
        assert!(quarantined(dir.path()).iter().any(|kept| kept.contains(&digest)), "{name}");
    }
    assert!(quarantined(dir.path()).iter().all(|kept| kept.starts_with("20261121T1200")));
}
