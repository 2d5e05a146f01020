//! Budgets and the largest blob.

use std::collections::BTreeSet;

use bytes::Bytes;
use cache_core::{
    BlobName, ByteRange, ErrorKind, GetOptions, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
    PutStatus,
};

use crate::{
    Factory, Setup,
    sample::{blobs, bytes, data, key, key_in, name, namespace, pause, size, stream_of},
    subject::Subject,
};

const FULL: usize = 64 << 10;
const BUDGET: u64 = FULL as u64;
const ENTRY: usize = 8 << 10;

/// How many entries are four times what the store holds.
fn plenty(store: &Subject) -> u64 {
    store.info().max_bytes.map_or(64, |max| 4 * max / ENTRY as u64)
}

/// A store holds at most its budget when `flush` returns.
pub async fn budget_is_kept_after_flush(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(BUDGET);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let max = store.info().max_bytes.expect("a budget");
    let (root, namespaces) = (Namespace::root(), ["", "a", "a/b", "c"].map(namespace));
    let total = plenty(&store);
    let mut written = Vec::new();
    for (number, namespace) in (0..total).zip(namespaces.iter().cycle()) {
        let key = key_in(namespace, number);
        store.put_new(&key, &data(bytes(number, ENTRY))).await;
        written.push(key);
    }
    store.flush().await.expect("a flush");
    let usage = store.usage_below(&root).await;
    assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes");
    assert!(usage.entries > 0, "the budget is not used at all");
    assert!(usage.entries < total, "nothing was evicted");
    let listed = store.keys(ListOptions::below(&root)).await;
    assert_eq!(listed.len() as u64, usage.entries, "listing and usage");
    for key in &written {
        let contains = store.contains(key).await.expect("an answer");
        assert_eq!(contains, listed.contains(key), "listing and contains differ on {key}");
    }
    for (number, key) in (0..).zip(&written) {
        // A read may move entries between tiers, and one that is read later out of the last.
        if store.contains(key).await.expect("an answer") {
            store.assert_holds(key, &data(bytes(number, ENTRY))).await;
        } else {
            store.assert_absent(key).await;
        }
    }
    // What was evicted has left no debt behind.
    store.put_new(&key(1000), &data(bytes(1000, ENTRY))).await;
    store.assert_holds(&key(1000), &data(bytes(1000, ENTRY))).await;
}

/// No entry ever lacks some of its blobs.
pub async fn eviction_takes_whole_entries(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(BUDGET);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let total = plenty(&store);
    let contents = |number: u64| {
        let parts = [("a", 1_u64, ENTRY / 2), ("b", 2, ENTRY / 4), ("c", 3, ENTRY / 4)];
        blobs(parts.map(|(name, part, len)| (name, bytes(number * 4 + part, len))))
    };
    for number in 0..total {
        if number % 2 == 0 {
            store.put_new(&key(number), &contents(number)).await;
        } else {
            for (name, bytes) in contents(number) {
                store.put_as(&key(number), &blobs([(&*name, bytes)]), PutOptions::mode(PutMode::Merge)).await;
            }
        }
        // One entry that may be under eviction right now, and one that has just come.
        for number in [number / 2 / 2 * 2, number / 2 * 2] {
            if let Some(found) = store.contents(&key(number)).await {
                assert!(found == contents(number), "half an entry during eviction: {:?}", found.keys());
            }
        }
    }
    store.flush().await.expect("a flush");
    let mut gone = 0;
    for number in 0..total {
        match store.contents(&key(number)).await {
            // A merge may find that the blobs before it were evicted, and begins anew.
            Some(found) if number % 2 == 1 => {
                let whole = contents(number);
                assert!(found.iter().all(|(name, bytes)| whole.get(name) == Some(bytes)));
                store.assert_holds(&key(number), &found).await;
            }
            Some(_) => store.assert_holds(&key(number), &contents(number)).await,
            None => {
                gone += 1;
                store.assert_absent(&key(number)).await;
                for blob in ["a", "b", "c"] {
                    assert_eq!(store.read(&key(number), blob).await, None, "a blob of an evicted entry");
                }
            }
        }
    }
    assert!(gone > 0, "nothing was evicted");
}

/// Where recency is declared, an entry that is read stays.
pub async fn a_read_protects_from_eviction(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(BUDGET);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let recency = store.info().powers.recency;
    store.put_new(&key(0), &data(bytes(0, ENTRY))).await;
    if !recency {
        let before = store.meta(&key(0)).await.expect("an answer").expect("an entry").last_accessed;
        pause().await;
        store.read(&key(0), "data").await.expect("a hit");
        let after = store.meta(&key(0)).await.expect("an answer").expect("an entry").last_accessed;
        assert_eq!(before, after, "a store without recency keeps it");
        return;
    }
    let total = plenty(&store);
    for number in 1..total {
        store.put_new(&key(number), &data(bytes(number, ENTRY))).await;
        pause().await;
        let read = store.read(&key(0), "data").await;
        assert!(read.is_some(), "an entry was evicted that is read all the time, after {number} puts");
    }
    store.flush().await.expect("a flush");
    store.assert_holds(&key(0), &data(bytes(0, ENTRY))).await;
    let left = store.usage_below(&Namespace::root()).await.entries;
    assert!(left < total, "nothing was evicted");
}

/// Under a budget of zero, puts are refused and nothing fails.
pub async fn zero_budget_disables_the_cache(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(0);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let root = Namespace::root();
    for mode in [PutMode::Replace, PutMode::Merge, PutMode::Fill] {
        for contents in [data("value"), data(""), blobs([("a", "1"), ("data", "2")])] {
            let outcome = store.write(&key(1), &contents, mode).await.expect("a put");
            assert!(matches!(outcome.status, PutStatus::Refused(_)), "{mode:?}: {outcome:?}");
            store.assert_absent(&key(1)).await;
        }
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&bytes(1, 1000)));
        let outcome = store.put(&key(1), entry, PutOptions::mode(mode)).await.expect("a put");
        assert!(matches!(outcome.status, PutStatus::Refused(_)), "{mode:?}: {outcome:?}");
        store.assert_absent(&key(1)).await;
    }
    store.evict(&key(1)).await.expect("an eviction");
    store.assert_usage(&root, 0, 0).await;
    let report = store.clean(&root, &cache_core::CleanPolicy::default().with_max_bytes(0)).await;
    let report = report.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (0, 0));
    store.flush().await.expect("a flush");
    store.close(None).await.expect("a close");
}

/// One entry may fill the budget.
pub async fn entry_as_large_as_the_budget_is_stored(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(BUDGET);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let added = store.added_bytes(&["a", "b"]).await;
    let half = FULL / 2 - usize::try_from(added).expect("a small number").div_ceil(2);
    let contents = [
        data(bytes(1, half * 2)),
        blobs([("a", bytes(2, half)), ("b", bytes(3, half))]),
        data(bytes(4, 2 * half)),
    ];
    for (number, contents) in (1..).zip(&contents) {
        store.put_new(&key(number), contents).await;
        store.assert_holds(&key(number), contents).await;
        store.flush().await.expect("a flush");
        let usage = store.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= store.info().max_bytes.expect("a budget"), "{usage}");
        // Without recency, all of them may have been written at the same time.
        if number < 3 && !store.info().powers.recency {
            store.evict(&key(number)).await.expect("an eviction");
        }
    }
    store.assert_holds(&key(3), &contents[2]).await;
}

/// It is `Ok(Refused)`, and an older value of the key is gone.
pub async fn entry_over_the_budget_is_refused(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(BUDGET);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let over = bytes(1, FULL + 1);
    let half = bytes(2, FULL / 2 + 1);
    let other = data("another entry");
    store.put_new(&key(9), &other).await;
    let entries: [fn(&Bytes, &Bytes) -> PutEntry; 4] = [
        |over, _| PutEntry::data(over.clone()),
        |_, half| PutEntry::data(half.clone()).with(name("b"), half.clone()),
        |over, _| PutEntry::default().with_stream(name("data"), Some(over.len() as u64), stream_of(over)),
        |over, _| PutEntry::default().with_stream(name("data"), None, stream_of(over)),
    ];
    for (case, entry) in entries.iter().enumerate() {
        store.put_new(&key(1), &blobs([("data", "old"), ("log", "older")])).await;
        refused(&store, &key(1), entry(&over, &half), PutMode::Replace).await;
        store.assert_absent(&key(1)).await;
        assert_eq!(store.read(&key(1), "log").await, None, "case {case}");
        refused(&store, &key(2), entry(&over, &half), PutMode::Replace).await;
        store.assert_absent(&key(2)).await;
    }
    // What counts is the entry that would come of it.
    store.put_new(&key(1), &blobs([("a", half.clone())])).await;
    refused(&store, &key(1), PutEntry::default().with(name("b"), half.clone()), PutMode::Merge).await;
    store.assert_absent(&key(1)).await;
    store.put_new(&key(1), &blobs([("a", half.clone())])).await;
    refused(&store, &key(1), PutEntry::default().with(name("b"), half.clone()), PutMode::Fill).await;
    store.assert_holds(&key(1), &blobs([("a", half.clone())])).await;
    store.evict(&key(1)).await.expect("an eviction");
    store.assert_holds(&key(9), &other).await;
    store.assert_usage(&Namespace::root(), 1, size(&other)).await;
}

async fn refused(store: &Subject, key: &Key, entry: PutEntry, mode: PutMode) {
    let outcome = store.put(key, entry, PutOptions::mode(mode)).await.expect("a put");
    assert!(matches!(outcome.status, PutStatus::Refused(_)), "over the budget as {mode:?}: {outcome:?}");
}

/// The largest budget that there is takes everything.
pub async fn largest_budget_limits_nothing(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(u64::MAX);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    for number in 0..4 {
        store.put_new(&key(number), &data(bytes(number, 3 * FULL))).await;
    }
    store.flush().await.expect("a flush");
    for number in 0..4 {
        store.assert_holds(&key(number), &data(bytes(number, 3 * FULL))).await;
    }
}

/// `max_blob_bytes` is inclusive.
pub async fn blob_at_the_limit_is_stored(factory: &dyn Factory) {
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(1000)).await;
    assert_eq!(store.info().max_blob_bytes, Some(1000));
    let full = bytes(1, 1000);
    let contents = blobs([("a", full.clone()), ("b", bytes(2, 1000)), ("c", bytes(3, 999))]);
    store.put_new(&key(1), &contents).await;
    store.assert_holds(&key(1), &contents).await;
    for promised in [None, Some(1000)] {
        let entry = PutEntry::default().with_stream(BlobName::DATA, promised, stream_of(&full));
        let outcome = store.put(&key(2), entry, PutOptions::default()).await.expect("a put");
        assert!(outcome.is_stored());
        store.assert_holds(&key(2), &data(full.clone())).await;
        let streamed = GetOptions::default().with_stream_above(0);
        assert_eq!(store.read_as(&key(2), &BlobName::DATA, streamed).await, Some(full.clone()));
    }
}

/// A larger blob is `TooLarge`, in hand or streamed.
pub async fn blob_over_the_limit_changes_nothing(factory: &dyn Factory) {
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(1000)).await;
    let (fits, over) = (bytes(1, 1000), bytes(2, 1001));
    let old = blobs([("a", bytes(3, 1000)), ("data", bytes(4, 10))]);
    store.put_new(&key(1), &old).await;
    let entries: [fn(&Bytes) -> PutEntry; 3] = [
        |over| PutEntry::default().with(name("new"), over.clone()),
        |over| PutEntry::default().with_stream(name("new"), Some(over.len() as u64), stream_of(over)),
        |over| PutEntry::default().with_stream(name("new"), None, stream_of(over)),
    ];
    let mut kinds = BTreeSet::new();
    for mode in [PutMode::Replace, PutMode::Merge, PutMode::Fill] {
        for entry in &entries {
            let entry = || entry(&over).with(name("data"), fits.clone());
            kinds.insert(format!("{:?}", store.put_fails(&key(1), entry(), mode).await));
            store.assert_holds(&key(1), &old).await;
            kinds.insert(format!("{:?}", store.put_fails(&key(2), entry(), mode).await));
            store.assert_absent(&key(2)).await;
        }
    }
    assert_eq!(kinds, BTreeSet::from([format!("{:?}", ErrorKind::TooLarge)]));
    store.assert_usage(&Namespace::root(), 1, size(&old)).await;
}

/// A larger blob that is there already is not read, but `TooLarge`.
pub async fn blob_over_the_limit_is_not_read(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let large = blobs([("data", bytes(1, 1001)), ("log", bytes(2, 10))]);
    let small = data(bytes(3, 1000));
    store.put_new(&key(1), &large).await;
    store.put_new(&key(2), &small).await;
    store.flush().await.expect("a flush");
    store.close(None).await.expect("a close");
    drop(store);
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(1000)).await;
    if !durable {
        return store.assert_absent(&key(1)).await;
    }
    // Of a stack, a faster tier may answer that it has none.
    let is_stack = !store.info().tiers.is_empty();
    let judge = |what: &str, kind: Result<bool, ErrorKind>| {
        let right = kind == Err(ErrorKind::TooLarge) || is_stack && kind == Ok(false);
        assert!(right, "{what} of what is too large: {kind:?}");
    };
    let range = ByteRange::new(0, Some(10)).expect("a range");
    let whole = GetOptions::default();
    for options in [whole.clone(), whole.clone().with_stream_above(0), whole.clone().with_range(range)] {
        let read = store.get(&key(1), &BlobName::DATA, options).await;
        judge("get", read.map(|found| found.is_some()).map_err(|error| error.kind()));
    }
    let read = store.get_entry(&key(1), whole).await;
    judge("get_entry", read.map(|found| found.is_some()).map_err(|error| error.kind()));
    assert_eq!(store.get_now(key(1).view(), &BlobName::DATA), None, "get_now");
    assert!(store.contains(&key(1)).await.expect("an answer"), "it is there");
    store.assert_holds(&key(2), &small).await;
    // It can be replaced, and is whole where it is let in.
    store.close(None).await.expect("a close");
    drop(store);
    let store = Subject::open(factory).await;
    store.assert_holds(&key(1), &large).await;
    store.close(None).await.expect("a close");
    drop(store);
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(1000)).await;
    store.put_new(&key(1), &small).await;
    store.assert_holds(&key(1), &small).await;
}
