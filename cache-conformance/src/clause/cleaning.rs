//! Usage, and cleaning on request.

use std::time::{Duration, SystemTime};

use cache_core::{CleanPolicy, CleanReport, Namespace, PutMode, PutOptions, VerifyOptions};

use crate::{
    Factory,
    ages::Ages,
    sample::{blobs, bytes, data, hours_ago, key, key_in, namespace, now, pause},
    subject::Subject,
};

/// Usage counts entries and bytes, also after overwrites and evictions.
pub async fn usage_is_true(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let root = Namespace::root();
    let merge = || PutOptions::mode(PutMode::Merge);
    store.assert_usage(&root, 0, 0).await;
    store.put_new(&key(1), &data(bytes(1, 1000))).await;
    store.put_new(&key(2), &blobs([("a", bytes(2, 200)), ("b", bytes(3, 30))])).await;
    store.assert_usage(&root, 2, 1230).await;
    assert!(store.usage_below(&root).await.stored_bytes > 0, "bytes are stored in no bytes");
    store.put_new(&key(1), &data(bytes(4, 10))).await;
    store.assert_usage(&root, 2, 240).await;
    store.put_new(&key(1), &data(bytes(5, 70_000))).await;
    store.assert_usage(&root, 2, 70_230).await;
    store.put_as(&key(2), &blobs([("b", bytes(6, 3)), ("c", bytes(7, 4000))]), merge()).await;
    store.assert_usage(&root, 2, 74_203).await;
    store
        .put_as(&key(2), &blobs([("b", bytes(8, 99)), ("d", bytes(9, 1))]), PutOptions::mode(PutMode::Fill))
        .await;
    store.assert_usage(&root, 2, 74_204).await;
    store.put_as(&key_in(&namespace("a"), 1), &data(bytes(10, 5)), merge()).await;
    store.assert_usage(&root, 3, 74_209).await;
    for _ in 0..3 {
        store.read(&key(1), "data").await.expect("a hit");
        store.contents(&key(2)).await.expect("a hit");
    }
    store.assert_usage(&root, 3, 74_209).await;
    store.flush().await.expect("a flush");
    store.assert_usage(&root, 3, 74_209).await;
    store.evict(&key(1)).await.expect("an eviction");
    store.evict(&key(1)).await.expect("an eviction");
    store.assert_usage(&root, 2, 4209).await;
    store.put_new(&key(2), &data(bytes(11, 1))).await;
    store.assert_usage(&root, 2, 6).await;
    store.evict(&key(2)).await.expect("an eviction");
    store.evict(&key_in(&namespace("a"), 1)).await.expect("an eviction");
    store.assert_usage(&root, 0, 0).await;
}

/// Entries 1 to 4, the first one made longest ago and read last. Which of them is the least recent one
/// depends on whether the store keeps recency.
async fn four_of_which_the_oldest_is_read(store: &Subject, ages: &mut Ages) -> [u64; 4] {
    for number in 1..=4 {
        let created = ages.made(10 - number).await;
        store.put_as(&key(number), &data(bytes(number, 1000)), created).await;
        pause().await;
    }
    store.read(&key(1), "data").await.expect("a hit");
    // Neither of these is a read.
    pause().await;
    store.contains(&key(2)).await.expect("an answer");
    store.meta(&key(2)).await.expect("an answer");
    if store.info().powers.recency { [2, 3, 4, 1] } else { [1, 2, 3, 4] }
}

async fn assert_left(store: &Subject, gone: &[u64], left: &[u64]) {
    for number in gone {
        store.assert_absent(&key(*number)).await;
    }
    for number in left {
        // A look that is no read, and so changes no recency.
        assert!(store.contains(&key(*number)).await.expect("an answer"), "entry {number} is gone");
    }
    let usage = store.usage_below(&Namespace::root()).await;
    assert_eq!(usage.entries, left.len() as u64);
}

async fn clean(store: &Subject, policy: CleanPolicy) -> CleanReport {
    store.clean(&Namespace::root(), &policy).await.unwrap_or_else(|error| panic!("clean fails: {error}"))
}

/// The least recent entries go until the scope fits.
pub async fn clean_by_size_takes_the_least_recent(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let order = four_of_which_the_oldest_is_read(&store, &mut Ages::of(&store)).await;
    let held = store.usage_below(&Namespace::root()).await.bytes;
    clean(&store, CleanPolicy::default().with_max_bytes(held)).await;
    assert_left(&store, &[], &order).await;
    clean(&store, CleanPolicy::default().with_max_bytes(held - 1)).await;
    assert_left(&store, &order[..1], &order[1..]).await;
    clean(&store, CleanPolicy::default().with_max_bytes(held / 4)).await;
    assert_left(&store, &order[..3], &order[3..]).await;
    clean(&store, CleanPolicy::default().with_max_bytes(u64::MAX)).await;
    store.assert_holds(&key(order[3]), &data(bytes(order[3], 1000))).await;
    clean(&store, CleanPolicy::default().with_max_bytes(0)).await;
    assert_left(&store, &order, &[]).await;
}

/// An entry with one new blob stays.
pub async fn clean_by_age_goes_by_the_newest_blob(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    // 1: all old. 2: one new blob. 3: old, then replaced. 5: young enough. 6: old, and filled up with
    // something new.
    let old = ages.made(5).await;
    store.put_as(&key(1), &blobs([("a", "old"), ("b", "old")]), old.clone()).await;
    store.put_as(&key(2), &blobs([("a", "old"), ("b", "old")]), old.clone()).await;
    store.put_as(&key(3), &data("old"), old.clone()).await;
    store.put_as(&key(6), &blobs([("a", "old")]), old).await;
    let less_old = ages.made_as(PutMode::Merge, 3).await;
    store.put_as(&key(1), &blobs([("c", "old")]), less_old).await;
    let young = ages.made(1).await;
    store.put_as(&key(5), &data("young"), young).await;
    store.put_as(&key(2), &blobs([("c", "new")]), PutOptions::mode(PutMode::Merge)).await;
    store.put_new(&key(3), &data("new")).await;
    store.put_as(&key(6), &blobs([("b", "new")]), PutOptions::mode(PutMode::Fill)).await;
    // 4: new, then replaced by a copy that was made long ago, which counts where that is told.
    let copy = PutOptions::default().with_created(hours_ago(5));
    store.put_new(&key(4), &data("new")).await;
    store.put_as(&key(4), &data("old"), copy).await;
    // A read makes an entry recent, not young.
    store.read(&key(1), "a").await.expect("a hit");
    let report = clean(&store, ages.up_to(2)).await;
    let told = u64::from(ages.are_told());
    assert_eq!((report.evicted_entries, report.kept_entries), (1 + told, 5 - told));
    if ages.are_told() {
        assert_left(&store, &[1, 4], &[2, 3, 5, 6]).await;
    } else {
        assert_left(&store, &[1], &[2, 3, 4, 5, 6]).await;
        store.evict(&key(4)).await.expect("an eviction");
    }
    store.assert_holds(&key(2), &blobs([("a", "old"), ("b", "old"), ("c", "new")])).await;
    store.assert_holds(&key(3), &data("new")).await;
    store.assert_holds(&key(6), &blobs([("a", "old"), ("b", "new")])).await;
    // What is from the future is new, what is from the beginning of time is old.
    let tomorrow = PutOptions::default().with_created(now() + Duration::from_secs(86_400));
    store.put_as(&key(7), &data("tomorrow"), tomorrow).await;
    let beginning = PutOptions::default().with_created(SystemTime::UNIX_EPOCH);
    store.put_as(&key(8), &data("beginning"), beginning).await;
    let report = clean(&store, CleanPolicy::default().with_max_age(Duration::MAX)).await;
    assert_eq!((report.evicted_entries, report.kept_entries), (0, 6), "nothing is older than time");
    clean(&store, ages.up_to(2)).await;
    if ages.are_told() {
        assert_left(&store, &[8], &[2, 3, 5, 6, 7]).await;
    } else {
        assert_left(&store, &[], &[2, 3, 5, 6, 7, 8]).await;
    }
}

/// Outdated entries go, and then the least recent ones.
pub async fn clean_by_both_takes_either(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    // Made 9, 8, 7 and 6 hours ago.
    let order = four_of_which_the_oldest_is_read(&store, &mut ages).await;
    let held = store.usage_below(&Namespace::root()).await.bytes;
    // The first is outdated although it fits and was read; of the others the least recent one goes.
    let report = clean(&store, ages.up_to(8).with_max_bytes(held / 2)).await;
    assert_eq!((report.evicted_entries, report.kept_entries), (2, 2), "{report:?}");
    let rest: Vec<_> = order.into_iter().filter(|number| *number != 1).collect();
    assert_left(&store, &[1, rest[0]], &rest[1..]).await;
    // Either constraint on its own is enough.
    clean(&store, ages.up_to(8).with_max_bytes(held)).await;
    assert_left(&store, &[1, rest[0]], &rest[1..]).await;
    ages.made(0).await;
    clean(&store, ages.up_to(0).with_max_bytes(held)).await;
    assert_left(&store, &order, &[]).await;
}

/// An empty policy only reports what is kept.
pub async fn clean_without_constraint_removes_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let report = clean(&store, CleanPolicy::default()).await;
    assert_eq!(report, CleanReport::default());
    let old = PutOptions::default().with_created(hours_ago(100_000));
    store.put_as(&key(1), &data(bytes(1, 1000)), old).await;
    store.put_new(&key_in(&namespace("a"), 1), &data(bytes(2, 500))).await;
    let report = clean(&store, CleanPolicy::default()).await;
    let held = store.usage_below(&Namespace::root()).await;
    assert_eq!((report.evicted_entries, report.evicted_bytes), (0, 0));
    assert_eq!((report.kept_entries, report.kept_bytes), (2, held.bytes));
    store.assert_holds(&key(1), &data(bytes(1, 1000))).await;
    store.assert_holds(&key_in(&namespace("a"), 1), &data(bytes(2, 500))).await;
}

/// The report tells evicted and kept, entries and bytes.
pub async fn clean_report_is_true(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    let old = ages.made(5).await;
    store.put_as(&key(1), &blobs([("a", bytes(1, 100)), ("b", bytes(2, 20))]), old.clone()).await;
    store.put_as(&key_in(&namespace("a/b"), 2), &data(bytes(3, 3000)), old).await;
    let new = ages.made(0).await;
    store.put_as(&key(3), &data(bytes(4, 40_000)), new.clone()).await;
    store.put_as(&key_in(&namespace("a"), 4), &data(bytes(5, 500)), new).await;
    let before = store.usage_below(&Namespace::root()).await;
    let report = clean(&store, ages.up_to(0)).await;
    let after = store.usage_below(&Namespace::root()).await;
    assert_eq!((report.evicted_entries, report.kept_entries), (2, 2));
    assert_eq!(report.evicted_bytes, before.bytes - after.bytes);
    assert_eq!(report.kept_bytes, after.bytes);
    store.assert_usage(&Namespace::root(), 2, 40_500).await;
    let report = clean(&store, CleanPolicy::default().with_max_bytes(0)).await;
    assert_eq!((report.evicted_entries, report.evicted_bytes), (2, after.bytes));
    assert_eq!((report.kept_entries, report.kept_bytes), (0, 0));
    store.assert_usage(&Namespace::root(), 0, 0).await;
}

/// A verify reads every entry of its scope, makes none recent, and counts no lookup.
pub async fn verify_reads_every_entry(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let options = VerifyOptions::default();
    let verified = async |scope: &Namespace, entries: u64, bytes: u64| {
        let report = store.verify(scope, &options).await.expect("a verify");
        assert!(report.is_sound() && (report.damaged, report.unreadable) == (0, 0), "{report}");
        if report.tiers.is_empty() {
            assert_eq!((report.entries, report.bytes), (entries, bytes), "{scope:?}");
        } else {
            assert!(report.entries >= entries && report.bytes >= bytes, "of several tiers: {report}");
        }
    };
    verified(&Namespace::root(), 0, 0).await;
    let large = bytes(7, 1_300_000);
    let mut sum = 0;
    for (number, place) in (0..).zip(["a", "a/b", "c", "a", "a/b", "c"]) {
        let made = PutOptions::default().with_created(hours_ago(9 - number));
        let contents = blobs([("data", bytes(number, 100)), ("log", bytes(number + 50, 20))]);
        store.put_as(&key_in(&namespace(place), number), &contents, made).await;
        sum += 120;
    }
    store.put_new(&key(9), &data(large)).await;
    pause().await;
    let metrics = store.metrics();
    let before = store.meta(&key(9)).await.expect("an answer");
    verified(&Namespace::root(), 7, sum + 1_300_000).await;
    verified(&namespace("a"), 4, 480).await;
    verified(&namespace("a/b"), 2, 240).await;
    verified(&namespace("absent"), 0, 0).await;
    let after = store.meta(&key(9)).await.expect("an answer");
    let accesses = |meta: &cache_core::EntryMeta| (meta.last_accessed, meta.access_count);
    assert_eq!(before.as_ref().map(accesses), after.as_ref().map(accesses), "a verify is an access");
    let now = store.metrics();
    assert_eq!((now.hits, now.misses), (metrics.hits, metrics.misses), "a verify is a lookup");
    assert_eq!(now.corrupt, metrics.corrupt, "damage where there is none");
}
