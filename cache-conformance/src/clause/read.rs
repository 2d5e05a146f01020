//! Reading entries and blobs.

use std::time::Duration;

use cache_core::{BlobName, ByteRange, ErrorKind, GetOptions, ListOptions, PutEntry, PutMode, PutOptions};
use futures::{StreamExt, TryStreamExt};

use crate::{
    Factory,
    sample::{blobs, bytes, data, entry, key, key_in, name, namespace, now, size, stream_of},
    subject::Subject,
};

/// An absent entry reads as `Ok(None)`, everywhere.
pub async fn miss_is_none(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.assert_absent(&key(1)).await;
    store.put_new(&key(2), &data("another entry")).await;
    store.assert_absent(&key(1)).await;
    store.assert_absent(&key_in(&namespace("elsewhere"), 2)).await;
}

/// An absent name of an entry that is there reads as `Ok(None)`.
pub async fn absent_blob_name_is_none(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &blobs([("stdout", "hello")])).await;
    assert_eq!(store.read(&key(1), "stderr").await, None);
    assert_eq!(store.read(&key(1), "data").await, None);
    assert_eq!(store.get_now(key(1).view(), &name("stderr")), None);
    let range = GetOptions::default().with_range(ByteRange::new(1, Some(2)).expect("a range"));
    assert_eq!(store.read_as(&key(1), &name("stderr"), range).await, None);
    store.assert_holds(&key(1), &blobs([("stdout", "hello")])).await;
}

/// After `put` returned, reads see the bytes through every clone of the store.
pub async fn put_is_visible(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let clone = store.clone();
    for round in 0..5 {
        let written = blobs([("data", bytes(round, 1000)), ("log", bytes(round + 100, 10))]);
        store.put_new(&key(1), &written).await;
        clone.assert_holds(&key(1), &written).await;
        store.assert_holds(&key(1), &written).await;
        assert_eq!(clone.keys(ListOptions::default()).await, [key(1)]);
    }
}

/// What `get_now` answers is what `get` would; `None` may mean anything.
pub async fn get_now_agrees_with_get(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let agree = async |note: &str| {
        for blob in ["data", "log"] {
            let inline = store.get_now(key(1).view(), &name(blob));
            let read = store.read(&key(1), blob).await;
            assert!(inline.is_none() || inline == read, "{note}: get_now of {blob} differs");
            // Again, for what that read brought nearer.
            let inline = store.get_now(key(1).view(), &name(blob));
            assert!(inline.is_none() || inline == read, "{note}: get_now of {blob} differs after a get");
        }
    };
    for round in 0..10 {
        agree("absent").await;
        store.put_new(&key(1), &blobs([("data", bytes(round, 500)), ("log", bytes(round, 20))])).await;
        agree("present").await;
        store.put_as(&key(1), &data(bytes(round + 50, 500)), PutOptions::mode(PutMode::Merge)).await;
        agree("merged").await;
        store.put_new(&key(1), &blobs([("log", bytes(round + 70, 30))])).await;
        agree("replaced").await;
        store.evict(&key(1)).await.expect("an eviction");
        assert_eq!(store.get_now(key(1).view(), &name("log")), None, "an evicted blob");
    }
}

/// Zero bytes are a value, not a miss.
pub async fn empty_blob_round_trips(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("")).await;
    store.assert_holds(&key(1), &data("")).await;
    store.put_new(&key(2), &blobs([("empty", ""), ("full", "x")])).await;
    store.assert_holds(&key(2), &blobs([("empty", ""), ("full", "x")])).await;
    let none = stream_of(&bytes::Bytes::new());
    let entry = PutEntry::default().with_stream(name("data"), None, none);
    let outcome = store.put(&key(3), entry, PutOptions::default()).await.expect("a put");
    assert!(outcome.is_stored());
    store.assert_holds(&key(3), &data("")).await;
    let all = GetOptions::default().with_range(ByteRange::new(0, None).expect("a range"));
    assert_eq!(store.read_as(&key(1), &BlobName::DATA, all).await.as_deref(), Some(&b""[..]));
    store.assert_usage(&namespace(""), 3, 1).await;
}

/// A blob of 8 MiB and a bit comes back, put in hand or as a stream.
pub async fn large_blob_round_trips(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let large = bytes(1, (8 << 20) + 13);
    let len = large.len() as u64;
    store.put_new(&key(1), &data(large.clone())).await;
    for promised in [None, Some(len)] {
        let entry = PutEntry::default().with_stream(BlobName::DATA, promised, stream_of(&large));
        let outcome = store.put(&key(2), entry, PutOptions::default()).await.expect("a put");
        assert!(outcome.is_stored());
        assert!(store.read(&key(2), "data").await == Some(large.clone()), "a streamed blob differs");
    }
    for key in [key(1), key(2)] {
        store.assert_holds(&key, &data(large.clone())).await;
        let tail = GetOptions::default().with_range(ByteRange::new(len - 70_000, None).expect("a range"));
        let tail = store.read_as(&key, &BlobName::DATA, tail).await.expect("a hit");
        assert!(tail == large[large.len() - 70_000..], "the tail differs");
    }
}

/// Two hits hand out the same allocation; undeclared, they do not.
pub async fn hits_share_bytes_where_declared(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let written = bytes(1, 1000);
    store.put_new(&key(1), &data(written.clone())).await;
    // The first hit may still bring the entry nearer.
    assert_eq!(store.read(&key(1), "data").await, Some(written.clone()));
    let mut hits = Vec::new();
    for _ in 0..2 {
        let hit = store.get(&key(1), &BlobName::DATA, GetOptions::default()).await.expect("an answer");
        let hit = hit.expect("a hit");
        assert!(hit.bytes().is_some_and(|bytes| *bytes == written), "a small hit is not in hand");
        hits.push(hit);
    }
    let places: Vec<_> = hits.iter().filter_map(|hit| hit.bytes()).map(|bytes| bytes.as_ptr()).collect();
    let shared = places[0] == places[1];
    assert_eq!(shared, store.info().powers.shared_bytes, "the declared power and what two hits do");
}

/// A range reads exactly its bytes and tells the whole length.
pub async fn range_is_a_slice(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    // Over three blocks of 64 KiB, so that ranges begin, end and lie at their borders.
    let whole = bytes(1, 200_000);
    store.put_new(&key(1), &data(whole.clone())).await;
    let ends = [(0, 1), (0, 0), (1, 200_000), (0, 200_000), (65_535, 65_537), (65_536, 131_072), (99, 99)];
    for stream_above in [0, u64::MAX] {
        for (start, end) in ends {
            let range = ByteRange::new(start as u64, Some(end as u64)).expect("a range");
            let options = GetOptions::default().with_range(range).with_stream_above(stream_above);
            let found =
                store.get(&key(1), &BlobName::DATA, options).await.expect("an answer").expect("a hit");
            assert_eq!(found.len(), (end - start) as u64, "the length of {start}..{end}");
            assert_eq!(found.total_len(), 200_000, "the whole length beside {start}..{end}");
            let found = found.collect(1 << 20).await.expect("the bytes");
            assert!(found == whole[start..end], "{start}..{end} has other bytes");
        }
    }
    let open = ByteRange::new(150_000, None).expect("a range");
    let tail = store.read_as(&key(1), &BlobName::DATA, GetOptions::default().with_range(open)).await;
    assert!(tail.expect("a hit") == whole[150_000..], "an open range has other bytes");
}

/// A range ends with the blob, and may be empty there.
pub async fn range_is_clamped_at_the_end(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("0123456789")).await;
    let ends = [(8, Some(11), "89"), (0, Some(u64::MAX), "0123456789"), (10, None, ""), (10, Some(12), "")];
    for (start, end, expected) in ends {
        let range = ByteRange::new(start, end).expect("a range");
        let options = GetOptions::default().with_range(range);
        let found = store.get(&key(1), &BlobName::DATA, options).await.expect("an answer").expect("a hit");
        assert_eq!((found.len(), found.total_len()), (expected.len() as u64, 10), "{range:?}");
        assert_eq!(found.collect(10).await.expect("the bytes"), expected, "{range:?}");
    }
}

/// A range that starts past the end is `Invalid`, not a miss.
pub async fn range_past_the_end_is_invalid(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &data("0123456789")).await;
    for (start, end) in [(11, None), (11, Some(12)), (u64::MAX, None)] {
        let options = GetOptions::default().with_range(ByteRange::new(start, end).expect("a range"));
        let answer = store.get(&key(1), &BlobName::DATA, options.clone()).await;
        let kind = answer.expect_err("a range past the end").kind();
        assert_eq!(kind, ErrorKind::Invalid, "{start}..{end:?}");
        assert_eq!(store.read_as(&key(2), &BlobName::DATA, options).await, None, "an absent entry");
    }
    store.assert_holds(&key(1), &data("0123456789")).await;
}

/// `get_entry` reads one version, in the order of names, with true metadata.
pub async fn get_entry_reads_all_blobs(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let names = ["stdout", "exit_code", "b", "a"];
    let put = names.iter().fold(PutEntry::default(), |put, text| put.with(name(text), text.to_uppercase()));
    assert!(store.put(&key(1), put, PutOptions::default()).await.expect("a put").is_stored());
    // A range is for one blob.
    let whole = GetOptions::default();
    let range = whole.clone().with_range(ByteRange::new(0, Some(1)).expect("a range"));
    for options in [whole.clone().with_stream_above(0), whole, range] {
        let read = store.get_entry(&key(1), options).await.expect("an answer").expect("a hit");
        let order: Vec<_> = read.blobs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["a", "b", "exit_code", "stdout"]);
        assert_eq!(read.meta.key, key(1));
        assert_eq!(read.meta.bytes, Some(17));
        let sizes: Vec<_> = read.meta.blobs.iter().map(|blob| (blob.name.as_str(), blob.bytes)).collect();
        assert_eq!(sizes, [("a", 1), ("b", 1), ("exit_code", 9), ("stdout", 6)]);
        for (name, blob) in read.blobs {
            assert_eq!(blob.total_len(), name.as_str().len() as u64);
            assert_eq!(blob.collect(100).await.expect("the bytes"), name.as_str().to_uppercase());
        }
    }
    store.put_new(&key(1), &blobs([("later", bytes(1, 50))])).await;
    let read = store.get_entry(&key(1), GetOptions::default()).await.expect("an answer").expect("a hit");
    assert_eq!(read.meta.bytes, Some(50), "what is told of an entry is that of an older version");
    let versions = [0, 1].map(|seed| blobs([("a", bytes(seed, 3000)), ("b", bytes(seed + 10, 3000))]));
    store.put_new(&key(2), &versions[0]).await;
    let write = async {
        for round in 1..100 {
            store.put_new(&key(2), &versions[round % 2]).await;
        }
    };
    let read = async {
        for _ in 0..100 {
            let read = store.contents(&key(2)).await.expect("an entry that is replaced is never absent");
            assert!(versions.contains(&read), "get_entry mixes two versions");
            tokio::task::yield_now().await;
        }
    };
    futures::future::join(write, read).await;
}

/// Where a stream is asked for, its pieces join to the same bytes.
pub async fn streamed_get_equals_bytes(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let whole = bytes(1, 300_000);
    store.put_new(&key(1), &data(whole.clone())).await;
    for stream_above in [0, 1, 299_999, 300_000, u64::MAX] {
        let options = GetOptions::default().with_stream_above(stream_above);
        let found = store.get(&key(1), &BlobName::DATA, options.clone()).await.expect("an answer");
        let found = found.expect("a hit");
        assert_eq!((found.len(), found.total_len()), (300_000, 300_000));
        let pieces: Vec<_> = found.into_stream().try_collect().await.expect("all pieces");
        assert!(pieces.concat() == whole, "pieces above {stream_above} differ");
        let read = store.get_entry(&key(1), options).await.expect("an answer").expect("a hit");
        let [(_, blob)] = <[_; 1]>::try_from(read.blobs).expect("one blob");
        let pieces: Vec<_> = blob.into_stream().try_collect().await.expect("all pieces");
        assert!(pieces.concat() == whole, "pieces of the entry above {stream_above} differ");
    }
    // A stream that nobody reads to its end keeps nothing from going on.
    let options = GetOptions::default().with_stream_above(0);
    let found = store.get(&key(1), &BlobName::DATA, options).await.expect("an answer").expect("a hit");
    let mut stream = found.into_stream();
    let first = stream.next().await.expect("a piece").expect("a piece");
    assert!(whole.starts_with(&first));
    drop(stream);
    store.put_new(&key(1), &data("new")).await;
    store.assert_holds(&key(1), &data("new")).await;
}

/// `meta` knows the bytes of every blob, their sum, created, and a place.
pub async fn meta_tells_sizes_and_times(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    assert_eq!(store.meta(&key(1)).await.expect("an answer"), None);
    // File systems and servers keep coarser and other clocks than this process.
    let tolerance = Duration::from_secs(5);
    let earliest = now() - tolerance;
    let written = blobs([("log", bytes(1, 300)), ("data", bytes(2, 70_000)), ("empty", bytes(3, 0))]);
    let put = store.put(&key(1), entry(&written), PutOptions::default()).await.expect("a put");
    assert!(put.is_stored());
    let meta = store.meta(&key(1)).await.expect("an answer").expect("an entry");
    let latest = now() + tolerance;
    assert_eq!(meta.key, key(1));
    assert_eq!(meta.bytes, Some(size(&written)));
    let sizes: Vec<_> = meta.blobs.iter().map(|blob| (blob.name.as_str(), blob.bytes)).collect();
    assert_eq!(sizes, [("data", 70_000), ("empty", 0), ("log", 300)]);
    assert!(meta.stored_bytes > 0, "an entry with bytes is stored in no bytes");
    let created = meta.created.expect("created");
    let modified = meta.modified.expect("modified");
    assert!(earliest <= created && created <= modified && modified <= latest, "{created:?}, {modified:?}");
    for blob in &meta.blobs {
        let created = blob.created.expect("created of each blob");
        assert!(earliest <= created && created <= latest, "{blob:?}");
    }
    assert!(meta.places.iter().any(|place| !place.tier.is_empty()), "no place in {meta:?}");
}
