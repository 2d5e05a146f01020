//! What makes an entry recent, and what does not.

use std::time::{Duration, SystemTime};

use cache_core::{
    BlobName, ByteRange, CleanPolicy, GetOptions, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
};

use crate::{
    Factory, Setup,
    ages::Ages,
    sample::{Contents, blobs, bytes, data, hours_ago, key, name, now, pause, stream_of},
    subject::Subject,
};

const ENTRY: usize = 8 << 10;

/// Every way to read.
const READS: [&str; 5] = ["get", "get_entry", "a range", "a stream", "get_now"];

/// Reads the blob `data` in one of these ways. Whether it was there.
async fn read(store: &Subject, key: &Key, way: &str) -> bool {
    let range = ByteRange::new(1, Some(2)).expect("a range");
    let whole = GetOptions::default();
    match way {
        "get_entry" => store.contents(key).await.is_some(),
        "a range" => store.read_as(key, &BlobName::DATA, whole.with_range(range)).await.is_some(),
        "a stream" => store.read_as(key, &BlobName::DATA, whole.with_stream_above(0)).await.is_some(),
        // A store that does not answer inline is asked in the other way.
        "get_now" if store.get_now(key.view(), &BlobName::DATA).is_some() => true,
        _ => store.read(key, "data").await.is_some(),
    }
}

/// Where recency is declared, an entry that is read in any way stays.
pub async fn every_kind_of_read_protects_from_eviction(factory: &dyn Factory) {
    const BUDGET: u64 = 12 * ENTRY as u64;
    let Some(store) = Subject::open_bounded(factory, Setup::default().with_max_bytes(BUDGET)).await else {
        return;
    };
    if !store.info().powers.recency {
        return reads_change_nothing(&store).await;
    }
    let read_all = async |after: u64| {
        for (number, way) in (0..).zip(READS) {
            let found = read(&store, &key(number), way).await;
            assert!(found, "an entry was evicted that is read by {way} all the time, after {after} puts");
        }
    };
    for number in 0..READS.len() as u64 {
        store.put_new(&key(number), &data(bytes(number, ENTRY))).await;
    }
    let total = 2 * store.info().max_bytes.expect("a budget") / ENTRY as u64;
    for number in 10..total {
        store.put_new(&key(number), &data(bytes(number, ENTRY))).await;
        if number % 2 == 0 {
            pause().await;
        }
        read_all(number).await;
    }
    store.flush().await.expect("a flush");
    read_all(total).await;
    let left = store.usage_below(&Namespace::root()).await.entries;
    assert!(left < total, "nothing was evicted");
}

/// Of a store that does not declare recency.
async fn reads_change_nothing(store: &Subject) {
    store.put_new(&key(0), &data("value")).await;
    let before = accesses(store, 0).await;
    pause().await;
    for way in READS {
        assert!(read(store, &key(0), way).await, "{way} misses");
        assert_eq!(accesses(store, 0).await.0, before.0, "a store without recency keeps it: {way}");
    }
}

/// By size, an entry that was read in any way goes last; without recency, the time of writing decides.
pub async fn clean_by_size_honours_every_kind_of_read(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let count = READS.len() as u64;
    let mut ages = Ages::of(&store);
    // The first half is older, and read.
    for number in 0..2 * count {
        if number == count {
            pause().await;
        }
        // Made hours apart, for stores that keep times to the second.
        let made = ages.made(if number < count { 2 } else { 1 }).await;
        store.put_as(&key(number), &data(bytes(number, 100)), made).await;
    }
    pause().await;
    for (number, way) in (0..).zip(READS) {
        assert!(read(&store, &key(number), way).await, "{way} misses");
    }
    clean_to_half(&store).await;
    let reads_count = store.info().powers.recency;
    for number in 0..2 * count {
        let there = store.contains(&key(number)).await.expect("an answer");
        let read = (number < count) == reads_count;
        assert_eq!(there, read, "entry {number} of which the first {count} were read: {READS:?}");
    }
}

/// `meta`, `list`, `usage`, `contains`, a clean that removes nothing and a flush make no entry recent.
pub async fn questions_make_no_entry_recent(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    for number in 0..4 {
        let made = ages.made(2 - number / 2).await;
        store.put_as(&key(number), &data(bytes(number, 100)), made).await;
        pause().await;
    }
    let before = [accesses(&store, 0).await, accesses(&store, 1).await];
    let root = Namespace::root();
    for number in 0..2 {
        store.meta(&key(number)).await.expect("an answer").expect("an entry");
        assert!(store.contains(&key(number)).await.expect("an answer"));
        let prefix = key(number).digest.prefix(20);
        assert_eq!(store.keys(ListOptions::default().with_prefix(prefix)).await, [key(number)]);
    }
    assert_eq!(store.keys(ListOptions::below(&root)).await.len(), 4);
    store.usage_below(&root).await;
    let nothing = CleanPolicy::default().with_max_bytes(1 << 40).with_max_age(Duration::from_secs(1 << 30));
    let report = store.clean(&root, &nothing).await.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (0, 4));
    store.flush().await.expect("a flush");
    assert_eq!([accesses(&store, 0).await, accesses(&store, 1).await], before, "a question is an access");
    clean_to_half(&store).await;
    for number in 0..4 {
        let there = store.contains(&key(number)).await.expect("an answer");
        assert_eq!(there, number >= 2, "entry {number}: the first two were asked for, the others are newer");
    }
}

/// A put makes the entry the most recent one: as `Replace`, as `Merge`, as a `Fill` that adds something.
pub async fn a_write_makes_an_entry_recent(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    for number in 0..8 {
        let made = ages.made(2).await;
        store.put_as(&key(number), &data(bytes(number, 100)), made).await;
    }
    pause().await;
    let more = |number| blobs([("more", bytes(number, 50))]);
    let new = ages.made(0).await;
    store.put_as(&key(0), &data(bytes(0, 150)), new).await;
    store.put_as(&key(1), &more(1), PutOptions::mode(PutMode::Merge)).await;
    store.put_as(&key(2), &more(2), PutOptions::mode(PutMode::Fill)).await;
    let streamed = PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&bytes(3, 150)));
    assert!(store.put(&key(3), streamed, PutOptions::default()).await.expect("a put").is_stored());
    // 600 bytes are recent, 400 are not.
    let held = store.usage_below(&Namespace::root()).await.bytes;
    let policy = CleanPolicy::default().with_max_bytes(held * 6 / 10);
    store.clean(&Namespace::root(), &policy).await.expect("a clean");
    for number in 0..8 {
        let there = store.contains(&key(number)).await.expect("an answer");
        assert_eq!(there, number < 4, "entry {number}, of which the first four were written last");
    }
}

/// `last_accessed` moves with every read and write, and is never in the future; undeclared, it stays.
pub async fn last_accessed_moves_with_reads(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    if !store.info().powers.recency {
        return reads_change_nothing(&store).await;
    }
    // An old copy is used now, not when it was made.
    let made = hours_ago(5);
    let earliest = now() - Duration::from_secs(5);
    store.put_as(&key(0), &data("value"), PutOptions::default().with_created(made)).await;
    let mut last = accessed(&store).await;
    assert!(last >= earliest, "a put is an access: {last:?}");
    let mut step = async |what: &str| {
        let next = accessed(&store).await;
        assert!(next > last, "{what} is no access: {last:?}, {next:?}");
        assert!(next <= now() + Duration::from_secs(5), "{what} is an access in the future: {next:?}");
        last = next;
        let meta = store.meta(&key(0)).await.expect("an answer").expect("an entry");
        assert_eq!(meta.created, Some(made), "{what} changes when the entry was made");
    };
    for way in READS {
        pause().await;
        assert!(read(&store, &key(0), way).await, "{way} misses");
        step(way).await;
    }
    pause().await;
    let merge = PutOptions::mode(PutMode::Merge).with_created(made);
    store.put_as(&key(0), &blobs([("more", "m")]), merge).await;
    step("a merge").await;
}

async fn accessed(store: &Subject) -> SystemTime {
    accesses(store, 0).await.0.expect("recency is declared, and last_accessed unknown")
}

/// When the entry was used last, and how often it was read, as far as the store knows.
async fn accesses(store: &Subject, number: u64) -> (Option<SystemTime>, Option<u64>) {
    let meta = store.meta(&key(number)).await.expect("an answer").expect("an entry");
    (meta.last_accessed, meta.access_count)
}

/// Where a store knows an access count, each read that hits adds one to it, and nothing else does.
pub async fn access_count_counts_reads(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let contents: Contents = blobs([("data", bytes(1, 100)), ("log", bytes(2, 10))]);
    store.put_new(&key(0), &contents).await;
    let count = async || accesses(&store, 0).await.1;
    let Some(mut reads) = count().await else {
        assert!(read(&store, &key(0), "get").await);
        return assert_eq!(count().await, None, "an access count that comes and goes");
    };
    for way in READS.into_iter().cycle().take(12) {
        assert!(read(&store, &key(0), way).await, "{way} misses");
        reads += 1;
        assert_eq!(count().await, Some(reads), "after {way}");
    }
    assert_eq!(store.read(&key(0), "absent").await, None);
    assert_eq!(store.get_now(key(0).view(), &name("absent")), None);
    assert_eq!(store.read(&key(1), "data").await, None);
    store.keys(ListOptions::default()).await;
    store.usage_below(&Namespace::root()).await;
    assert!(store.contains(&key(0)).await.expect("an answer"));
    store.flush().await.expect("a flush");
    assert_eq!(count().await, Some(reads), "what hits nothing is counted");
    let listed = store.list(ListOptions::default());
    let listed: Vec<_> = futures::TryStreamExt::try_collect(listed).await.expect("a listing");
    assert!(listed[0].access_count.is_none_or(|count| count == reads), "list and meta count differently");
}

/// A quiet read gives the same bytes, makes no entry recent, and is neither a hit nor a miss.
pub async fn quiet_reads_leave_no_trace(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut ages = Ages::of(&store);
    for number in 0..4 {
        let made = ages.made(2 - number / 2).await;
        store.put_as(&key(number), &data(bytes(number, 9000)), made).await;
        pause().await;
    }
    let before = [accesses(&store, 0).await, accesses(&store, 1).await];
    let counted = |store: &Subject| (store.metrics().hits, store.metrics().misses, store.metrics().bytes_out);
    let counts = counted(&store);
    let range = ByteRange::new(1, Some(5)).expect("a range");
    for stream_above in [0, u64::MAX] {
        let quiet = GetOptions::default().quietly().with_stream_above(stream_above);
        for number in 0..2 {
            let whole = bytes(number, 9000);
            let found = store.read_as(&key(number), &BlobName::DATA, quiet.clone()).await;
            assert_eq!(found.as_ref(), Some(&whole), "a quiet read");
            let part = store.read_as(&key(number), &BlobName::DATA, quiet.clone().with_range(range)).await;
            assert_eq!(part, Some(whole.slice(1..5)), "a quiet read of a range");
            let entry =
                store.get_entry(&key(number), quiet.clone()).await.expect("a read").expect("an entry");
            for (_, blob) in entry.blobs {
                assert_eq!(blob.collect(1 << 20).await.expect("a blob"), whole, "a quiet read of an entry");
            }
        }
        assert!(store.get_entry(&key(9), quiet.clone()).await.expect("a read").is_none());
        assert_eq!(store.read_as(&key(9), &BlobName::DATA, quiet).await, None);
    }
    assert_eq!([accesses(&store, 0).await, accesses(&store, 1).await], before, "a quiet read is an access");
    assert_eq!(counted(&store), counts, "a quiet read is counted: hits, misses, bytes");
    clean_to_half(&store).await;
    for number in 0..4 {
        let there = store.contains(&key(number)).await.expect("an answer");
        assert_eq!(
            there,
            number >= 2,
            "entry {number}: the first two were read quietly, the others are newer"
        );
    }
}

/// Cleans by size until half of what is held is left.
async fn clean_to_half(store: &Subject) {
    let held = store.usage_below(&Namespace::root()).await.bytes;
    let policy = CleanPolicy::default().with_max_bytes(held / 2);
    store.clean(&Namespace::root(), &policy).await.expect("a clean");
}
