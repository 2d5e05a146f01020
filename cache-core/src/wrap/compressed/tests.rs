use std::sync::atomic::AtomicBool;

use futures::{FutureExt, StreamExt, stream};

use super::{
    feed::Feed,
    format::{Algorithm, ChunkHead, Ends, FOOTER_BYTES, HEADER_BYTES, Told},
    pack::{store_bytes, store_stream},
    unpack::unpack_stream,
    *,
};
use crate::{
    Checksum, Digest, Error, ErrorKind, PutBlob, StoreExt, collect_capped,
    toy::{Fault, Toy},
};

fn key() -> Key {
    Key::from(Digest::of("k"))
}

fn text(len: usize) -> Bytes {
    (0_u64..).flat_map(|n| format!("line {n} of a log\n").into_bytes()).take(len).collect()
}

/// Content of a frame, in hand and as a stream, which agree.
fn content(frame: &[u8]) -> Result<Bytes> {
    let header = Header::read(frame)?.unwrap();
    let in_hand = told_in(header, frame).and_then(|told| unpack(header, told, frame));
    let streamed = told_in(header, frame).and_then(|told| {
        let pieces: Vec<_> =
            frame[HEADER_BYTES..].chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let stream = unpack_stream(header, told, Feed::new(stream::iter(pieces).boxed()));
        collect_capped(stream, u64::MAX).now_or_never().unwrap()
    });
    match (in_hand, streamed) {
        (Ok(bytes), Ok(streamed)) => {
            assert_eq!(bytes, streamed);
            Ok(streamed)
        }
        (Err(error), Err(streamed)) => {
            assert_eq!(error.kind(), streamed.kind());
            Err(error)
        }
        (in_hand, streamed) => panic!("{in_hand:?} and {streamed:?}"),
    }
}

fn of_hex(line: &str) -> Vec<u8> {
    const_hex::decode(line.trim()).unwrap()
}

#[test]
fn golden_frames_decode() {
    let frames: Vec<_> = include_str!("golden-v1.hex").lines().map(of_hex).collect();
    let expected = [text(300), Bytes::from_static(b"\x9eCZBLOB\x1a"), text(300)];
    assert_eq!(frames.len(), expected.len());
    for (frame, expected) in frames.iter().zip(&expected) {
        assert_eq!(content(frame).unwrap(), expected);
    }
    let ends = |frame: &Vec<u8>| Header::read(frame).unwrap().unwrap();
    assert!(matches!(ends(&frames[0]), Header { algorithm: Algorithm::Zstd, ends: Ends::Closed(_) }));
    assert!(matches!(ends(&frames[1]), Header { algorithm: Algorithm::Stored, ends: Ends::Closed(_) }));
    assert!(matches!(ends(&frames[2]), Header { algorithm: Algorithm::Zstd, ends: Ends::Open(_) }));
    // Nothing in the second frame is the compressor's choice.
    let written = store_bytes(expected[1].clone(), CompressOptions::default()).now_or_never().unwrap();
    assert_eq!(written.unwrap(), frames[1]);
}

/// A frame that is sound as far as its sums go.
fn forged(told: Told, algorithm: Algorithm, chunks: &[(usize, &[u8])]) -> Vec<u8> {
    let mut frame = Header { algorithm, ends: Ends::Closed(told) }.to_bytes().to_vec();
    for (number, (len, packed)) in (0..).zip(chunks) {
        frame.extend_from_slice(&ChunkHead::of(number, *len, packed).unwrap().to_bytes());
        frame.extend_from_slice(packed);
    }
    frame
}

#[test]
fn frames_that_lie_are_damaged() {
    #[track_caller]
    fn check(told: Told, algorithm: Algorithm, chunks: &[(usize, &[u8])]) {
        let error = content(&forged(told, algorithm, chunks)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    const CHUNK: usize = 256 << 10;
    let bytes = text(1000);
    let packed = zstd::bulk::compress(&bytes, 3).unwrap();
    let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
    let told = |len| Told { len, checksum: Checksum::of(&bytes) };
    assert_eq!(content(&forged(told(1000), Algorithm::Zstd, &[(1000, &packed)])).unwrap(), bytes);
    assert_eq!(content(&forged(told(1000), Algorithm::Zstd, &[(1000, &bytes)])).unwrap(), bytes);
    // The length of all, of a chunk, and what is in it, do not agree.
    check(told(u64::MAX), Algorithm::Zstd, &[(1000, &packed)]);
    check(told(u64::MAX), Algorithm::Zstd, &[(CHUNK, &bomb[..CHUNK.min(bomb.len())])]);
    check(told(u64::MAX), Algorithm::Zstd, &[]);
    check(told(999), Algorithm::Zstd, &[(1000, &packed)]);
    check(told(999), Algorithm::Zstd, &[(999, &packed)]);
    check(told(1001), Algorithm::Zstd, &[(1001, &packed)]);
    check(told(1000), Algorithm::Zstd, &[(1000, &packed), (1000, &packed)]);
    check(told(1000), Algorithm::Zstd, &[(1000, &bomb)]);
    check(told(1000), Algorithm::Zstd, &[(1000, &bytes[..900])]);
    check(told(1000), Algorithm::Zstd, &[(1000, &[])]);
    check(told(1000), Algorithm::Stored, &[(1000, &packed)]);
    check(told(1000), Algorithm::Zstd, &[(1000, &text(1001)[1..])]);
}

#[tokio::test]
async fn frame_of_a_newer_version_is_unsupported_and_stays() {
    let toy = Toy::default();
    let store = Compressed::new(toy.clone());
    let mut frame = forged(Told { len: 1, checksum: Checksum::of(b"x") }, Algorithm::Zstd, &[(1, b"x")]);
    frame[8] = 2;
    let sum = xxhash_rust::xxh3::xxh3_64(&frame[..40]).to_le_bytes();
    frame[40..48].copy_from_slice(&sum);
    toy.put_bytes(&key(), frame.clone().into()).await.unwrap();
    let errors = [
        store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap_err(),
        store.get_entry(&key(), GetOptions::default()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.store()), (ErrorKind::Unsupported, "toy"));
        assert!(error.to_string().contains("version 2"), "{error}");
    }
    assert_eq!(toy.get_bytes(&key(), &BlobName::DATA).await.unwrap().unwrap(), frame);
    assert_eq!(store.metrics().errors, 2);
}

#[tokio::test]
async fn damage_that_cannot_be_dropped_is_told_with_the_reason() {
    let mut toy = Toy::default();
    toy.stuck = vec![key().digest];
    toy.put_bytes(&key(), Bytes::from_static(b"\x9eCZBLOB\x1a and nothing else")).await.unwrap();
    let error = Compressed::new(toy).get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn errors_of_the_store_below_pass() {
    let store = Compressed::new(Toy::default().with_fault(Fault::Corrupt));
    let get = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.map(|_| ());
    let put = store.put_bytes(&key(), text(1000)).await.map(|_| ());
    let meta = store.meta(&key()).await.map(|_| ());
    for answer in [get, put, meta, store.evict(&key()).await, store.contains(&key()).await.map(|_| ())] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Corrupt);
    }
    assert_eq!((store.metrics().misses, store.metrics().put_errors), (1, 1));
}

#[test]
fn large_blobs_are_compressed_without_a_runtime() {
    let options = CompressOptions::default();
    let stored = store_bytes(text(900_000), options).now_or_never().unwrap().unwrap();
    assert!(stored.len() < 300_000);
    assert_eq!(content(&stored).unwrap(), text(900_000));
    let stream = stream::iter([Ok(text(900_000))]).boxed();
    let PutBlob::Stream { len: None, stream } =
        store_stream(Some(900_000), stream, options).now_or_never().unwrap().unwrap()
    else {
        panic!("a long stream becomes an open frame");
    };
    let frame = collect_capped(stream, u64::MAX).now_or_never().unwrap().unwrap();
    assert!(frame.len() < 300_000 && frame.len() > HEADER_BYTES + FOOTER_BYTES);
    assert_eq!(content(&frame).unwrap(), text(900_000));
}

#[tokio::test]
async fn long_streams_are_read_no_further_than_needed() {
    let read = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&read);
    let tail = stream::once(async move {
        seen.store(true, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Unavailable, "source", "read"))
    });
    let source = stream::iter([Ok(text(1 << 20))]).chain(tail).boxed();
    let PutBlob::Stream { mut stream, .. } =
        store_stream(None, source, CompressOptions::default()).await.unwrap()
    else {
        panic!("a long stream becomes an open frame");
    };
    for _ in 0..4 {
        stream.next().await.unwrap().unwrap();
    }
    assert!(!read.load(Ordering::Relaxed));
    let error = collect_capped(stream, u64::MAX).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Unavailable, "source"));
}

#[tokio::test]
async fn small_frame_of_much_content_is_answered_as_a_stream() {
    let store = Compressed::new(Toy::default());
    store.put_bytes(&key(), vec![0; 20 << 20].into()).await.unwrap();
    let blob = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!((blob.len(), blob.bytes()), (20 << 20, None));
    let mut pieces = blob.into_stream();
    assert!(pieces.next().await.unwrap().unwrap().len() <= 128 << 10);
    let range = crate::ByteRange::new(19 << 20, Some((19 << 20) + 10)).unwrap();
    let part = store.get(&key(), &BlobName::DATA, GetOptions::default().with_range(range)).await;
    assert_eq!(part.unwrap().unwrap().bytes().unwrap(), &Bytes::from_static(&[0; 10]));
}
