//! Blobs that stream in and out.

use std::{task::Poll, time::Duration};

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteStream, CleanPolicy, ErrorKind, GetOptions, ListOptions, Namespace, PutEntry,
    PutMode, PutOptions,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use crate::{
    Factory, Setup,
    sample::{Contents, blobs, broken_stream, bytes, data, key, name, pieces, size, stream_of},
    subject::Subject,
};

/// Asks for a stream of whatever size.
fn streamed() -> GetOptions {
    GetOptions::default().with_stream_above(0)
}

async fn open_stream(store: &Subject, number: u64) -> Blob {
    store.get(&key(number), &BlobName::DATA, streamed()).await.expect("an answer").expect("a hit")
}

async fn put_stream(store: &Subject, number: u64, promised: Option<u64>, source: ByteStream) {
    let entry = PutEntry::default().with_stream(BlobName::DATA, promised, source);
    let outcome = store.put(&key(number), entry, PutOptions::default()).await;
    assert!(outcome.unwrap_or_else(|error| panic!("a streamed put fails: {error}")).is_stored());
}

/// A source may come in pieces of any size, empty ones too, and may keep its reader waiting.
pub async fn pieces_of_any_size_join_to_one_blob(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let whole = bytes(1, 140_000);
    let empty = Bytes::new;
    let around = |inner: Vec<Bytes>| [vec![empty(), empty()], inner, vec![empty()]].concat();
    let sources: [(&str, Vec<Bytes>); 6] = [
        ("one piece", vec![whole.clone()]),
        ("single bytes", pieces(&whole.slice(..3000), 1)),
        ("odd pieces", pieces(&whole, 4097)),
        (
            "an empty piece after each",
            pieces(&whole, 65_536).into_iter().flat_map(|one| [one, empty()]).collect(),
        ),
        ("empty pieces around", around(pieces(&whole, 50_000))),
        ("empty pieces only", around(Vec::new())),
    ];
    for (what, source) in sources {
        let expected = Bytes::from(source.concat());
        for promised in [None, Some(expected.len() as u64)] {
            let mut waits = false;
            let mut source = stream::iter(source.clone().into_iter().map(Ok)).boxed();
            // Every other time it is asked, it has nothing yet.
            let hesitant = stream::poll_fn(move |context| {
                waits = !waits;
                if waits {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                source.poll_next_unpin(context)
            });
            put_stream(&store, 1, promised, hesitant.boxed()).await;
            let found = store.read(&key(1), "data").await;
            assert!(found.is_some_and(|found| found == expected), "{what} come back as something else");
            store.assert_usage(&Namespace::root(), 1, expected.len() as u64).await;
        }
    }
}

/// A source is asked for no piece after its end, nor after its error.
pub async fn source_is_read_once_to_its_end(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let whole = bytes(1, 100_000);
    for number in 0..2 {
        put_stream(&store, number, Some(100_000), ends_once(stream_of(&whole))).await;
        put_stream(&store, number, None, ends_once(stream_of(&whole))).await;
        put_stream(&store, number, Some(0), ends_once(stream_of(&Bytes::new()))).await;
        store.assert_holds(&key(number), &data("")).await;
        let broken = PutEntry::default().with_stream(BlobName::DATA, None, ends_once(broken_stream(&whole)));
        let kind = store.put_fails(&key(number), broken, PutMode::Replace).await;
        assert_eq!(kind, ErrorKind::Unavailable, "what ended the stream");
    }
}

/// The same stream; it panics if it is asked again after its end or its error.
fn ends_once(mut source: ByteStream) -> ByteStream {
    let mut over = false;
    stream::poll_fn(move |context| {
        assert!(!over, "a source is read on after its end");
        let next = source.poll_next_unpin(context);
        over = matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    })
    .boxed()
}

/// If one of several streams of a put fails, nothing of the others is kept.
pub async fn failure_of_one_stream_undoes_the_others(factory: &dyn Factory) {
    let store = Subject::open_with(factory, Setup::default().with_max_blob_bytes(200_000)).await;
    let old = blobs([("data", "old"), ("log", "older")]);
    store.put_new(&key(1), &old).await;
    let (good, large) = (bytes(1, 90_000), bytes(2, 200_001));
    for expected in [ErrorKind::Unavailable, ErrorKind::Invalid, ErrorKind::TooLarge] {
        let bad = || match expected {
            ErrorKind::Unavailable => (None, broken_stream(&good)),
            ErrorKind::Invalid => (Some(90_001), stream_of(&good)),
            _ => (None, stream_of(&large)),
        };
        for (number, mode) in [(1, PutMode::Replace), (1, PutMode::Merge), (2, PutMode::Fill)] {
            // The blobs are read in this order; the bad one is the last but one.
            let (promised, source) = bad();
            let entry = PutEntry::default()
                .with_stream(name("new"), Some(90_000), stream_of(&good))
                .with_stream(name("data"), None, stream_of(&good))
                .with_stream(name("bad"), promised, source)
                .with_stream(name("z"), None, stream_of(&good));
            assert_eq!(store.put_fails(&key(number), entry, mode).await, expected, "{mode:?}");
        }
        store.assert_holds(&key(1), &old).await;
        store.assert_absent(&key(2)).await;
        assert_eq!(store.read(&key(2), "new").await, None, "a stream before the one that failed");
        store.assert_usage(&Namespace::root(), 1, size(&old)).await;
    }
}

/// An open stream goes on with the version that it began with, or ends in an error.
pub async fn open_stream_never_mixes_versions(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let (old, new) = (bytes(1, 300_000), bytes(2, 350_000));
    for change in
        ["replaced", "replaced by fewer bytes", "merged", "evicted", "cleaned", "evicted and put again"]
    {
        // How far the stream was read before the change.
        for read in 0..2 {
            store.put_new(&key(1), &data(old.clone())).await;
            let mut open = open_stream(&store, 1).await.into_stream();
            let mut found = Vec::new();
            for _ in 0..read {
                found.extend(open.try_next().await.expect("a piece").expect("a piece"));
            }
            match change {
                "replaced" => store.put_new(&key(1), &data(new.slice(..300_000))).await,
                "replaced by fewer bytes" => store.put_new(&key(1), &data(new.slice(..5000))).await,
                "merged" => {
                    let merge = PutOptions::mode(PutMode::Merge);
                    store.put_as(&key(1), &data(new.clone()), merge).await;
                }
                "evicted" => store.evict(&key(1)).await.expect("an eviction"),
                "cleaned" => {
                    let all = CleanPolicy::default().with_max_bytes(0);
                    store.clean(&Namespace::root(), &all).await.map(drop).expect("a clean");
                }
                _ => {
                    store.evict(&key(1)).await.expect("an eviction");
                    store.put_new(&key(1), &data(new.slice(..300_000))).await;
                }
            }
            let broken = loop {
                match open.try_next().await {
                    Ok(Some(piece)) => found.extend(piece),
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            assert!(old.starts_with(&found), "{change}: a stream goes on with other bytes");
            assert!(broken || found.len() == old.len(), "{change}: a stream ends early, as if it were whole");
        }
    }
}

/// A stream that nobody reads on keeps no put, eviction, flush or other read from going on.
pub async fn unread_streams_hold_up_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let whole = bytes(1, 400_000);
    let mut unread = Vec::new();
    for number in 0..4 {
        store.put_new(&key(number), &data(whole.clone())).await;
        for _ in 0..6 {
            unread.push(open_stream(&store, number).await.into_stream());
        }
        let entry = store.get_entry(&key(number), streamed()).await.expect("an answer").expect("a hit");
        unread.extend(entry.blobs.into_iter().map(|(_, blob)| blob.into_stream()));
        let mut begun = open_stream(&store, number).await.into_stream();
        begun.try_next().await.expect("a piece").expect("a piece");
        unread.push(begun);
    }
    store.put_new(&key(0), &data("replaced")).await;
    store.assert_holds(&key(0), &data("replaced")).await;
    store.put_as(&key(1), &blobs([("b", "merged")]), PutOptions::mode(PutMode::Merge)).await;
    store.evict(&key(2)).await.expect("an eviction");
    store.assert_absent(&key(2)).await;
    store.flush().await.expect("a flush");
    store.assert_holds(&key(3), &data(whole.clone())).await;
    assert_eq!(store.keys(ListOptions::default()).await.len(), 3);
    drop(unread);
    store.assert_usage(&Namespace::root(), 3, 8 + 400_006 + 400_000).await;
    for number in 0..4 {
        store.put_new(&key(number), &data(bytes(number, 10))).await;
        store.assert_holds(&key(number), &data(bytes(number, 10))).await;
    }
    store.assert_usage(&Namespace::root(), 4, 40).await;
}

/// Several streams of one entry run side by side, each with all of its bytes.
pub async fn streams_of_one_entry_run_side_by_side(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let contents: Contents =
        blobs([("data", bytes(1, 300_000)), ("log", bytes(2, 200_000)), ("z", bytes(3, 1))]);
    store.put_new(&key(1), &contents).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(("data".to_owned(), open_stream(&store, 1).await));
        let entry = store.get_entry(&key(1), streamed()).await.expect("an answer").expect("a hit");
        // Not in the order in which they came.
        open.extend(entry.blobs.into_iter().rev().map(|(name, blob)| (name.to_string(), blob)));
    }
    let mut running: Vec<_> = open
        .into_iter()
        .map(|(name, blob)| (name, blob.len(), Vec::new(), blob.into_stream().fuse()))
        .collect();
    let mut goes_on = true;
    while goes_on {
        goes_on = false;
        for (name, _, found, stream) in &mut running {
            let next = stream.try_next().await;
            if let Some(piece) = next.unwrap_or_else(|error| panic!("a stream of {name} fails: {error}")) {
                found.extend(piece);
                goes_on = true;
            }
        }
    }
    for (name, len, found, _) in running {
        assert_eq!(found.len() as u64, len, "{name} has another length than it says");
        assert!(contents[&name] == found, "one of several streams of {name} differs");
    }
}

/// While a slow source streams in, the old entry is read whole, and other keys are read and written.
pub async fn slow_put_keeps_the_old_entry_until_it_ends(factory: &dyn Factory) {
    const KEYS: u64 = 3;
    let store = Subject::open(factory).await;
    let (old, new) = (blobs([("data", bytes(1, 20_000)), ("log", bytes(2, 10))]), data(bytes(3, 30_000)));
    for number in 0..KEYS {
        store.put_new(&key(number), &old).await;
    }
    let mut puts = JoinSet::new();
    for number in 0..KEYS {
        let (store, whole) = (store.clone(), new["data"].clone());
        puts.spawn(async move {
            let slow = stream_of(&whole).then(|piece| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                piece
            });
            put_stream(&store, number, None, slow.boxed()).await;
        });
    }
    let mut round = 0;
    while !puts.is_empty() {
        for number in 0..KEYS {
            let found = store.contents(&key(number)).await;
            let found = found.expect("an entry that is replaced is never absent");
            assert!(found == old || found == new, "a part of a put that has not ended is read");
            let usage = store.usage_below(&Namespace::root()).await;
            assert!(usage.entries >= KEYS, "an entry that is replaced is never absent: {usage}");
        }
        store.put_new(&key(100 + round % 4), &data(bytes(round, 100))).await;
        store.assert_holds(&key(100 + round % 4), &data(bytes(round, 100))).await;
        round += 1;
        while let Some(put) = puts.join_next().now_or_never().flatten() {
            put.expect("a slow put");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for number in 0..KEYS {
        store.assert_holds(&key(number), &new).await;
    }
}

/// What is not larger than `stream_above` is in hand; a stream and a part in hand tell their lengths.
pub async fn reads_up_to_the_threshold_are_in_hand(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let whole = bytes(1, 150_000);
    store.put_new(&key(1), &blobs([("data", whole.clone()), ("small", whole.slice(..10))])).await;
    for above in [150_000, 150_001, u64::MAX] {
        let options = GetOptions::default().with_stream_above(above);
        let found = store.get(&key(1), &BlobName::DATA, options.clone()).await.expect("an answer");
        assert!(found.expect("a hit").bytes().is_some_and(|bytes| *bytes == whole), "a get up to {above}");
        let read = store.get_entry(&key(1), options).await.expect("an answer").expect("a hit");
        assert!(read.blobs.iter().all(|(_, blob)| blob.bytes().is_some()), "a get_entry up to {above}");
    }
    // What counts is what is read, not what it is cut from.
    let range = cache_core::ByteRange::new(70_000, Some(70_100)).expect("a range");
    let options = GetOptions::default().with_stream_above(100).with_range(range);
    let part = store.get(&key(1), &BlobName::DATA, options).await.expect("an answer").expect("a hit");
    assert_eq!((part.len(), part.total_len()), (100, 150_000));
    assert!(part.bytes().is_some_and(|bytes| *bytes == whole[70_000..70_100]), "a range up to 100 bytes");
}
