//! Large blobs through the whole store: what readers get while they are replaced, and what is left of them.

mod operations;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use cache_core::{
    Blob, ByteStream, CleanPolicy, ErrorKind, KeyManagement, Namespace, PutMode, PutOptions, StoreExt,
};
use futures::TryStreamExt;
use redb::ReadableTableMetadata;

use super::*;
use crate::{
    chunks::{CHUNK, CHUNKS, LOOSE},
    writer::Writer,
};

const LEN: usize = 11 * CHUNK + 77;
/// Of a blob of that length.
const CHUNKS_OF_ONE: u64 = 12;

fn streamed(bytes: &Bytes) -> PutEntry {
    PutEntry::default().with_stream(BlobName::DATA, None, in_pieces(bytes))
}

fn in_pieces(bytes: &Bytes) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn put(store: &RedbStore, number: u64, bytes: &Bytes) {
    put_as(store, number, bytes, PutMode::Replace).await;
}

async fn put_as(store: &RedbStore, number: u64, bytes: &Bytes, mode: PutMode) {
    let mut options = PutOptions::default();
    options.mode = mode;
    assert!(store.put(&key("", number), streamed(bytes), options).await.unwrap().is_stored());
}

async fn get(store: &RedbStore, number: u64) -> Option<Blob> {
    let options = GetOptions::default().with_stream_above(1);
    store.get(&key("", number), &BlobName::DATA, options).await.unwrap()
}

/// Takes what a stream has next.
async fn next(stream: &mut ByteStream) -> Option<Result<Bytes, ErrorKind>> {
    stream.next().await.map(|piece| piece.map_err(|error| error.kind()))
}

/// How many chunks there are once none of them is loose.
async fn chunks_left(store: &RedbStore) -> u64 {
    for _ in 0..5_000 {
        let (chunks, loose) = rows(store);
        if loose == 0 {
            return chunks;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("loose chunks stay: {:?}", rows(store))
}

fn rows(store: &RedbStore) -> (u64, u64) {
    let snapshot = store.engine().snapshot().unwrap();
    let chunks = snapshot.tx.open_table(CHUNKS).unwrap().len().unwrap();
    (chunks, snapshot.tx.open_table(LOOSE).unwrap().len().unwrap())
}

/// Does something with the writer while it rests.
async fn with_writer<T>(store: &RedbStore, work: impl FnOnce(&Writer) -> T) -> T {
    loop {
        if let Some(writer) = store.engine().unpark() {
            let done = work(&writer);
            store.engine().park(writer);
            return done;
        }
        tokio::task::yield_now().await;
    }
}

/// Removes a chunk of every large blob.
async fn remove_chunk(store: &RedbStore, index: u32) {
    let remove = |transaction: &redb::WriteTransaction| {
        let mut chunks = transaction.open_table(CHUNKS).unwrap();
        chunks.retain(|key, _| key.1 != index).unwrap();
    };
    with_writer(store, |writer| writer.tamper(store.engine(), remove)).await.unwrap();
}

#[test]
fn whatever_takes_a_large_blob_away_takes_its_chunks() {
    block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        let (old, new) = (bytes(1, LEN), bytes(2, CHUNK + 1));
        put(&store, 1, &old).await;
        assert_eq!(rows(&store), (CHUNKS_OF_ONE, 0));
        put(&store, 1, &new).await;
        assert_eq!(chunks_left(&store).await, 2);
        put_as(&store, 1, &old, PutMode::Merge).await;
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
        // What is there already stays, and what came is not wanted.
        put_as(&store, 1, &new, PutMode::Fill).await;
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
        put_as(&store, 1, &old, PutMode::Fill).await;
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
        store.put_bytes(&key("", 1), "small".into()).await.unwrap();
        assert_eq!(chunks_left(&store).await, 0);
        put(&store, 1, &old).await;
        store.evict(&key("", 1)).await.unwrap();
        assert_eq!(chunks_left(&store).await, 0);
        put(&store, 1, &old).await;
        store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
        assert_eq!(chunks_left(&store).await, 0);
    });
}

#[test]
fn uploads_that_come_to_nothing_leave_no_chunks() {
    block_on(async {
        let options = options().with_max_bytes(2 * LEN as u64).with_max_blob_bytes(LEN as u64);
        let store = open_as(&MemoryMedium::new(), options).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let cut = |end| in_pieces(&bytes(2, LEN)).take(100).chain(end).boxed();
        let failing = cut(stream::iter([Err(cache_core::Error::new(ErrorKind::Timeout, "", ""))]).boxed());
        let failed = PutEntry::default().with_stream(BlobName::DATA, None, failing);
        let failed = store.put(&key("", 2), failed, PutOptions::default()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Timeout);
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);

        let endless = PutEntry::default().with_stream(BlobName::DATA, None, cut(stream::pending().boxed()));
        let second = key("", 2);
        let put = store.put(&second, endless, PutOptions::default());
        assert!(tokio::time::timeout(Duration::from_millis(100), put).await.is_err());
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);

        let too_large = streamed(&bytes(3, LEN + 1));
        let failed = store.put(&key("", 2), too_large, PutOptions::default()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::TooLarge);
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);

        let names = ["a", "b", "c"].map(|name| BlobName::new(name).unwrap());
        let over = names.into_iter().fold(PutEntry::default(), |entry, name| {
            entry.with_stream(name, None, in_pieces(&bytes(4, LEN)))
        });
        let refused = store.put(&key("", 2), over, PutOptions::default()).await.unwrap();
        assert!(!refused.is_stored());
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
    });
}

#[test]
fn an_empty_stream_beside_many_blobs_is_no_upload() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        let in_hand =
            (0..10).map(|number| (BlobName::new(format!("a{number}")).unwrap(), bytes(number, 250_000)));
        let entry = in_hand
            .fold(PutEntry::default(), |entry, (name, bytes)| entry.with_blob(name, PutBlob::Bytes(bytes)));
        let entry = entry.with_stream(BlobName::new("empty").unwrap(), None, stream::empty().boxed());
        assert!(store.put(&key("", 1), entry, PutOptions::default()).await.unwrap().is_stored());
        assert_eq!(rows(&store), (0, 0));
        let found = store.get_bytes(&key("", 1), &BlobName::new("empty").unwrap()).await.unwrap();
        assert_eq!(found, Some(Bytes::new()));
        // So it has no number that another one could have, too.
        store.close(None).await.unwrap();
        drop(store);
        let store = open(&medium).await.unwrap();
        store.flush().await.unwrap();
        with_writer(&store, |_| ()).await;
        store.close(None).await.unwrap();
        drop(store);
        let store = open(&medium).await.unwrap();
        put(&store, 2, &bytes(2, LEN)).await;
        store.evict(&key("", 1)).await.unwrap();
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
    });
}

#[test]
fn an_upload_that_a_store_dies_in_is_swept_by_the_next() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let uploaded = key("", 2);
        let endless = PutEntry::default().with_stream(
            BlobName::DATA,
            None,
            in_pieces(&bytes(2, LEN)).take(100).chain(stream::pending()).boxed(),
        );
        let mut upload = Box::pin(store.put(&uploaded, endless, PutOptions::default()));
        while rows(&store).1 == 0 {
            _ = tokio::time::timeout(Duration::from_millis(1), &mut upload).await;
        }
        store.flush().await.unwrap();
        medium.crash();
        let after = open(&medium).await.unwrap();
        after.flush().await.unwrap();
        assert_eq!(chunks_left(&after).await, CHUNKS_OF_ONE);
        assert!(after.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap().unwrap() == bytes(1, LEN));
        assert!(!after.contains(&uploaded).await.unwrap());
    });
}

#[test]
fn open_streams_go_on_while_their_entry_is_replaced_and_evicted() {
    block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        let old = bytes(1, LEN);
        put(&store, 1, &old).await;
        let mut one = get(&store, 1).await.unwrap().into_stream();
        let first = one.next().await.unwrap().unwrap();
        put(&store, 1, &bytes(2, LEN)).await;
        let two = get(&store, 1).await.unwrap().into_stream();
        store.evict(&key("", 1)).await.unwrap();
        for number in 2..40 {
            store.put_bytes(&key("", number), bytes(number, 1000)).await.unwrap();
        }
        store.flush().await.unwrap();
        assert_eq!(rows(&store), (2 * CHUNKS_OF_ONE, 2));
        let rest: Vec<Bytes> = one.try_collect().await.unwrap();
        assert!([first].into_iter().chain(rest).collect::<Vec<_>>().concat() == old);
        let two: Vec<Bytes> = two.try_collect().await.unwrap();
        assert!(two.concat() == bytes(2, LEN));
        assert_eq!(chunks_left(&store).await, 0);
        assert_eq!(store.metrics().corrupt, 0);
    });
}

#[test]
fn damage_midway_ends_the_stream_and_drops_the_entry() {
    block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let mut stream = get(&store, 1).await.unwrap().into_stream();
        assert!(next(&mut stream).await.unwrap().is_ok());
        remove_chunk(&store, 9).await;
        assert!(next(&mut stream).await.unwrap().is_ok());
        assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Corrupt)));
        assert_eq!(next(&mut stream).await, None);
        drop(stream);
        // After all that was asked before.
        store.flush().await.unwrap();
        assert_eq!(chunks_left(&store).await, 0);
        assert!(get(&store, 1).await.is_none());
        assert_eq!(store.metrics().corrupt, 1);
    });
}

#[test]
fn damage_of_a_version_that_was_replaced_leaves_the_new_one() {
    block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let mut stream = get(&store, 1).await.unwrap().into_stream();
        assert!(next(&mut stream).await.unwrap().is_ok());
        remove_chunk(&store, 9).await;
        put(&store, 1, &bytes(2, LEN)).await;
        assert!(next(&mut stream).await.unwrap().is_ok());
        assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Corrupt)));
        drop(stream);
        store.flush().await.unwrap();
        assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
        let read = store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap().unwrap();
        assert!(read == bytes(2, LEN));
    });
}

#[test]
fn a_stream_ends_in_its_bytes_or_in_an_error_wherever_what_lies_below_fails() {
    block_on(async {
        let mut failed = 0;
        for nth in (1..60).step_by(if is_long() { 1 } else { 2 }) {
            let medium = MemoryMedium::new().with_cache_bytes(0);
            let store = open(&medium).await.unwrap();
            put(&store, 1, &bytes(1, LEN)).await;
            store.flush().await.unwrap();
            let mut stream = get(&store, 1).await.unwrap().into_stream();
            let mut read = next(&mut stream).await.unwrap().unwrap().to_vec();
            medium.fail(nth);
            let mut end = None;
            while let Some(piece) = next(&mut stream).await {
                match piece {
                    Ok(piece) => read.extend_from_slice(&piece),
                    Err(kind) => end = Some(kind),
                }
            }
            assert!(bytes(1, LEN).starts_with(&read), "operation {nth}");
            match end {
                None => assert_eq!(read.len(), LEN),
                Some(kind) => {
                    failed += 1;
                    assert_eq!(kind, ErrorKind::Unavailable, "operation {nth}");
                }
            }
            medium.fail(0);
            drop(stream);
            // It was flushed: it is there again.
            let whole = store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap().unwrap();
            assert!(whole == bytes(1, LEN), "operation {nth}");
            assert_eq!(chunks_left(&store).await, CHUNKS_OF_ONE);
        }
        assert!(failed > 3, "{failed} streams failed");
    });
}

#[test]
fn an_upload_is_whole_or_fails_wherever_what_lies_below_fails() {
    block_on(async {
        let (mut failed, mut stored) = (0, 0);
        for nth in (1..400).step_by(if is_long() { 1 } else { 9 }) {
            let medium = MemoryMedium::new().with_cache_bytes(0);
            let store = open(&medium).await.unwrap();
            medium.fail(nth);
            let put = store.put(&key("", 1), streamed(&bytes(1, LEN)), PutOptions::default()).await;
            medium.fail(0);
            let read = store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap();
            match put {
                Ok(outcome) => {
                    assert!(outcome.is_stored());
                    stored += 1;
                }
                Err(_) => failed += 1,
            }
            // What was stored may be lost if the failure came after it, and nothing else may be read.
            assert!(read.is_none_or(|read| read == bytes(1, LEN)), "operation {nth}");
            let chunks = chunks_left(&store).await;
            let is_there = store.contains(&key("", 1)).await.unwrap();
            assert_eq!(chunks, if is_there { CHUNKS_OF_ONE } else { 0 }, "operation {nth}");
            assert_eq!(store.metrics().corrupt, 0, "operation {nth}");
        }
        assert!(failed > 5 && stored > 5, "{failed} failed, {stored} were stored");
    });
}

/// Each version is one byte over and over, so that two of them in one read are seen.
#[test]
fn readers_beside_a_writer_see_whole_versions_and_nothing_is_left() {
    const VERSIONS: u64 = 120;
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        let of = |version: u64| Bytes::from(vec![version as u8; 5 * CHUNK + version as usize]);
        put(&store, 1, &of(0)).await;
        let is_done = AtomicBool::new(false);
        let whole = AtomicU64::new(0);
        let read = async |store: RedbStore, by_entry: bool| {
            while !is_done.load(Ordering::Relaxed) {
                let options = GetOptions::default().with_stream_above(1);
                let blob = if by_entry {
                    let entry = store.get_entry(&key("", 1), options).await.unwrap().unwrap();
                    entry.blobs.into_iter().next().unwrap().1
                } else {
                    get(&store, 1).await.unwrap()
                };
                let (len, mut read, mut stream) = (blob.len(), 0, blob.into_stream());
                let version = (len - 5 * CHUNK as u64) as u8;
                while let Some(piece) = stream.next().await {
                    let piece = piece.unwrap();
                    assert!(piece.iter().all(|byte| *byte == version));
                    read += piece.len() as u64;
                    tokio::task::yield_now().await;
                }
                assert_eq!(read, len);
                whole.fetch_add(1, Ordering::Relaxed);
            }
        };
        let write = async {
            for version in 1..=VERSIONS {
                put(&store, 1, &of(version)).await;
                tokio::task::yield_now().await;
            }
            is_done.store(true, Ordering::Relaxed);
        };
        futures::join!(
            write,
            read(store.clone(), false),
            read(store.clone(), false),
            read(store.clone(), true)
        );
        assert!(whole.load(Ordering::Relaxed) > 10, "{whole:?} reads");
        assert_eq!(chunks_left(&store).await, 6);
        assert_eq!(store.metrics().corrupt, 0);
        store.close(None).await.unwrap();
    });
}

#[test]
fn a_closed_store_ends_its_streams() {
    block_on(async {
        let store = open(&MemoryMedium::new()).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let mut stream = get(&store, 1).await.unwrap().into_stream();
        assert!(next(&mut stream).await.unwrap().is_ok());
        store.close(None).await.unwrap();
        assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Closed)));
        assert_eq!(next(&mut stream).await, None);
    });
}

#[test]
fn a_stream_keeps_no_store_open() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        put(&store, 1, &bytes(1, LEN)).await;
        let mut stream = get(&store, 1).await.unwrap().into_stream();
        assert!(next(&mut stream).await.unwrap().is_ok());
        drop(store);
        assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Closed)));
        let again = open(&medium).await.unwrap();
        assert!(again.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap().unwrap() == bytes(1, LEN));
    });
}
