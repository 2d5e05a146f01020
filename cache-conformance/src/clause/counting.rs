//! Counters, and what a store says of itself.

use cache_core::{
    BlobName, ByteRange, CleanPolicy, ErrorKind, GetOptions, ListOptions, Metrics, Namespace, PutEntry,
    PutMode, PutOptions,
};
use tokio::task::JoinSet;

use crate::{
    Factory, Setup,
    sample::{blobs, broken_stream, bytes, data, key, name, stream_of},
    subject::Subject,
};

/// What is counted while `work` runs.
async fn counted<T>(store: &Subject, work: impl Future<Output = T>) -> Metrics {
    let before = store.metrics();
    work.await;
    store.metrics().since(&before)
}

/// `get` and `get_entry` are a hit or a miss each, `get_now` a hit at most.
pub async fn metrics_count_every_lookup_once(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &blobs([("data", bytes(1, 1000)), ("log", bytes(2, 10))])).await;
    let reads = |metrics: &Metrics| (metrics.hits, metrics.misses, metrics.bytes_out);
    // Twice, as the first read may take another way than the next ones.
    for _ in 0..2 {
        let hit = counted(&store, store.read(&key(1), "data")).await;
        assert_eq!(reads(&hit), (1, 0, 1000), "a get that hits: {hit:?}");
        let range = GetOptions::default().with_range(ByteRange::new(10, Some(15)).expect("a range"));
        let part = counted(&store, store.read_as(&key(1), &BlobName::DATA, range)).await;
        assert_eq!(reads(&part), (1, 0, 5), "a get of a range: {part:?}");
        let entry = counted(&store, store.contents(&key(1))).await;
        assert_eq!(reads(&entry), (1, 0, 1010), "a get_entry that hits: {entry:?}");
    }
    let miss = counted(&store, store.read(&key(2), "data")).await;
    assert_eq!(reads(&miss), (0, 1, 0), "a get that misses: {miss:?}");
    let miss = counted(&store, store.read(&key(1), "other")).await;
    assert_eq!(reads(&miss), (0, 1, 0), "a get of an absent name: {miss:?}");
    let miss = counted(&store, store.contents(&key(2))).await;
    assert_eq!(reads(&miss), (0, 1, 0), "a get_entry that misses: {miss:?}");
    for (number, blob) in [(1, "data"), (1, "other"), (2, "data")] {
        let before = store.metrics();
        let answer = store.get_now(key(number).view(), &name(blob));
        let inline = store.metrics().since(&before);
        let hits = u64::from(answer.is_some());
        assert_eq!(reads(&inline), (hits, 0, hits * 1000), "get_now of {number} {blob}: {inline:?}");
    }
    let others = counted(&store, async {
        store.meta(&key(1)).await.expect("an answer");
        store.meta(&key(2)).await.expect("an answer");
        store.keys(ListOptions::default()).await;
        store.usage_below(&Namespace::root()).await;
        store.clean(&Namespace::root(), &CleanPolicy::default()).await.expect("a clean");
        store.put_new(&key(1), &data("new")).await;
        store.evict(&key(1)).await.expect("an eviction");
        store.evict(&key(1)).await.expect("an eviction");
        store.flush().await.expect("a flush");
    })
    .await;
    assert_eq!(reads(&others), (0, 0, 0), "what reads no blob: {others:?}");
    assert_eq!(others.errors, 0, "{others:?}");
}

/// Existence questions have their own pair of counters.
pub async fn metrics_count_contains_apart(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("value")).await;
    for (number, expected) in [(1, (1, 0)), (2, (0, 1)), (1, (1, 0))] {
        let asked = counted(&store, store.contains(&key(number))).await;
        assert_eq!((asked.contains_hits, asked.contains_misses), expected, "{asked:?}");
        assert_eq!((asked.hits, asked.misses), (0, 0), "a question is no read: {asked:?}");
    }
    let read = counted(&store, async {
        store.read(&key(1), "data").await;
        store.read(&key(2), "data").await;
    })
    .await;
    assert_eq!((read.contains_hits, read.contains_misses), (0, 0), "a read is no question: {read:?}");
}

/// Stored, refused and failed puts are counted apart.
pub async fn metrics_count_puts_and_refusals(factory: &dyn Factory) {
    let limits = Setup::default().with_max_blob_bytes(8192);
    let store = Subject::open_with(factory, limits.clone()).await;
    let puts = |metrics: &Metrics| (metrics.puts, metrics.refused_puts, metrics.put_errors);
    for mode in [PutMode::Replace, PutMode::Merge] {
        let put = counted(&store, store.write(&key(1), &blobs([("a", "12"), ("b", "345")]), mode)).await;
        assert_eq!((puts(&put), put.bytes_in), ((1, 0, 0), 5), "{mode:?}: {put:?}");
    }
    let streamed = PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&bytes(1, 1000)));
    let put = counted(&store, store.put(&key(1), streamed, PutOptions::default())).await;
    assert_eq!((puts(&put), put.bytes_in), ((1, 0, 0), 1000), "a stream: {put:?}");
    let failing: [(&str, PutEntry); 4] = [
        ("no blobs", PutEntry::default()),
        ("a name twice", PutEntry::data("1").with(BlobName::DATA, "2")),
        ("a large blob", PutEntry::data(bytes(1, 8193))),
        (
            "a broken stream",
            PutEntry::default().with_stream(BlobName::DATA, None, broken_stream(&bytes(1, 10))),
        ),
    ];
    for (what, entry) in failing {
        let failed = counted(&store, store.put_fails(&key(2), entry, PutMode::Replace)).await;
        assert_eq!((puts(&failed), failed.bytes_in), ((0, 0, 1), 0), "{what}: {failed:?}");
    }
    store.close(None).await.expect("a close");
    drop(store);
    let Some(store) = Subject::open_bounded(factory, limits.with_max_bytes(4096)).await else { return };
    let over = data(bytes(1, 4097));
    let refused = counted(&store, store.write(&key(3), &over, PutMode::Replace)).await;
    assert_eq!((puts(&refused), refused.bytes_in), ((0, 1, 0), 0), "over the budget: {refused:?}");
    let kind = store.put_fails(&key(3), PutEntry::data(bytes(1, 8193)), PutMode::Replace).await;
    assert_eq!(kind, ErrorKind::TooLarge, "over both limits");
}

/// `info` tells the same from open to close.
pub async fn info_is_constant(factory: &dyn Factory) {
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(1000)).await;
    let info = store.info();
    assert!(!info.kind.is_empty(), "a store without a kind");
    assert_eq!(info.max_blob_bytes, Some(1000));
    assert_eq!(info.max_bytes, None, "a budget that nobody gave");
    assert_eq!(info.max_entries, None, "a budget that nobody gave");
    store.put_new(&key(1), &data("value")).await;
    assert_eq!(store.info(), info, "after a put");
    store.read(&key(1), "data").await.expect("a hit");
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
    store.flush().await.expect("a flush");
    assert_eq!(store.info(), info, "after a clean and a flush");
    store.close(None).await.expect("a close");
    assert_eq!(store.info(), info, "after the close");
}

/// Entries that go by `clean` or to keep the budget are counted with their bytes, others are not.
pub async fn metrics_count_evictions(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let evictions = |metrics: &Metrics| (metrics.evictions, metrics.evicted_bytes);
    let others = counted(&store, async {
        for number in 0..6 {
            store.put_new(&key(number), &data(bytes(number, 1000))).await;
        }
        store.put_new(&key(0), &data(bytes(9, 1000))).await;
        store.evict(&key(5)).await.expect("an eviction");
    })
    .await;
    assert_eq!(evictions(&others), (0, 0), "what a caller replaces or evicts: {others:?}");
    let held = store.usage_below(&Namespace::root()).await.bytes;
    let mut report = None;
    let cleaned = counted(&store, async {
        let policy = CleanPolicy::default().with_max_bytes(held / 2);
        report = Some(store.clean(&Namespace::root(), &policy).await.expect("a clean"));
    })
    .await;
    let report = report.expect("a report");
    assert_eq!(report.evicted_entries, 3, "{report:?}");
    assert_eq!(evictions(&cleaned), (3, report.evicted_bytes), "a clean: {cleaned:?}");
    store.close(None).await.expect("a close");
    drop(store);

    let Some(store) = Subject::open_bounded(factory, Setup::default().with_max_bytes(64 << 10)).await else {
        return;
    };
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
    let before = store.metrics();
    let total = 4 * store.info().max_bytes.expect("a budget") / (8 << 10);
    for number in 0..total {
        store.put_new(&key(number), &data(bytes(number, 8 << 10))).await;
    }
    store.flush().await.expect("a flush");
    let left = store.usage_below(&Namespace::root()).await;
    let counted = store.metrics().since(&before);
    let gone = total - left.entries;
    // Of a stack, the tiers keep the budgets.
    let (of_tiers, bytes) = in_all(&counted);
    if counted.tiers.is_empty() {
        assert_eq!(of_tiers, gone, "evictions to keep the budget: {counted:?}");
    }
    assert!(of_tiers >= gone, "evictions to keep the budget: {counted:?}");
    assert!(bytes >= of_tiers * (8 << 10), "bytes of evictions to keep the budget: {counted:?}");
}

fn in_all(metrics: &Metrics) -> (u64, u64) {
    let own = (metrics.evictions, metrics.evicted_bytes);
    metrics.tiers.iter().map(|(_, tier)| in_all(tier)).fold(own, |sum, tier| (sum.0 + tier.0, sum.1 + tier.1))
}

/// Removals that callers ask for are counted, and flushes.
pub async fn metrics_count_removals_and_flushes(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("value")).await;
    let figures = |metrics: &Metrics| (metrics.removals, metrics.flushes, metrics.flush_errors);
    let evicted = counted(&store, async {
        for number in [1, 1, 2] {
            store.evict(&key(number)).await.expect("an eviction");
        }
    })
    .await;
    assert_eq!(figures(&evicted), (3, 0, 0), "present or not: {evicted:?}");
    let flushed = counted(&store, async {
        for _ in 0..2 {
            store.flush().await.expect("a flush");
        }
    })
    .await;
    assert_eq!(figures(&flushed), (0, 2, 0), "{flushed:?}");
}

/// A read that is refused is neither a hit nor a miss, and no question counts as a read.
pub async fn metrics_count_refused_reads_apart(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("value")).await;
    let past = GetOptions::default().with_range(ByteRange::new(6, None).expect("a range"));
    let refused = counted(&store, async {
        for _ in 0..3 {
            let read = store.get(&key(1), &BlobName::DATA, past.clone()).await;
            assert_eq!(read.expect_err("a range past the end").kind(), ErrorKind::Invalid);
        }
    })
    .await;
    assert_eq!((refused.hits, refused.misses, refused.bytes_out), (0, 0, 0), "{refused:?}");
    assert_eq!((refused.errors, refused.corrupt), (3, 0), "{refused:?}");
}

/// Nothing is lost or counted twice when tasks run side by side, and no counter ever goes down.
pub async fn metrics_add_up_under_concurrency(factory: &dyn Factory) {
    const TASKS: u64 = 4;
    const ROUNDS: u64 = 25;
    let store = Subject::open(factory).await;
    let before = store.metrics();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut seen = store.metrics();
            for round in 0..ROUNDS {
                let mine = task * ROUNDS + round;
                store.put_new(&key(mine), &data(bytes(mine, 100))).await;
                store.read(&key(mine), "data").await.expect("a hit");
                store.contents(&key(mine)).await.expect("a hit");
                assert_eq!(store.read(&key(mine + 1000), "data").await, None);
                assert!(store.contains(&key(mine)).await.expect("an answer"));
                store.evict(&key(mine)).await.expect("an eviction");
                let now = store.metrics();
                let down = [
                    (seen.hits, now.hits),
                    (seen.misses, now.misses),
                    (seen.puts, now.puts),
                    (seen.contains_hits, now.contains_hits),
                    (seen.removals, now.removals),
                    (seen.bytes_in, now.bytes_in),
                    (seen.bytes_out, now.bytes_out),
                ]
                .iter()
                .any(|(before, after)| after < before);
                assert!(!down, "a counter went down: {seen:?}, {now:?}");
                seen = now;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("a task");
    }
    let all = store.metrics().since(&before);
    let each = TASKS * ROUNDS;
    assert_eq!((all.hits, all.misses, all.errors), (2 * each, each, 0), "{all:?}");
    assert_eq!((all.puts, all.put_errors, all.refused_puts), (each, 0, 0), "{all:?}");
    assert_eq!((all.contains_hits, all.contains_misses, all.removals), (each, 0, each), "{all:?}");
    assert_eq!((all.bytes_in, all.bytes_out), (100 * each, 200 * each), "{all:?}");
    assert_eq!(all.lookups(), 3 * each, "{all:?}");
}

/// What metrics tell of entries and bytes that are held, where they do, is what usage tells.
pub async fn metrics_tell_what_is_held(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let agree = async |when: &str| {
        let usage = store.usage_below(&Namespace::root()).await;
        let metrics = store.metrics();
        assert!(metrics.entries.is_none_or(|held| held == usage.entries), "{when}: {usage}, {metrics:?}");
        let bytes = [usage.bytes, usage.stored_bytes];
        assert!(
            metrics.resident_bytes.is_none_or(|held| bytes.contains(&held)),
            "{when}: {usage}, {metrics:?}"
        );
    };
    agree("empty").await;
    for number in 0..5 {
        store.put_new(&key(number), &blobs([("a", bytes(number, 1000)), ("b", bytes(number, 10))])).await;
    }
    agree("after puts").await;
    store.put_new(&key(0), &data("smaller")).await;
    store.put_as(&key(1), &blobs([("c", bytes(7, 500))]), PutOptions::mode(PutMode::Merge)).await;
    store.put_as(&key(2), &blobs([("a", bytes(8, 9000))]), PutOptions::mode(PutMode::Fill)).await;
    agree("after overwrites").await;
    let broken = PutEntry::default().with_stream(BlobName::DATA, None, broken_stream(&bytes(1, 5000)));
    store.put_fails(&key(3), broken, PutMode::Replace).await;
    agree("after a put that failed").await;
    store.evict(&key(3)).await.expect("an eviction");
    agree("after an eviction").await;
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(100)).await.expect("a clean");
    agree("after a clean").await;
}
