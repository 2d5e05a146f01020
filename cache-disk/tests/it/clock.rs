//! Clocks that jump: thirty days, to 1970 and before, backwards, to the end of time.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use cache_core::{
    CleanPolicy, Clock, ErrorKind, Key, KeyManagement, Namespace, PutEntry, PutOptions, Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};

use crate::{blob_path, key};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
struct Jumping(Mutex<SystemTime>);

impl Jumping {
    fn at(time: SystemTime) -> Arc<Self> {
        Arc::new(Self(Mutex::new(time)))
    }

    fn jump(&self, to: SystemTime) {
        *self.0.lock().unwrap() = to;
    }
}

impl Clock for Jumping {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// Some day in 2026.
fn today() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_600
}

async fn open_at(dir: &std::path::Path, clock: &Arc<Jumping>, max: Option<u64>) -> DiskStore {
    DiskStore::open_with_clock(DiskOptions::new(dir).with_max_bytes(max), clock.clone()).await.unwrap()
}

async fn put(store: &DiskStore, name: &str) {
    store.put_bytes(&key(name), vec![1; 1000].into()).await.unwrap();
}

async fn has(store: &DiskStore, name: &str) -> bool {
    store.contains(&key(name)).await.unwrap()
}

#[tokio::test]
async fn what_was_put_in_the_future_is_not_outdated_when_the_clock_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Jumping::at(today() - DAY * 10);
    let store = open_at(dir.path(), &clock, None).await;
    put(&store, "old").await;
    clock.jump(today() + DAY * 30);
    put(&store, "future").await;
    clock.jump(today());
    put(&store, "new").await;
    let week = CleanPolicy::default().with_max_age(DAY * 7);
    let report = store.clean(&Namespace::root(), &week).await.unwrap();
    assert_eq!((report.evicted_entries, report.kept_entries), (1, 2));
    assert!(!has(&store, "old").await && has(&store, "future").await && has(&store, "new").await);
    // It gets old when the time has come, as everything does.
    clock.jump(today() + DAY * 38);
    store.clean(&Namespace::root(), &week).await.unwrap();
    assert!(!has(&store, "future").await && !has(&store, "new").await);
}

#[tokio::test]
async fn a_read_after_the_clock_went_back_makes_an_entry_of_the_future_one_of_the_present() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Jumping::at(today() + DAY * 30);
    let store = open_at(dir.path(), &clock, Some(4000)).await;
    put(&store, "future").await;
    clock.jump(today());
    for (name, minutes) in [("a", 1), ("b", 2), ("c", 3)] {
        clock.jump(today() + Duration::from_secs(60 * minutes));
        put(&store, name).await;
    }
    store.flush().await.unwrap();
    clock.jump(today() + DAY);
    assert!(store.get_bytes(&key("a"), &cache_core::BlobName::DATA).await.unwrap().is_some());
    clock.jump(today() + DAY + Duration::from_secs(60));
    put(&store, "d").await;
    store.flush().await.unwrap();
    assert!(has(&store, "d").await, "the newest stays");
    assert!(!has(&store, "b").await, "what was used least recently goes");
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert!(usage.bytes <= 4000, "{usage}");
}

#[tokio::test]
async fn every_operation_stands_any_time() {
    let ends = [Duration::from_secs(i64::MAX as u64), Duration::from_secs(1 << 40), DAY * 365 * 8000];
    let far = ends.iter().filter_map(|end| SystemTime::UNIX_EPOCH.checked_add(*end));
    let past = [DAY, DAY * 365 * 200, Duration::from_millis(1)];
    let past = past.iter().filter_map(|before| SystemTime::UNIX_EPOCH.checked_sub(*before));
    for time in far.chain(past).chain([SystemTime::UNIX_EPOCH, today()]) {
        let dir = tempfile::tempdir().unwrap();
        let clock = Jumping::at(time);
        let store = open_at(dir.path(), &clock, Some(100_000)).await;
        let options = PutOptions::default().with_created(time);
        // A file system may have no such time: that is an error, and no panic.
        match store.put(&key("a"), PutEntry::data("value"), options).await {
            Ok(outcome) => assert!(outcome.is_stored()),
            Err(error) => {
                assert!(!matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt), "{error}");
            }
        }
        store.get_bytes(&key("a"), &cache_core::BlobName::DATA).await.unwrap();
        store.meta(&key("a")).await.unwrap();
        clock.jump(today());
        for policy in [
            CleanPolicy::default().with_max_age(DAY),
            CleanPolicy::default().with_max_age(Duration::MAX),
            CleanPolicy::default().with_max_bytes(1).with_max_age(Duration::ZERO),
        ] {
            store.clean(&Namespace::root(), &policy).await.unwrap();
        }
        store.put_bytes(&key("b"), "value".into()).await.unwrap();
        clock.jump(time);
        std::fs::write(blob_path(dir.path(), &key("b")), "rubbish").unwrap();
        let error = store.get_bytes(&key("b"), &cache_core::BlobName::DATA).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(std::fs::read_dir(dir.path().join(".quarantine")).unwrap().count(), 1);
        store.flush().await.unwrap();
    }
}

#[tokio::test]
async fn eviction_goes_on_while_the_clock_runs_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Jumping::at(today());
    let store = open_at(dir.path(), &clock, Some(10_000)).await;
    for n in 0..60_u32 {
        clock.jump(today() - DAY * n);
        let key = Key::from(cache_core::Digest::of(n.to_be_bytes()));
        store.put_bytes(&key, vec![1; 1000].into()).await.unwrap();
    }
    store.flush().await.unwrap();
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert!(usage.bytes <= 10_000 && usage.entries > 0, "{usage}");
}
