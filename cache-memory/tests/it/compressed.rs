//! The suite over compressed blobs, and what differs of blobs that can be compressed.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may fail")]

use std::sync::Arc;

use bytes::Bytes;
use cache_conformance::{Decorated, Reference, Setup};
use cache_core::{
    BlobName, ByteRange, Checksum, Compressed, Digest, ErrorKind, GetOptions, Key, KeyManagement,
    ListOptions, Metered, Namespace, PutEntry, PutMode, PutOptions, Result, Store, StoreExt, Verified,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;

use crate::piecemeal::Piecemeal;

mod suite {
    use super::*;

    cache_conformance::suite! {
        Decorated::new(Reference::default(), |store| Ok(Arc::new(Compressed::new(store)))),
        handles: [damage, failures, crash]
    }
}

fn open(setup: &Setup) -> Result<MemoryStore> {
    let options =
        MemoryOptions::unlimited().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
    MemoryStore::open(options)
}

fn pair() -> (MemoryStore, Compressed<MemoryStore>) {
    limited(&Setup::default())
}

fn limited(setup: &Setup) -> (MemoryStore, Compressed<MemoryStore>) {
    let inner = open(setup).unwrap();
    (inner.clone(), Compressed::new(inner))
}

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

fn name(name: &str) -> BlobName {
    BlobName::new(name).unwrap()
}

/// Lines that repeat but for a number.
fn text(len: usize) -> Bytes {
    let lines = (0_u64..).flat_map(|n| format!("warning: unused variable `v{n}` in line {n}\n").into_bytes());
    lines.take(len).collect()
}

/// Bytes that cannot be compressed.
fn noise(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(len).collect()
}

fn streamed(content: &Bytes, promised: bool, piece: usize) -> PutEntry {
    let pieces: Vec<_> = content.chunks(piece).map(|piece| Ok(content.slice_ref(piece))).collect();
    let len = promised.then_some(content.len() as u64);
    PutEntry::default().with_stream(BlobName::DATA, len, stream::iter(pieces).boxed())
}

async fn put(store: &impl Store, key: &Key, entry: PutEntry) {
    assert!(store.put(key, entry, PutOptions::default()).await.unwrap().is_stored());
}

async fn stored(inner: &MemoryStore, key: &Key) -> Bytes {
    inner.get_bytes(key, &BlobName::DATA).await.unwrap().unwrap()
}

async fn read(store: &impl Store, key: &Key, options: GetOptions) -> (u64, Bytes) {
    let blob = store.get(key, &BlobName::DATA, options).await.unwrap().unwrap();
    let (len, total) = (blob.len(), blob.total_len());
    let bytes = blob.collect(u64::MAX).await.unwrap();
    assert_eq!(bytes.len() as u64, len);
    (total, bytes)
}

/// Whether a content comes back, however it is written and read.
async fn round_trips(content: &Bytes) {
    round_trips_over(content, pair().0, true).await;
    for tells in [false, true] {
        round_trips_over(content, Piecemeal::new(pair().0, tells), false).await;
    }
}

async fn round_trips_over<S: Store + Clone>(content: &Bytes, inner: S, at_once: bool) {
    let store = Compressed::new(inner.clone());
    let len = content.len() as u64;
    for (number, entry) in
        [PutEntry::data(content.clone()), streamed(content, true, 70_000), streamed(content, false, 300_000)]
            .into_iter()
            .enumerate()
    {
        let key = key(&number.to_string());
        put(&store, &key, entry).await;
        // Another decorator knows no lengths beforehand.
        for store in [store.clone(), Compressed::new(inner.clone())] {
            let meta = store.meta(&key).await.unwrap().unwrap();
            assert_eq!((meta.bytes, meta.blobs.first().unwrap().bytes), (Some(len), len));
        }
        if let Some(now) = store.get_now(key.view(), &BlobName::DATA) {
            assert_eq!(now, content);
        } else {
            assert!(!at_once || len > 64 << 10, "small blobs are answered at once");
        }
        for stream_above in [0, u64::MAX] {
            let options = GetOptions::default().with_stream_above(stream_above);
            let blob = store.get(&key, &BlobName::DATA, options.clone()).await.unwrap().unwrap();
            assert_eq!(blob.bytes().is_some(), len <= stream_above);
            assert!(blob.checksum().is_none_or(|checksum| checksum == Checksum::of(content)));
            assert_eq!(read(&store, &key, options.clone()).await, (len, content.clone()));
            let entry = store.get_entry(&key, options.clone()).await.unwrap().unwrap();
            assert_eq!(entry.meta.bytes, Some(len));
            for (_, blob) in entry.blobs {
                assert_eq!(blob.collect(u64::MAX).await.unwrap(), content);
            }
            for (start, end) in [(0, 0), (0, 10), (len / 3, len / 2), (len / 2, len), (len, len + 5)] {
                let range = ByteRange::new(start, Some(end)).unwrap();
                let (total, part) = read(&store, &key, options.clone().with_range(range)).await;
                let end = end.min(len);
                assert_eq!(total, len);
                assert_eq!(part, content.slice(start as usize..end as usize), "{start}..{end} of {len}");
            }
            let past = options.with_range(ByteRange::new(len + 1, None).unwrap());
            let error = store.get(&key, &BlobName::DATA, past).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(store.contains(&key).await.unwrap(), "a wrong range is no damage");
        }
    }
}

#[tokio::test]
async fn text_of_any_length_round_trips() {
    for len in [0, 1, 127, 128, 5000, 65_536, 65_537, 262_143, 262_144, 262_145, 524_288, 1_000_000] {
        round_trips(&text(len)).await;
    }
}

#[tokio::test]
async fn noise_of_any_length_round_trips() {
    for len in [1, 5000, 262_144, 262_145, 700_000] {
        round_trips(&noise(len)).await;
    }
}

#[tokio::test]
async fn mixtures_round_trip() {
    round_trips(&[text(300_000), noise(600_000)].concat().into()).await;
    round_trips(&[noise(300_000), text(600_000)].concat().into()).await;
}

const MAGIC: &[u8] = b"\x9eCZBLOB\x1a";
const END: &[u8] = b"CZEND\x1a\r\n";

#[tokio::test]
async fn content_like_a_frame_round_trips() {
    let (inner, store) = pair();
    for content in [text(5000), text(900_000)] {
        for entry in [PutEntry::data(content.clone()), streamed(&content, false, 100_000)] {
            put(&store, &key("k"), entry).await;
            let frame = stored(&inner, &key("k")).await;
            assert!(frame.starts_with(MAGIC) && frame.len() < content.len() / 2);
            // A frame is a content like any other.
            round_trips(&frame).await;
            round_trips(&frame.slice(..20)).await;
            round_trips(&[&frame, noise(700_000).as_ref()].concat().into()).await;
        }
    }
    for len in 1..=MAGIC.len() {
        round_trips(&Bytes::from_static(&MAGIC[..len])).await;
    }
    round_trips(&[noise(1000).as_ref(), END].concat().into()).await;
}

fn parts() -> impl Strategy<Value = Bytes> {
    let part = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..400),
        3 => (any::<u8>(), 0..100_000_usize).prop_map(|(byte, len)| vec![byte; len]),
        2 => (0..300_000_usize).prop_map(|len| text(len).to_vec()),
        2 => (0..300_000_usize).prop_map(|len| noise(len).to_vec()),
        1 => Just(MAGIC.to_vec()),
        1 => Just(END.to_vec()),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_content_round_trips(content in parts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(round_trips(&content));
    }
}

#[tokio::test]
async fn stored_form_is_never_longer_than_content_that_is_not_like_a_frame() {
    let (inner, store) = pair();
    for content in [text(10), text(127), text(200), noise(127), noise(5000), noise(300_000), text(300_000)] {
        for entry in [PutEntry::data(content.clone()), streamed(&content, false, 9999)] {
            put(&store, &key("k"), entry).await;
            let found = stored(&inner, &key("k")).await;
            assert!(found.len() <= content.len());
            // It is a frame only if that saves a sixteenth.
            assert!(found == content || found.len() * 16 <= content.len() * 15, "{}", content.len());
        }
    }
    put(&store, &key("k"), PutEntry::data(noise(300_000))).await;
    assert_eq!(stored(&inner, &key("k")).await, noise(300_000));
}

#[tokio::test]
async fn bytes_below_the_threshold_are_not_tried() {
    let inner = open(&Setup::default()).unwrap();
    let options = cache_core::CompressOptions::default().with_min_bytes(6000).with_level(99);
    let store = Compressed::with_options(inner.clone(), options);
    for (len, plain) in [(5999, true), (6000, false)] {
        put(&store, &key("k"), PutEntry::data(vec![0; len])).await;
        assert_eq!(stored(&inner, &key("k")).await.len() == len, plain);
        assert_eq!(read(&store, &key("k"), GetOptions::default()).await.1.len(), len);
    }
}

#[tokio::test]
async fn what_is_there_already_is_read_as_it_is() {
    let (inner, store) = pair();
    put(&inner, &key("k"), PutEntry::data(text(5000))).await;
    assert_eq!(read(&store, &key("k"), GetOptions::default()).await.1, text(5000));
    assert_eq!(store.meta(&key("k")).await.unwrap().unwrap().bytes, Some(5000));
}

#[tokio::test]
async fn merges_and_fills_are_those_of_the_store_below() {
    let (_, store) = pair();
    let (key, log) = (key("k"), name("log"));
    put(&store, &key, PutEntry::data(text(5000))).await;
    let merge = PutEntry::default().with(log.clone(), text(9000));
    store.put(&key, merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let fill = PutEntry::data(text(7000)).with(name("more"), text(300_000));
    store.put(&key, fill, PutOptions::mode(PutMode::Fill)).await.unwrap();
    let meta = store.meta(&key).await.unwrap().unwrap();
    let sizes: Vec<_> = meta.blobs.iter().map(|blob| (blob.name.as_str(), blob.bytes)).collect();
    assert_eq!(sizes, [("data", 5000), ("log", 9000), ("more", 300_000)]);
    assert_eq!(meta.bytes, Some(314_000));
    assert_eq!(read(&store, &key, GetOptions::default()).await.1, text(5000));
    assert_eq!(store.get_bytes(&key, &log).await.unwrap().unwrap(), text(9000));
}

#[tokio::test]
async fn several_streams_of_one_entry_are_read_in_their_order() {
    let (_, store) = pair();
    // The second stream has nothing to give before the first one was read to its end.
    let (done, wait) = tokio::sync::oneshot::channel::<()>();
    let done = stream::once(async move {
        done.send(()).unwrap();
        Ok(Bytes::from_static(b"end"))
    });
    let first = stream::iter(vec![Ok(text(100_000)); 8]).chain(done).boxed();
    let second = stream::once(async move {
        wait.await.unwrap();
        Ok(text(5000))
    });
    let entry = PutEntry::default().with_stream(name("a"), None, first).with_stream(
        name("b"),
        Some(5000),
        second.boxed(),
    );
    put(&store, &key("k"), entry).await;
    assert_eq!(store.get_bytes(&key("k"), &name("a")).await.unwrap().unwrap().len(), 800_003);
    assert_eq!(store.get_bytes(&key("k"), &name("b")).await.unwrap().unwrap(), text(5000));
    assert_eq!(store.meta(&key("k")).await.unwrap().unwrap().bytes, Some(805_003));
}

#[tokio::test]
async fn counters_are_of_contents() {
    let (inner, store) = pair();
    put(&store, &key("k"), PutEntry::data(text(200_000))).await;
    read(&store, &key("k"), GetOptions::default()).await;
    let range = GetOptions::default().with_range(ByteRange::new(5, Some(10)).unwrap());
    read(&store, &key("k"), range).await;
    assert_eq!(store.get_now(key("k").view(), &BlobName::DATA), None);
    // What nobody here knows has to be looked at, which is no read.
    put(&Compressed::new(inner), &key("other"), PutEntry::data(text(200_000))).await;
    assert_eq!(store.meta(&key("other")).await.unwrap().unwrap().bytes, Some(200_000));
    let metrics = store.metrics();
    assert_eq!((metrics.puts, metrics.bytes_in), (1, 200_000));
    assert_eq!((metrics.hits, metrics.misses, metrics.bytes_out), (2, 0, 200_005));
}

#[tokio::test]
async fn budget_counts_what_is_stored() {
    let (_, store) = limited(&Setup::default().with_max_bytes(100_000));
    for number in 0..20 {
        put(&store, &key(&number.to_string()), PutEntry::data(vec![number; 50_000])).await;
    }
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert_eq!(usage.entries, 20);
    assert!(usage.bytes < 100_000 && usage.bytes > 0);
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
    assert!(listed.iter().all(|entry| entry.bytes.is_none() && entry.blobs.is_empty()));
    assert_eq!(listed.iter().map(|entry| entry.stored_bytes).sum::<u64>(), usage.stored_bytes);
}

#[tokio::test]
async fn largest_blob_is_one_of_contents() {
    let (inner, store) = limited(&Setup::default().with_max_blob_bytes(400_000));
    for entry in [
        PutEntry::data(text(400_001)),
        streamed(&text(400_001), true, 50_000),
        streamed(&text(400_001), false, 50_000),
    ] {
        let error = store.put(&key("k"), entry, PutOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(!inner.contains(&key("k")).await.unwrap());
    }
    put(&store, &key("k"), streamed(&text(400_000), false, 50_000)).await;

    // A frame that was made where more is allowed.
    let (free, other) = pair();
    for entry in [PutEntry::data(text(400_001)), streamed(&text(400_001), false, 50_000)] {
        put(&other, &key("k"), entry).await;
        put(&inner, &key("k"), PutEntry::data(stored(&free, &key("k")).await)).await;
        for stream_above in [0, u64::MAX] {
            let options = GetOptions::default().with_stream_above(stream_above);
            let error = store.get(&key("k"), &BlobName::DATA, options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge);
        }
        assert!(inner.contains(&key("k")).await.unwrap(), "what is too large is no damage");
    }
}

#[tokio::test]
async fn put_that_fails_or_is_dropped_changes_nothing() {
    let (_, store) = pair();
    put(&store, &key("k"), PutEntry::data(text(5000))).await;
    for pieces in [1, 10] {
        let broken = stream::iter(vec![Ok(text(100_000)); pieces])
            .chain(stream::iter([Err(cache_core::Error::new(ErrorKind::Unavailable, "source", "read"))]));
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken.boxed());
        let error = store.put(&key("k"), entry, PutOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let endless = stream::iter(vec![Ok(text(100_000)); pieces]).chain(stream::pending());
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, endless.boxed());
        let at = key("k");
        let dropped = store.put(&at, entry, PutOptions::default());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), dropped).await.is_err());
        assert_eq!(read(&store, &key("k"), GetOptions::default()).await.1, text(5000));
        assert_eq!(store.meta(&key("k")).await.unwrap().unwrap().bytes, Some(5000));
    }
}

#[tokio::test]
async fn streams_that_race_with_writers_are_of_one_version() {
    let (_, store) = pair();
    let versions = [text(600_000), Bytes::from(vec![7; 900_000]), noise(300_000), text(100)];
    put(&store, &key("k"), streamed(&versions[0], false, 100_000)).await;
    let writer = async {
        for round in 0..60 {
            put(&store, &key("k"), streamed(&versions[round % 4], round % 3 == 0, 100_000)).await;
            tokio::task::yield_now().await;
        }
    };
    let reader = async {
        for round in 0..60 {
            let options = GetOptions::default().with_stream_above(if round % 2 == 0 { 0 } else { 1 << 20 });
            let entry = store.get_entry(&key("k"), options.clone()).await.unwrap().unwrap();
            for (_, blob) in entry.blobs {
                assert!(versions.contains(&blob.collect(u64::MAX).await.unwrap()));
            }
            assert!(versions.contains(&read(&store, &key("k"), options).await.1));
            tokio::task::yield_now().await;
        }
    };
    futures::future::join(writer, reader).await;
}

#[tokio::test]
async fn stacks_of_decorators_see_contents() {
    let content = text(300_000);
    let key = Key::from(Digest::of(&content));
    let (_, store) = pair();
    let store = Metered::new(Verified::new(store, [Namespace::root()]));
    put(&store, &key, streamed(&content, false, 100_000)).await;
    assert_eq!(read(&store, &key, GetOptions::default()).await.1, content);
    assert_eq!(store.metrics().bytes_out, 300_000);
}

/// Every damage is an error of its kind, and the entry is gone.
#[tokio::test]
async fn damage_of_a_frame_is_told_and_dropped() {
    let (inner, store) = pair();
    put(&store, &key("k"), PutEntry::data(text(500))).await;
    let frame = stored(&inner, &key("k")).await;
    assert!(frame.len() < 450);
    for at in 0..frame.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = frame.to_vec();
            damaged[at] ^= flip;
            is_damage(&inner, &store, damaged).await;
        }
    }
    // Of a frame that was cut to nothing, nothing tells that it was one.
    for len in 1..frame.len() {
        is_damage(&inner, &store, frame[..len].to_vec()).await;
    }
    is_damage(&inner, &store, [&frame, b"x".as_slice()].concat()).await;
}

#[tokio::test]
async fn damage_of_a_long_frame_is_told_and_dropped() {
    let (inner, store) = pair();
    put(&store, &key("k"), streamed(&text(700_000), false, 100_000)).await;
    let frame = stored(&inner, &key("k")).await;
    let places = (0..100)
        .chain((100..frame.len() - 60).step_by(frame.len() / 40))
        .chain(frame.len() - 60..frame.len());
    for at in places {
        let mut damaged = frame.to_vec();
        damaged[at] ^= 0x40;
        is_damage(&inner, &store, damaged).await;
        is_damage(&inner, &store, frame[..at.max(1)].to_vec()).await;
    }
    is_damage(&inner, &store, [&frame, b"x".as_slice()].concat()).await;
}

async fn is_damage(inner: &MemoryStore, store: &Compressed<MemoryStore>, damaged: Vec<u8>) {
    let frame = Bytes::from(damaged);
    let corrupt = store.metrics().corrupt;
    for (round, stream_above) in [0, u64::MAX].into_iter().enumerate() {
        put(inner, &key("k"), PutEntry::data(frame.clone())).await;
        assert_eq!(store.get_now(key("k").view(), &BlobName::DATA), None);
        let options = GetOptions::default().with_stream_above(stream_above);
        let found =
            async { store.get(&key("k"), &BlobName::DATA, options).await?.unwrap().collect(u64::MAX).await };
        let error = found.await.unwrap_err();
        assert_eq!((error.kind(), error.store()), (ErrorKind::Corrupt, "memory"), "{error}");
        assert_eq!(error.key(), Some(&key("k")));
        assert!(!inner.contains(&key("k")).await.unwrap(), "damage is dropped");
        assert_eq!(store.metrics().corrupt, corrupt + round as u64 + 1);
    }
}

#[tokio::test]
async fn damage_of_a_frame_that_streams_is_told_and_dropped() {
    let (inner, store) = pair();
    put(&store, &key("k"), streamed(&text(700_000), false, 100_000)).await;
    let frame = stored(&inner, &key("k")).await;
    let store = Compressed::new(Piecemeal::new(inner.clone(), false));
    for at in (0..70).chain((70..frame.len() - 50).step_by(5000)).chain(frame.len() - 50..frame.len()) {
        let mut damaged = frame.to_vec();
        damaged[at] ^= 0x40;
        for damaged in [damaged, frame[..at.max(1)].to_vec()] {
            put(&inner, &key("k"), PutEntry::data(damaged.clone())).await;
            let options = GetOptions::default().with_stream_above(0);
            let found = async {
                store.get(&key("k"), &BlobName::DATA, options).await?.unwrap().collect(u64::MAX).await
            };
            assert_eq!(found.await.unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
            assert!(!inner.contains(&key("k")).await.unwrap(), "damage is dropped");
            // What asks for the length alone finds what it looks at.
            let rest = damaged.len() as u64;
            put(&inner, &key("k"), PutEntry::data(damaged)).await;
            match store.meta(&key("k")).await {
                // Of less than the smallest frame nothing is read.
                Ok(meta) => {
                    let bytes = meta.unwrap().bytes.unwrap();
                    assert!(bytes == 700_000 || (bytes == rest && rest < 65), "byte {at}");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}"),
            }
        }
    }
}

/// Other entries are put in place between the reads that one question takes.
#[tokio::test]
async fn entry_that_is_replaced_between_two_reads_is_read_again() {
    let (inner, other) = pair();
    let mut frames = Vec::new();
    for content in [text(600_000), text(900_000)] {
        put(&other, &key("k"), streamed(&content, false, 100_000)).await;
        frames.push(stored(&inner, &key("k")).await);
    }
    let replaced: [&[Bytes]; 5] = [
        &frames[1..],
        &[frames[0].clone(), frames[1].clone(), frames[0].clone()],
        &[noise(500_000)],
        &[Bytes::new()],
        &[noise(frames[0].len())],
    ];
    let contents = [text(600_000), text(900_000), noise(500_000), Bytes::new(), noise(frames[0].len())];
    for next in replaced {
        let piecemeal = Piecemeal::new(inner.clone(), true);
        let again = async || {
            put(&inner, &key("k"), PutEntry::data(frames[0].clone())).await;
            *piecemeal.next.lock().unwrap() = next.to_vec();
        };
        let store = || Compressed::new(piecemeal.clone());
        let streamed = GetOptions::default().with_stream_above(0);
        again().await;
        assert!(contents.contains(&read(&store(), &key("k"), streamed.clone()).await.1));
        again().await;
        let (total, part) =
            read(&store(), &key("k"), streamed.clone().with_range(ByteRange::new(0, Some(100)).unwrap()))
                .await;
        assert!(contents.iter().any(|one| one.len() as u64 == total && one.starts_with(&part)));
        again().await;
        let entry = store().get_entry(&key("k"), streamed).await.unwrap().unwrap();
        let bytes = entry.meta.bytes;
        for (_, blob) in entry.blobs {
            let content = blob.collect(u64::MAX).await.unwrap();
            assert!(contents.contains(&content));
            assert_eq!(bytes, Some(content.len() as u64));
        }
        again().await;
        let bytes = store().meta(&key("k")).await.unwrap().unwrap().bytes.unwrap();
        assert!(contents.iter().any(|content| content.len() as u64 == bytes));
        assert!(inner.contains(&key("k")).await.unwrap(), "a change is no damage");
    }
}

#[tokio::test]
async fn part_of_a_plain_blob_is_read_alone_where_checksums_are_told() {
    for (tells, most) in [(true, 20_000), (false, 1_000_000)] {
        let piecemeal = Piecemeal::new(pair().0, tells);
        let store = Compressed::new(piecemeal.clone());
        put(&store, &key("k"), PutEntry::data(noise(1_000_000))).await;
        let range = ByteRange::new(990_000, Some(990_100)).unwrap();
        let options = GetOptions::default().with_stream_above(1000).with_range(range);
        let (total, part) = read(&store, &key("k"), options).await;
        assert_eq!((total, part), (1_000_000, noise(1_000_000).slice(990_000..990_100)));
        let bytes = *piecemeal.read.lock().unwrap();
        assert!(bytes <= most && bytes > most / 100, "{bytes}");
    }
}
