//! Repairs of a stack: what is damaged, what is missing where it has to be, and what is another version.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_conformance::fault::{Call, Flaky, Hanging, When};
use cache_core::{
    BlobName, ErrorKind, GetOptions, Key, KeyManagement, Namespace, PutEntry, PutMode, PutOptions, Store,
    StoreExt, VerifyOptions,
};
use cache_layered::{LayeredStore, RepairOptions, RepairReport, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::FutureExt;

use crate::{
    tiers::{Stack, key, layered, memory, stack, unlimited},
    verify::{damage, disk, file},
};

async fn repair(store: &LayeredStore) -> RepairReport {
    store.repair(&Namespace::root(), &RepairOptions::default()).await.unwrap()
}

/// What was filled, replaced and failed in each tier.
fn figures(report: &RepairReport) -> Vec<(u64, u64, u64)> {
    report.tiers.iter().map(|(_, tier)| (tier.filled, tier.replaced, tier.failed)).collect()
}

fn at(seconds: u64) -> PutOptions {
    PutOptions::default().with_created(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn log() -> BlobName {
    BlobName::new("log").unwrap()
}

async fn data(store: &impl Store, key: &Key) -> Option<Bytes> {
    store.get_bytes(key, &BlobName::DATA).await.unwrap()
}

fn three(stores: [Arc<dyn Store>; 3]) -> LayeredStore {
    let [fast, middle, slow] = stores;
    LayeredStore::builder().tier("fast", fast).tier("middle", middle).tier("slow", slow).build().unwrap()
}

#[tokio::test]
async fn a_blob_that_a_faster_tier_lacks_is_put_there() {
    let Stack { fast, slow, store } = stack();
    let whole = PutEntry::data("out").with(log(), "text");
    store.put(&key("a"), whole, at(9)).await.unwrap();
    fast.put(&key("a"), PutEntry::data("out"), at(9)).await.unwrap();
    let report = repair(&store).await;
    assert!(report.is_complete() && !report.is_clean(), "{report}");
    assert_eq!((report.entries, figures(&report)), (1, vec![(0, 1, 0), (0, 0, 0)]));
    for tier in [&fast, &slow] {
        assert_eq!(tier.get_bytes(&key("a"), &log()).await.unwrap().unwrap(), "text");
        assert_eq!(data(tier, &key("a")).await.unwrap(), "out");
        assert_eq!(tier.meta(&key("a")).await.unwrap().unwrap().modified, at(9).created);
    }
    assert!(repair(&store).await.is_clean());
}

#[tokio::test]
async fn a_missing_blob_is_healed_by_a_read() {
    let Stack { fast, slow, store } = stack();
    slow.put(&key("a"), PutEntry::data("out").with(log(), "text"), at(9)).await.unwrap();
    fast.put(&key("a"), PutEntry::data("out"), at(9)).await.unwrap();
    assert_eq!(store.get_bytes(&key("a"), &log()).await.unwrap().unwrap(), "text");
    // A copy may be made beside the read that asked for it.
    while fast.get_bytes(&key("a"), &log()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(data(&fast, &key("a")).await.unwrap(), "out");
}

#[tokio::test]
async fn an_entry_that_the_slowest_tier_lacks_is_copied_down_and_keeps_its_time() {
    let stores = [(); 3].map(|()| unlimited());
    let store = three(stores.each_ref().map(|store| Arc::new(store.clone()) as Arc<dyn Store>));
    stores[0].put(&key("a"), PutEntry::data("v"), at(9)).await.unwrap();
    let report = repair(&store).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(figures(&report), [(0, 0, 0), (0, 0, 0), (1, 0, 0)]);
    let copied = stores[2].meta(&key("a")).await.unwrap().unwrap();
    assert_eq!((copied.bytes, copied.modified), (Some(1), at(9).created));
}

#[tokio::test]
async fn an_entry_that_a_faster_tier_has_evicted_is_not_brought_back() {
    let Stack { fast, slow, store } = stack();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let report = repair(&store).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.entries, 1);
    assert!(!fast.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn of_several_versions_the_last_one_made_wins_and_else_the_slower_tiers() {
    // When the faster and the slower one were made, and which is right.
    for (fast_made, slow_made, right) in [(1, 2, "slow"), (2, 1, "fast"), (3, 3, "slow")] {
        let Stack { fast, slow, store } = stack();
        fast.put(&key("a"), PutEntry::data("fast"), at(fast_made)).await.unwrap();
        slow.put(&key("a"), PutEntry::data("slow").with(log(), "of slow"), at(slow_made)).await.unwrap();
        let report = repair(&store).await;
        assert!(report.is_complete() && report.written() == 1, "{report}");
        for tier in [&fast, &slow] {
            assert_eq!(data(tier, &key("a")).await.unwrap(), right);
            let has_log = tier.get_bytes(&key("a"), &log()).await.unwrap().is_some();
            assert_eq!(has_log, right == "slow");
        }
    }
}

#[tokio::test]
async fn another_version_of_the_same_size_is_found_too() {
    for stream in [false, true] {
        let Stack { fast, slow, store } = stack();
        let value = |last: u8| {
            let mut value = vec![7; if stream { 9 << 20 } else { 9 }];
            *value.last_mut().unwrap() = last;
            value
        };
        fast.put(&key("a"), PutEntry::data(value(1)), at(1)).await.unwrap();
        slow.put(&key("a"), PutEntry::data(value(2)), at(2)).await.unwrap();
        assert_eq!(figures(&repair(&store).await), [(0, 1, 0), (0, 0, 0)]);
        assert!(data(&fast, &key("a")).await.unwrap() == value(2));
    }
}

#[tokio::test]
async fn where_nothing_is_amiss_nothing_is_written() {
    let Stack { fast, slow, store } = stack();
    for n in 0..50_u8 {
        // Each tier dates these itself, so that their times differ.
        store
            .put(&key(&n.to_string()), PutEntry::data(vec![n; 100_000]), PutOptions::default())
            .await
            .unwrap();
    }
    store
        .put(&key("0"), PutEntry::default().with(log(), "merged"), PutOptions::mode(PutMode::Merge))
        .await
        .unwrap();
    store.get_entry(&key("0"), GetOptions::default()).await.unwrap();
    let before = (store.metrics(), fast.metrics(), slow.metrics());
    let report = repair(&store).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, report.written()), (50, 0));
    assert!(report.tiers.iter().all(|(_, tier)| tier.entries == 50));
    for (now, before) in [(store.metrics(), before.0), (fast.metrics(), before.1), (slow.metrics(), before.2)]
    {
        let since = now.since(&before);
        assert_eq!((since.puts, since.removals, since.hits, since.misses), (0, 0, 0, 0));
    }
}

#[tokio::test]
async fn damage_is_repaired_and_told_apart_from_what_is_missing() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    let store = layered(fast.clone(), slow.clone());
    for name in ["fast", "slow", "missing"] {
        store.put(&key(name), PutEntry::data(vec![1; 1000]), at(1)).await.unwrap();
    }
    damage(&file(fast_dir.path(), &key("fast"), "data"));
    damage(&file(slow_dir.path(), &key("slow"), "data"));
    slow.evict(&key("missing")).await.unwrap();
    let report = repair(&store).await;
    assert!(report.is_complete(), "{report}");
    let damaged: Vec<_> = report.tiers.iter().map(|(_, tier)| (tier.damaged, tier.restored)).collect();
    assert_eq!((damaged, figures(&report)), (vec![(1, 1), (1, 1)], vec![(0, 0, 0), (1, 0, 0)]));
    let text = report.to_string();
    assert!(text.starts_with("3 entries compared; fast: 1 damaged, 1 restored, 0 filled"), "{text}");
    for name in ["fast", "slow", "missing"] {
        for tier in [&fast, &slow] {
            assert_eq!(data(tier, &key(name)).await.unwrap(), vec![1; 1000]);
        }
    }
    damage(&file(fast_dir.path(), &key("fast"), "data"));
    let without = RepairOptions::default().with_verify(false);
    assert!(store.repair(&Namespace::root(), &without).await.unwrap().is_clean());
}

#[tokio::test]
async fn damage_that_a_comparison_finds_is_replaced() {
    let (dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (fast, slow) = (disk(dir.path()).await, disk(slow_dir.path()).await);
    let store = layered(fast.clone(), slow.clone());
    for (tier, made) in [(&fast, 1), (&slow, 2)] {
        tier.put(&key("a"), PutEntry::data(vec![1; 300_000]), at(made)).await.unwrap();
    }
    // Deep inside, where only who reads it all meets it.
    let path = file(dir.path(), &key("a"), "data");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.get_mut(150_000).unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(at(1).created.unwrap()).unwrap();
    let options = RepairOptions::default().with_verify(false);
    let report = store.repair(&Namespace::root(), &options).await.unwrap();
    assert_eq!((figures(&report), report.is_complete()), (vec![(0, 1, 0), (0, 0, 0)], true), "{report}");
    assert_eq!(data(&fast, &key("a")).await.unwrap(), vec![1; 300_000]);
}

#[tokio::test]
async fn what_is_damaged_everywhere_is_named_and_the_repair_is_not_complete() {
    let (fast_dir, slow_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = layered(disk(fast_dir.path()).await, disk(slow_dir.path()).await);
    store.put(&key("a"), PutEntry::data(vec![1; 1000]), PutOptions::default()).await.unwrap();
    for dir in [&fast_dir, &slow_dir] {
        damage(&file(dir.path(), &key("a"), "data"));
    }
    let report = repair(&store).await;
    assert!(!report.is_complete(), "{report}");
    assert_eq!(report.failed, [key("a")]);
}

#[tokio::test]
async fn a_sick_tier_is_told_and_the_others_are_put_in_step() {
    let (sick, middle, slow) = (Flaky::new(unlimited()), unlimited(), unlimited());
    let store = three([Arc::new(sick.clone()), Arc::new(middle.clone()), Arc::new(slow.clone())]);
    middle.put_bytes(&key("a"), "v".into()).await.unwrap();
    sick.arm(When::Every(1));
    let report = repair(&store).await;
    let unreachable: Vec<_> = report.tiers.iter().map(|(_, tier)| tier.unreachable).collect();
    assert_eq!((unreachable, report.is_complete()), (vec![true, false, false], false));
    assert_eq!(figures(&report), [(0, 0, 0), (0, 0, 0), (1, 0, 0)]);
    assert!(slow.contains(&key("a")).await.unwrap());
    let error = report.first_error.unwrap();
    assert!(error.to_string().starts_with("layered/fast: verify: "), "{error}");
    sick.arm(When::Never);
    assert!(repair(&store).await.is_clean());
}

#[tokio::test]
async fn while_the_slowest_tier_is_sick_no_other_takes_its_place() {
    let (fast, middle, sick) = (unlimited(), unlimited(), Flaky::new(unlimited()));
    let store = three([Arc::new(fast.clone()), Arc::new(middle.clone()), Arc::new(sick.clone())]);
    fast.put_bytes(&key("a"), "v".into()).await.unwrap();
    sick.arm(When::Every(1));
    let report = repair(&store).await;
    assert!(!report.is_complete() && report.written() == 0, "{report}");
    assert!(!middle.contains(&key("a")).await.unwrap());
    sick.arm(When::Never);
    assert!(repair(&store).await.is_complete());
    assert!(sick.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_is_named_and_ends_nothing() {
    let slow = Flaky::new(unlimited()).with_only(&[Call::Put]);
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    for n in 0..20 {
        fast.put_bytes(&key(&n.to_string()), "v".into()).await.unwrap();
    }
    slow.arm(When::Every(2));
    let options = RepairOptions::default().with_max_keys(3);
    let report = store.repair(&Namespace::root(), &options).await.unwrap();
    assert_eq!(figures(&report), [(0, 0, 0), (10, 0, 10)]);
    assert_eq!((report.failed.len(), report.is_complete()), (3, false));
    let error = report.first_error.unwrap();
    assert!(error.to_string().contains("layered/slow: repair"), "{error}");
    slow.arm(When::Never);
    assert_eq!(figures(&repair(&store).await), [(0, 0, 0), (10, 0, 0)]);
}

#[tokio::test]
async fn every_page_is_walked_and_none_is_larger_than_a_thousand() {
    let tier = || Flaky::new(unlimited()).with_only(&[Call::List]);
    let (fast, slow) = (tier(), tier());
    let store = layered(fast.clone(), slow.clone());
    for n in 0..5000 {
        let (fast_too, slow_too) = (n % 5 != 0, n % 2 == 0);
        for (tier, _) in [(&fast, fast_too), (&slow, slow_too)].into_iter().filter(|(_, has)| *has) {
            tier.put(&key(&n.to_string()), PutEntry::data("v"), at(1)).await.unwrap();
        }
    }
    let (before, options) = (slow.calls(), RepairOptions::default().with_verify(false));
    let report = store.repair(&Namespace::root(), &options).await.unwrap();
    assert!(report.is_complete(), "{report}");
    // 2500 it had, of the others one in five is nowhere.
    assert_eq!((report.entries, figures(&report)), (4500, vec![(0, 0, 0), (2000, 0, 0)]));
    assert!(slow.calls() - before >= 4, "{}", slow.calls() - before);
    let options = RepairOptions::default();
    assert!(store.repair(&Namespace::root(), &options).await.unwrap().is_clean());
}

#[tokio::test]
async fn only_what_is_below_the_namespace_is_repaired() {
    let Stack { fast, slow, store } = stack();
    let inner = Key::new("team/a".parse().unwrap(), key("a").digest);
    for key in [&key("a"), &inner] {
        fast.put_bytes(key, "v".into()).await.unwrap();
    }
    let report = store.repair(&"team".parse().unwrap(), &RepairOptions::default()).await.unwrap();
    assert_eq!((report.entries, report.written()), (1, 1));
    assert!(slow.contains(&inner).await.unwrap() && !slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn what_a_tier_does_not_let_in_stays_in_the_next_faster_and_no_old_value_does() {
    let [fast, middle, slow] = [(); 3].map(|()| unlimited());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("middle", Arc::new(middle.clone()))
        .tier("slow", Arc::new(slow.clone()))
        .options(TierOptions::default().with_max_entry_bytes(100))
        .build()
        .unwrap();
    fast.put(&key("a"), PutEntry::data(vec![2; 200]), at(2)).await.unwrap();
    slow.put(&key("a"), PutEntry::data(vec![1; 50]), at(1)).await.unwrap();
    let report = repair(&store).await;
    assert_eq!(figures(&report), [(0, 0, 0), (1, 0, 0), (0, 1, 0)]);
    assert!(middle.contains(&key("a")).await.unwrap() && !slow.contains(&key("a")).await.unwrap());
    assert!(repair(&store).await.is_clean());
}

#[tokio::test]
async fn a_tier_that_is_not_read_has_all_and_is_believed_nothing() {
    let [fast, slow, copy] = [(); 3].map(|()| unlimited());
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("slow", Arc::new(slow.clone()))
        .tier("copy", Arc::new(copy.clone()))
        .options(TierOptions::default().with_read(false))
        .build()
        .unwrap();
    slow.put(&key("here"), PutEntry::data("v"), at(1)).await.unwrap();
    slow.put(&key("both"), PutEntry::data("read"), at(1)).await.unwrap();
    copy.put(&key("both"), PutEntry::data("not read"), at(2)).await.unwrap();
    copy.put(&key("there"), PutEntry::data("v"), at(1)).await.unwrap();
    let report = repair(&store).await;
    assert_eq!(figures(&report), [(0, 0, 0), (0, 0, 0), (1, 1, 0)]);
    assert_eq!(data(&copy, &key("both")).await.unwrap(), "read");
    assert!(!slow.contains(&key("there")).await.unwrap());
}

#[tokio::test]
async fn a_tier_that_is_never_written_is_not_repaired() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (fast, theirs) = (disk(dirs[0].path()).await, disk(dirs[1].path()).await);
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("theirs", Arc::new(theirs.clone()))
        .write(WritePolicy::Never)
        .build()
        .unwrap();
    for name in ["damaged", "missing", "other"] {
        fast.put(&key(name), PutEntry::data(vec![2; 1000]), at(2)).await.unwrap();
    }
    theirs.put(&key("damaged"), PutEntry::data(vec![2; 1000]), at(2)).await.unwrap();
    theirs.put(&key("other"), PutEntry::data("old"), at(1)).await.unwrap();
    damage(&file(dirs[1].path(), &key("damaged"), "data"));
    let before = theirs.metrics();
    let report = repair(&store).await;
    let since = theirs.metrics().since(&before);
    assert_eq!((report.written(), since.puts, since.removals), (0, 0, 0), "{report}");
    assert_eq!(report.failed, [key("damaged")]);
    assert_eq!(data(&theirs, &key("other")).await.unwrap(), "old");
}

#[tokio::test]
async fn what_spills_is_left_where_it_is() {
    let source = memory(MemoryOptions::default().with_max_bytes(300));
    let below = unlimited();
    let store = LayeredStore::builder()
        .spilling_tier("memory", Arc::new(source.clone()))
        .tier("below", Arc::new(below.clone()))
        .write(WritePolicy::Spill)
        .build()
        .unwrap();
    for n in 0..6_u8 {
        store.put_bytes(&key(&n.to_string()), vec![n; 100].into()).await.unwrap();
    }
    let count = async |store: &MemoryStore| store.usage(&Namespace::root()).await.unwrap().entries;
    let before = (count(&source).await, count(&below).await);
    let report = repair(&store).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.entries, (count(&source).await, count(&below).await)), (6, before));
}

#[tokio::test]
async fn progress_is_told_and_a_closed_stack_repairs_nothing() {
    let Stack { fast, store, .. } = stack();
    for n in 0..3 {
        fast.put_bytes(&key(&n.to_string()), "v".into()).await.unwrap();
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let options = RepairOptions::default()
        .with_progress(move |progress| telling.lock().unwrap().push(progress.clone()));
    assert!(store.repair(&Namespace::root(), &options).await.unwrap().is_complete());
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert!(told.first().is_some_and(|first| first.verify.is_some()));
    let last = told.last().unwrap();
    assert_eq!((last.verify.as_ref(), last.entries, last.written), (None, 3, 3));
    store.close(None).await.unwrap();
    let closed = store.repair(&Namespace::root(), &options).await;
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_dropped_repair_leaves_whole_entries() {
    let slow = Hanging::new(unlimited()).with_only(&[Call::Put]);
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    fast.put(&key("a"), PutEntry::data("out").with(log(), "text"), at(1)).await.unwrap();
    slow.hang();
    let (scope, options) = (Namespace::root(), RepairOptions::default());
    let mut repairing = store.repair(&scope, &options).boxed();
    while slow.waiting() == 0 {
        assert!((&mut repairing).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(repairing);
    slow.release();
    // The next write of the key waits for the copy that is under way, and wins.
    store.put(&key("a"), PutEntry::data("newer"), at(2)).await.unwrap();
    for tier in [data(&fast, &key("a")).await, data(&slow, &key("a")).await] {
        assert_eq!(tier.unwrap(), "newer");
    }
    let read = slow.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(read.blobs.len(), 1);
}

#[tokio::test]
async fn a_put_waits_its_turn_and_is_not_undone_by_a_repair_that_has_read_the_older_value() {
    let slow = Hanging::new(unlimited()).with_only(&[Call::Put]);
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    fast.put(&key("a"), PutEntry::data("older"), at(1)).await.unwrap();
    slow.hang();
    let a = key("a");
    let mut putting = store.put(&a, PutEntry::data("newer"), PutOptions::default());
    let put = async {
        while slow.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert!((&mut putting).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        assert_eq!(data(&fast, &a).await.unwrap(), "older", "the put has not begun");
        slow.release();
        putting.await
    };
    let (repaired, put) = futures::join!(repair(&store), put);
    assert!(repaired.is_complete() && put.unwrap().is_stored());
    assert_eq!(
        (data(&fast, &key("a")).await.unwrap(), data(&slow, &key("a")).await.unwrap()),
        ("newer".into(), "newer".into())
    );
}

#[tokio::test]
async fn a_scrub_writes_nothing_to_a_tier_that_is_never_written() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (fast, theirs) = (disk(dirs[0].path()).await, disk(dirs[1].path()).await);
    let store = LayeredStore::builder()
        .tier("fast", Arc::new(fast.clone()))
        .tier("theirs", Arc::new(theirs.clone()))
        .write(WritePolicy::Never)
        .build()
        .unwrap();
    for tier in [&fast, &theirs] {
        tier.put(&key("a"), PutEntry::data(vec![2; 1000]), at(2)).await.unwrap();
    }
    damage(&file(dirs[1].path(), &key("a"), "data"));
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.damaged, report.repaired, report.lost), (1, 0, vec![key("a")]));
}
