//! Scrubs of a stack: each tier apart, and what is damaged in one is repaired from another.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use cache_conformance::fault::When;
use cache_core::{
    BlobName, ErrorKind, GetOptions, Guard, Hooked, Key, Namespace, Operation, OperationHook, PutEntry,
    PutOptions, Result, Store, StoreExt, VerifyOptions, VerifyReport,
};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use futures::FutureExt;

use crate::tiers::{fail, key, layered, stack, unlimited};

pub(crate) async fn disk(dir: &Path) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir)).await.unwrap()
}

pub(crate) fn file(dir: &Path, key: &Key, blob: &str) -> PathBuf {
    let digits = key.digest.to_string();
    dir.join(key.namespace.encoded()).join(&digits[..2]).join(digits).join(format!("~{blob}"))
}

pub(crate) fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 60;
    *bytes.get_mut(last).unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

async fn verify(store: &impl Store) -> VerifyReport {
    store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap()
}

fn figures(report: &VerifyReport) -> (u64, u64, u64) {
    (report.entries, report.damaged, report.repaired)
}

/// An entry with two blobs, one of them too large to be in hand.
fn entry(n: u8) -> PutEntry {
    PutEntry::data(vec![n; 3_000_000]).with(BlobName::new("log").unwrap(), vec![n; 100])
}

async fn assert_whole(store: &impl Store, key: &Key, n: u8) {
    let read = store.get_entry(key, GetOptions::default().quietly()).await.unwrap().unwrap();
    let lens: Vec<_> = read.blobs.iter().map(|(name, blob)| (name.to_string(), blob.len())).collect();
    assert_eq!(lens, [("data".to_owned(), 3_000_000), ("log".to_owned(), 100)]);
    for (_, blob) in read.blobs {
        assert!(blob.collect(u64::MAX).await.unwrap().iter().all(|byte| *byte == n));
    }
}

#[tokio::test]
async fn damage_in_one_tier_is_repaired_from_another_either_way() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    let store = layered(fast.clone(), slow.clone());
    let deep = Key::new("team".parse().unwrap(), key("b").digest);
    let keys = [key("a"), deep, key("c")];
    for (key, n) in keys.iter().zip(1..) {
        store.put(key, entry(n), PutOptions::default()).await.unwrap();
    }
    let made = store.meta(&keys[0]).await.unwrap().unwrap().modified;
    damage(&file(fast_dir.path(), &keys[0], "data"));
    damage(&file(slow_dir.path(), &keys[1], "log"));
    let report = verify(&store).await;
    assert!(report.is_sound(), "{report}");
    assert_eq!(figures(&report), (6, 2, 2));
    let tiers: Vec<_> = report.tiers.iter().map(|(name, tier)| (&**name, figures(tier))).collect();
    assert_eq!(tiers, [("fast", (3, 1, 1)), ("slow", (3, 1, 1))]);
    for (key, n) in keys.iter().zip(1..) {
        assert_whole(&fast, key, n).await;
        assert_whole(&slow, key, n).await;
    }
    assert_eq!(fast.meta(&keys[0]).await.unwrap().unwrap().modified, made, "a repaired entry is no newer");
    assert_eq!(store.metrics().corrupt, 2);
    assert_eq!(figures(&verify(&store).await), (6, 0, 0));
}

#[tokio::test]
async fn what_no_tier_has_sound_is_lost_and_named() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = layered(disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    for name in ["both", "one"] {
        store.put(&key(name), entry(1), PutOptions::default()).await.unwrap();
    }
    damage(&file(fast_dir.path(), &key("both"), "data"));
    damage(&file(slow_dir.path(), &key("both"), "data"));
    let report = verify(&store).await;
    assert!(!report.is_sound());
    assert_eq!((report.damaged - report.repaired, report.lost), (1, vec![key("both")]));
    assert!(
        !store
            .verify(&Namespace::root(), &VerifyOptions::default())
            .await
            .unwrap()
            .lost
            .contains(&key("both"))
    );
    let without = VerifyOptions::default().with_repair(false);
    damage(&file(fast_dir.path(), &key("one"), "data"));
    let report = store.verify(&Namespace::root(), &without).await.unwrap();
    assert_eq!((report.damaged, report.repaired, report.lost), (1, 0, vec![key("one")]));
}

#[tokio::test]
async fn memory_repairs_what_is_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let slow = disk(dir.path()).await;
    let store = layered(unlimited(), slow.clone());
    store.put(&key("a"), entry(7), PutOptions::default()).await.unwrap();
    damage(&file(dir.path(), &key("a"), "data"));
    assert!(verify(&store).await.is_sound());
    assert_whole(&slow, &key("a"), 7).await;
}

#[tokio::test]
async fn a_stack_that_is_a_tier_is_repaired_from_the_others() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let stores = [disk(dirs[0].path()).await, disk(dirs[1].path()).await, disk(dirs[2].path()).await];
    let inner = layered(stores[1].clone(), stores[2].clone());
    let store = LayeredStore::builder()
        .tier("top", Arc::new(stores[0].clone()))
        .tier("rest", Arc::new(inner))
        .build()
        .unwrap();
    store.put(&key("a"), entry(3), PutOptions::default()).await.unwrap();
    damage(&file(dirs[1].path(), &key("a"), "data"));
    damage(&file(dirs[2].path(), &key("a"), "data"));
    let tiers = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&tiers);
    let options = VerifyOptions::default().with_progress(move |at| {
        let mut told = told.lock().unwrap();
        if told.last() != Some(&at.tier) {
            told.push(at.tier.clone());
        }
    });
    let report = store.verify(&Namespace::root(), &options).await.unwrap();
    assert!(report.is_sound() && report.repaired >= 1, "{report}");
    for tier in &stores {
        assert_whole(tier, &key("a"), 3).await;
    }
    let tiers: Vec<_> =
        tiers.lock().unwrap().iter().map(|tier| tier.as_deref().unwrap().to_owned()).collect();
    assert_eq!(tiers, ["top", "rest/fast", "rest/slow"]);
}

#[tokio::test]
async fn a_tier_that_cannot_be_read_is_told_and_the_others_are_verified() {
    let stack = stack();
    stack.store.put_bytes(&key("a"), "v".into()).await.unwrap();
    fail(&stack.fast, ErrorKind::Unavailable);
    let report = verify(&stack.store).await;
    assert_eq!((report.entries, report.is_sound()), (1, false));
    let error = report.first_error.unwrap();
    assert!(error.to_string().starts_with("layered/fast: verify: "), "{error}");
    stack.fast.arm(When::Never);
    stack.store.close(None).await.unwrap();
    let closed = stack.store.verify(&Namespace::root(), &VerifyOptions::default()).await;
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_quiet_read_promotes_nothing_and_counts_no_lookup() {
    let stack = stack();
    stack.slow.put(&key("a"), entry(1), PutOptions::default()).await.unwrap();
    for stream_above in [0, u64::MAX] {
        let quiet = GetOptions::default().quietly().with_stream_above(stream_above);
        assert!(stack.store.get_entry(&key("a"), quiet.clone()).await.unwrap().is_some());
        assert!(stack.store.get(&key("a"), &BlobName::DATA, quiet).await.unwrap().is_some());
    }
    assert!(stack.fast.meta(&key("a")).await.unwrap().is_none());
    let metrics = stack.store.metrics();
    assert_eq!((metrics.hits, metrics.misses, metrics.promotions), (0, 0, 0));
}

/// Puts of the same keys all the while: nothing is lost, and nothing older comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_brings_nothing_older_back_over_a_put() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    let store = layered(fast.clone(), slow.clone());
    for round in 0..30_u8 {
        store.put_bytes(&key("a"), vec![0; 200_000].into()).await.unwrap();
        damage(&file(if round % 2 == 0 { fast_dir.path() } else { slow_dir.path() }, &key("a"), "data"));
        let a = key("a");
        let put = store.put_bytes(&a, vec![1; 200_000].into());
        let (scope, options) = (Namespace::root(), VerifyOptions::default());
        let (report, put) = futures::join!(store.verify(&scope, &options), put);
        assert!(put.unwrap().is_stored());
        assert!(report.unwrap().first_error.is_none());
        for tier in [&fast, &slow] {
            let found = tier.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
            assert!(found.is_none_or(|bytes| bytes.first() == Some(&1)), "round {round}");
        }
        assert!(store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().is_some(), "round {round}");
    }
}

#[tokio::test]
async fn a_dropped_verify_leaves_whole_entries() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    let store = layered(fast.clone(), slow.clone());
    for polls in 1..40 {
        store.put(&key("a"), entry(5), PutOptions::default()).await.unwrap();
        damage(&file(fast_dir.path(), &key("a"), "log"));
        let (scope, options) = (Namespace::root(), VerifyOptions::default());
        let mut verify = store.verify(&scope, &options);
        for _ in 0..polls {
            if (&mut verify).now_or_never().is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        drop(verify);
        // The next write waits for a repair that is under way.
        store.put(&key("b"), entry(6), PutOptions::default()).await.unwrap();
        match fast.get_entry(&key("a"), GetOptions::default().quietly()).await {
            Ok(Some(_)) => assert_whole(&fast, &key("a"), 5).await,
            Ok(None) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
        }
        assert_whole(&slow, &key("a"), 5).await;
    }
}

#[tokio::test]
async fn damage_that_a_repair_finds_in_another_tier_is_repaired_too() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let stores = [disk(dirs[0].path()).await, disk(dirs[1].path()).await, disk(dirs[2].path()).await];
    let [top, middle, bottom] = stores.each_ref().map(|store| Arc::new(store.clone()));
    let store = LayeredStore::builder()
        .tier("top", top)
        .tier("middle", middle)
        .tier("bottom", bottom)
        .build()
        .unwrap();
    store.put(&key("a"), entry(3), PutOptions::default()).await.unwrap();
    damage(&file(dirs[0].path(), &key("a"), "data"));
    damage(&file(dirs[2].path(), &key("a"), "log"));
    let report = verify(&store).await;
    assert!(report.is_sound(), "{report}");
    for tier in &stores {
        assert_whole(tier, &key("a"), 3).await;
    }
}

#[tokio::test]
async fn large_blobs_that_are_damaged_in_every_tier_are_lost_and_no_failure() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = layered(disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    let large = vec![1; 9 << 20];
    store.put(&key("a"), PutEntry::data(large), PutOptions::default()).await.unwrap();
    for dir in [&fast_dir, &slow_dir] {
        let path = file(dir.path(), &key("a"), "data");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.get_mut(8 << 20).unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let report = verify(&store).await;
    assert!(report.first_error.is_none(), "{report}");
    assert_eq!((report.damaged - report.repaired, report.lost), (1, vec![key("a")]));
}

/// Puts an entry into a store when another one is asked for it.
#[derive(Debug)]
struct PutFirst(DiskStore);

#[async_trait]
impl OperationHook for PutFirst {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        if operation.name == "get_entry" {
            self.0.put_bytes(&key("a"), "newer".into()).await?;
        }
        Ok(Guard::none())
    }

    fn try_enter(&self, _operation: &Operation) -> Option<Guard> {
        Some(Guard::none())
    }
}

#[tokio::test]
async fn what_another_process_puts_during_a_repair_stays() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    for tier in [&fast, &slow] {
        tier.put_bytes(&key("a"), "older".into()).await.unwrap();
    }
    damage(&file(fast_dir.path(), &key("a"), "data"));
    let store = layered(fast.clone(), Hooked::new(slow, Arc::new(PutFirst(fast.clone()))));
    let report = verify(&store).await;
    assert!(report.is_sound(), "{report}");
    assert_eq!(fast.get_bytes(&key("a"), &BlobName::DATA).await.unwrap().unwrap(), "newer");
}
