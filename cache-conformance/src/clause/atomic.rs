//! Entries appear whole or not at all.

use bytes::Bytes;
use cache_core::{ByteStream, ErrorKind, Namespace, PutEntry, PutMode, PutOptions, PutOutcome, Result};
use tokio::task::JoinSet;

use crate::{
    Factory,
    pace::Pace,
    sample::{
        Contents, blobs, broken_stream, bytes, data, endless_stream, key, key_in, name, namespace, size,
        stream_of,
    },
    subject::Subject,
};

/// Blobs stream in with and without a promised length.
pub async fn streamed_put_round_trips(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for (number, len) in [(1, 1), (2, 1000), (3, 65_536), (4, 200_001)] {
        let (streamed, small) = (bytes(number, len), bytes(number + 10, 10));
        for promised in [None, Some(len as u64)] {
            let entry = PutEntry::default()
                .with(name("log"), small.clone())
                .with_stream(name("data"), promised, stream_of(&streamed))
                .with_stream(name("more"), promised.map(|_| 10), stream_of(&small));
            let outcome = store.put(&key(number), entry, PutOptions::default()).await.expect("a put");
            assert!(outcome.is_stored());
            let expected =
                blobs([("data", streamed.clone()), ("log", small.clone()), ("more", small.clone())]);
            store.assert_holds(&key(number), &expected).await;
        }
    }
    store.put_new(&key(5), &blobs([("a", "a"), ("b", "b")])).await;
    for (mode, expected) in
        [(PutMode::Merge, blobs([("a", "a"), ("b", "c")])), (PutMode::Fill, blobs([("a", "a"), ("b", "c")]))]
    {
        let entry = PutEntry::default().with_stream(name("b"), None, stream_of(&Bytes::from_static(b"c")));
        let outcome = store.put(&key(5), entry, PutOptions::mode(mode)).await.expect("a put");
        assert!(outcome.is_stored());
        store.assert_holds(&key(5), &expected).await;
    }
}

/// A put whose stream ends in an error leaves the old entry whole.
pub async fn streamed_put_that_fails_changes_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for len in [0, 30, 300_000] {
        let streamed = bytes(1, len);
        for promised in [None, Some(len as u64), Some(len as u64 + 1)] {
            let kinds = changes_nothing(&store, promised, || broken_stream(&streamed)).await;
            assert_eq!(kinds, [ErrorKind::Unavailable; 6], "what ended the stream, at {len} bytes");
        }
    }
}

/// A stream of another length than promised is `Invalid`.
pub async fn streamed_put_of_a_wrong_length_changes_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for len in [1, 30, 300_000] {
        let streamed = bytes(1, len);
        for promised in [0, len as u64 - 1, len as u64 + 1, 1 << 20] {
            let kinds = changes_nothing(&store, Some(promised), || stream_of(&streamed)).await;
            assert_eq!(kinds, [ErrorKind::Invalid; 6], "{promised} bytes promised, {len} streamed");
        }
    }
}

/// Tries in all modes to put such a stream, over an entry and where there is none.
async fn changes_nothing(
    store: &Subject,
    promised: Option<u64>,
    stream: impl Fn() -> ByteStream,
) -> Vec<ErrorKind> {
    let old = blobs([("data", "old"), ("log", "older")]);
    store.put_new(&key(1), &old).await;
    let mut kinds = Vec::new();
    for mode in [PutMode::Replace, PutMode::Merge, PutMode::Fill] {
        for number in [1, 2] {
            // Blobs in hand stand before and after the stream, whose name is new to the entry: so
            // that a `Fill` reads it, too.
            let entry = PutEntry::default()
                .with(name("data"), "new")
                .with_stream(name("new"), promised, stream())
                .with(name("other"), "new");
            kinds.push(store.put_fails(&key(number), entry, mode).await);
        }
        store.assert_holds(&key(1), &old).await;
        store.assert_absent(&key(2)).await;
        assert_eq!(store.read(&key(2), "other").await, None);
    }
    store.assert_usage(&Namespace::root(), 1, size(&old)).await;
    kinds
}

fn is_stored(outcome: Result<PutOutcome>) -> bool {
    outcome.expect("a put").is_stored()
}

/// A put dropped at any point leaves no part of an entry.
pub async fn dropped_put_leaves_old_or_new(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let old = blobs([("a", bytes(1, 5000)), ("b", bytes(2, 50))]);
    let new = blobs([("b", bytes(3, 70_000)), ("c", bytes(4, 500))]);
    let merged = blobs([("a", bytes(1, 5000)), ("b", bytes(3, 70_000)), ("c", bytes(4, 500))]);
    let pace = Pace::of(&store).await;
    for polls in 0..10 {
        // A namespace each, so that what goes on behind one future shows in no other case.
        let place = |case: &str| key_in(&namespace(case), polls);
        for (case, mode, after) in [("new", PutMode::Replace, &new), ("merged", PutMode::Merge, &merged)] {
            let key = place(case);
            store.put_new(&key, &old).await;
            let put = store.write(&key, &new, mode);
            let done = pace.poll_and_drop(polls, put).await.is_some_and(is_stored);
            store.settles(&key, &[if done { Some(after) } else { Some(&old) }, Some(after)]).await;
            store.evict(&key).await.expect("an eviction");
        }
        let key = place("absent");
        let put = store.write(&key, &new, PutMode::Replace);
        let done = pace.poll_and_drop(polls, put).await.is_some_and(is_stored);
        store.settles(&key, &[done.then_some(&new), Some(&new)]).await;
        store.evict(&key).await.expect("an eviction");

        let key = place("endless");
        store.put_new(&key, &old).await;
        let endless = PutEntry::default().with(name("b"), "new").with_stream(
            name("c"),
            None,
            endless_stream(&bytes(5, 200_000)),
        );
        let put = store.put(&key, endless, PutOptions::default());
        let done = pace.poll_and_drop(polls, put).await;
        assert!(done.is_none(), "a put was stored whose stream has not ended");
        store.settles(&key, &[Some(&old), Some(&old)]).await;
        store.evict(&key).await.expect("an eviction");
    }
}

/// The blobs of one put never stand beside those of another.
pub async fn concurrent_puts_leave_one_whole_entry(factory: &dyn Factory) {
    const ROUNDS: u64 = 30;
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &stamped(0)).await;
    let mut tasks = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                store.put_new(&key(1), &stamped(writer * ROUNDS + round)).await;
                tokio::task::yield_now().await;
            }
        });
    }
    while !tasks.is_empty() {
        assert_one_stamp(&store).await;
        if let Some(task) = tasks.try_join_next() {
            task.expect("a writer");
        }
        tokio::task::yield_now().await;
    }
    let last = assert_one_stamp(&store).await;
    store.assert_holds(&key(1), &last).await;
    store.assert_usage(&Namespace::root(), 1, size(&last)).await;
}

/// Blobs that all tell which put they are of; every third put has one more.
fn stamped(stamp: u64) -> Contents {
    let mut contents = blobs(["a", "b"].map(|name| (name, bytes(stamp, 2000))));
    if stamp.is_multiple_of(3) {
        contents.append(&mut blobs([("c", bytes(stamp, 2000))]));
    }
    contents
}

async fn assert_one_stamp(store: &Subject) -> Contents {
    let read = store.contents(&key(1)).await.expect("an entry that is replaced is never absent");
    assert!((0..240).any(|stamp| stamped(stamp) == read), "blobs of two puts in one entry");
    read
}

/// Tasks of one process that merge into one entry keep all their blobs.
pub async fn concurrent_merges_lose_no_blob(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..8 {
                let blob = blobs([(&*format!("{task}-{round}"), bytes(task * 8 + round, 100))]);
                store.put_as(&key(1), &blob, PutOptions::mode(PutMode::Merge)).await;
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("a writer");
    }
    let mut expected = Contents::new();
    for stamp in 0..64 {
        expected.insert(format!("{}-{}", stamp / 8, stamp % 8), bytes(stamp, 100));
    }
    let found = store.contents(&key(1)).await.expect("an entry");
    assert_eq!(found.len(), 64, "merges have lost blobs: {:?}", found.keys());
    store.assert_holds(&key(1), &expected).await;
    store.put_new(&key(1), &data("the end")).await;
    store.assert_holds(&key(1), &data("the end")).await;
}
