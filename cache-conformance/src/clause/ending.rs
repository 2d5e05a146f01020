//! Flush, close and the next open.

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
};
use futures::StreamExt;

use crate::{
    Factory,
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
        assert_eq!(store.get_now(&key, &BlobName::DATA), None, "get_now after close");
        let report = store.close(None).await.expect("a second close");
        assert_eq!(report.left, 0, "nothing is under way");
    }
}
