//! Counters, and what a store says of itself.

use cache_core::{
    BlobName, ByteRange, CleanPolicy, ErrorKind, GetOptions, ListOptions, Metrics, Namespace, PutEntry,
    PutMode, PutOptions,
};

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
        let answer = store.get_now(&key(number), &name(blob));
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
