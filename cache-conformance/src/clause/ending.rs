//! Flush, close and the next open.

use std::time::Duration;

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
};
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::{
    Factory, Setup,
    sample::{Contents, blobs, bytes, data, hours_ago, key, key_in, namespace},
    subject::Subject,
};

/// A durable store has them after a restart, a volatile one is empty.
pub async fn reopen_finds_flushed_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let created = hours_ago(2);
    let mut written: Vec<(_, Contents)> = Vec::new();
    for path in ["", "a", "a/b c", "%41"] {
        for number in 0..5 {
            let contents =
                blobs([("data", bytes(number, 100 << number)), ("log.txt", bytes(number + 10, 9))]);
            let key = key_in(&namespace(path), number);
            store.put_as(&key, &contents, PutOptions::default().with_created(created)).await;
            written.push((key, contents));
        }
    }
    written[0].1.append(&mut blobs([("late", bytes(99, 70_000))]));
    let merge = PutOptions::mode(PutMode::Merge).with_created(created);
    store.put_as(&written[0].0, &blobs([("late", bytes(99, 70_000))]), merge).await;
    let (gone, _) = written.pop().expect("an entry");
    store.evict(&gone).await.expect("an eviction");
    let usage = store.usage_below(&Namespace::root()).await;
    store.flush().await.expect("a flush");
    store.close(None).await.expect("a close");
    drop(store);

    let store = Subject::open(factory).await;
    assert_eq!(store.info().powers.durable, durable);
    store.assert_absent(&gone).await;
    if !durable {
        for (key, _) in &written {
            store.assert_absent(key).await;
        }
        store.assert_usage(&Namespace::root(), 0, 0).await;
        return;
    }
    for (key, contents) in &written {
        store.assert_holds(key, contents).await;
        let meta = store.meta(key).await.expect("an answer").expect("an entry");
        assert_eq!((meta.created, meta.modified), (Some(created), Some(created)), "the times of {key}");
    }
    let mut keys: Vec<_> = written.into_iter().map(|(key, _)| key).collect();
    keys.sort();
    assert_eq!(store.keys(ListOptions::default().recursive()).await, keys);
    store.assert_usage(&Namespace::root(), usage.entries, usage.bytes).await;
    store.put_new(&gone, &data("again")).await;
    store.assert_holds(&gone, &data("again")).await;
}

/// Durable stores report it, volatile ones do not claim it.
pub async fn flush_tells_durability(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    for round in 0..3 {
        let report = store.flush().await.expect("a flush");
        assert_eq!(report.durable, durable, "flush {round}: {report:?}");
        store.put_new(&key(round), &data(bytes(round, 100))).await;
    }
    for round in 0..3 {
        store.assert_holds(&key(round), &data(bytes(round, 100))).await;
    }
}

/// Every operation is `Closed`; `close` itself succeeds again.
pub async fn closed_store_says_so(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("value")).await;
    store.read(&key(1), "data").await.expect("a hit");
    let clone = store.clone();
    store.close(None).await.expect("a close");
    for (number, store) in [(1, &store), (2, &clone)] {
        let (key, root) = (key(number), Namespace::root());
        let closed = |operation: &str, error: Option<cache_core::Error>| {
            let kind = error.map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Closed), "{operation} after close");
        };
        closed("get", store.get(&key, &BlobName::DATA, GetOptions::default()).await.err());
        closed("get_entry", store.get_entry(&key, GetOptions::default()).await.err());
        closed("put", store.put(&key, PutEntry::data("new"), PutOptions::default()).await.err());
        closed("contains", store.contains(&key).await.err());
        closed("evict", store.evict(&key).await.err());
        closed("meta", store.meta(&key).await.err());
        closed("usage", store.usage(&root).await.err());
        closed("clean", store.clean(&root, &CleanPolicy::default()).await.err());
        closed("flush", store.flush().await.err());
        let mut listing = store.list(ListOptions::default());
        closed("list", listing.next().await.and_then(Result::err));
        assert!(listing.next().await.is_none(), "the listing goes on after its error");
        assert_eq!(store.get_now(key.view(), &BlobName::DATA), None, "get_now after close");
        let report = store.close(None).await.expect("a second close");
        assert_eq!(report.left, 0, "nothing is under way");
    }
}

/// A close with a deadline succeeds, also one of zero, and the store is closed after it.
pub async fn close_honours_a_deadline(factory: &dyn Factory) {
    for deadline in [Duration::ZERO, Duration::from_secs(20)] {
        let store = Subject::open(factory).await;
        store.put_new(&key(1), &data("value")).await;
        let unread = store.get(&key(1), &BlobName::DATA, GetOptions::default().with_stream_above(0)).await;
        drop(unread.expect("an answer").expect("a hit"));
        let report = store.close(Some(deadline)).await;
        let report = report.unwrap_or_else(|error| panic!("a close within {deadline:?} fails: {error}"));
        assert!(deadline.is_zero() || report.left == 0, "nothing is under way: {report:?}");
        let read = store.get(&key(1), &BlobName::DATA, GetOptions::default()).await;
        assert_eq!(read.err().map(|error| error.kind()), Some(ErrorKind::Closed));
        store.close(Some(deadline)).await.expect("a second close");
        assert_eq!(store.close(None).await.expect("a close without a deadline").left, 0);
    }
}

/// What runs while the store is closed ends whole or as `Closed`, and nothing is written after it.
pub async fn close_meets_operations_under_way(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let versions = [0, 1].map(|seed| blobs([("a", bytes(seed, 5000)), ("b", bytes(seed + 10, 70_000))]));
    for number in 0..4 {
        store.put_new(&key(number), &versions[0]).await;
    }
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let (store, versions) = (store.clone(), versions.clone());
        tasks.spawn(async move {
            let is_closed = |error: cache_core::Error| assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
            for round in 1.. {
                tokio::task::yield_now().await;
                let entry = crate::sample::entry(&versions[round % 2]);
                if let Err(error) = store.put(&key(number), entry, PutOptions::default()).await {
                    return is_closed(error);
                }
                match store.get_entry(&key(number), GetOptions::default()).await {
                    Err(error) => return is_closed(error),
                    Ok(found) => {
                        let found = found.expect("an entry that is replaced is never absent");
                        assert_eq!(found.blobs.len(), 2, "a part of an entry is read while the store closes");
                    }
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.close(None).await.expect("a close");
    while let Some(task) = tasks.join_next().await {
        task.expect("what runs while the store is closed");
    }
    drop(store);
    let store = Subject::open(factory).await;
    for number in 0..4 {
        match store.contents(&key(number)).await {
            None => assert!(!durable, "a durable store has lost an entry"),
            Some(found) => {
                assert!(versions.contains(&found), "a part of a put that a close met");
                store.assert_holds(&key(number), &found).await;
            }
        }
    }
    store
        .assert_usage(&Namespace::root(), if durable { 4 } else { 0 }, if durable { 300_000 } else { 0 })
        .await;
}

/// A durable store has after a close and a restart what was put after the last flush, too.
pub async fn close_is_no_crash(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    if !store.info().powers.durable {
        let report = store.flush().await.expect("a flush");
        return assert!(!report.durable, "a volatile store claims durability");
    }
    let (old, new) = (blobs([("a", bytes(1, 100)), ("b", bytes(2, 70_000))]), data(bytes(3, 200)));
    for number in 0..3 {
        store.put_new(&key(number), &old).await;
    }
    store.flush().await.expect("a flush");
    store.put_new(&key(0), &new).await;
    store.put_as(&key(1), &new, PutOptions::mode(PutMode::Merge)).await;
    store.evict(&key(2)).await.expect("an eviction");
    store.put_new(&key(3), &old).await;
    store.close(None).await.expect("a close");
    drop(store);
    let store = Subject::open(factory).await;
    store.assert_holds(&key(0), &new).await;
    let mut merged = old.clone();
    merged.extend(new);
    store.assert_holds(&key(1), &merged).await;
    store.assert_absent(&key(2)).await;
    store.assert_holds(&key(3), &old).await;
    store.assert_usage(&Namespace::root(), 3, 200 + 70_300 + 70_100).await;
}

/// A durable store keeps its budget over a restart: what it finds counts, and a smaller budget is kept.
pub async fn budget_holds_over_a_restart(factory: &dyn Factory) {
    const ENTRY: usize = 8 << 10;
    let open = async |parts: u64| {
        Subject::open_bounded(factory, Setup::default().with_max_bytes(parts * ENTRY as u64)).await
    };
    let Some(mut store) = open(16).await else { return };
    let mut number = 0;
    for parts in [16, 8, 4] {
        let max = store.info().max_bytes.expect("a budget");
        for _ in 0..max / ENTRY as u64 {
            store.put_new(&key(number), &data(bytes(number, ENTRY))).await;
            number += 1;
        }
        store.flush().await.expect("a flush");
        let usage = store.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes, {parts} entries");
        assert!(usage.entries > 0, "the budget is not used at all");
        let newest = store.contents(&key(number - 1)).await;
        // Without recency, all of them may have been written at the same time.
        let may_be_gone = newest.is_none() && !store.info().powers.recency;
        assert!(may_be_gone || newest == Some(data(bytes(number - 1, ENTRY))), "the newest entry is gone");
        store.close(None).await.expect("a close");
        drop(store);
        let Some(reopened) = open(parts / 2).await else { panic!("a budget is refused after a restart") };
        let max = reopened.info().max_bytes.expect("a budget");
        reopened.flush().await.expect("a flush");
        let usage = reopened.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes after a restart");
        store = reopened;
    }
}
