//! Random operations on entries of many blobs, large and small.

use std::collections::BTreeSet;

use redb::ReadableTable;

use super::*;
use crate::rows::EntryRow;

/// A blob of any kind: in hand or a stream, large or small, and some that fail.
fn any_blob(random: &mut fastrand::Rng) -> PutBlob {
    let len = random
        .choice([0, 10_000, 250_000, 250_000, 250_000, 300_000, CHUNK, 4 * CHUNK, 4 * CHUNK + 1, 1_300_000])
        .unwrap();
    let bytes = bytes(random.u64(..), len);
    match random.u32(0..10) {
        0..6 => PutBlob::Bytes(bytes),
        9 => {
            let end = stream::iter([Err(cache_core::Error::new(ErrorKind::Timeout, "", ""))]);
            PutBlob::Stream { len: None, stream: in_pieces(&bytes).chain(end).boxed() }
        }
        _ => PutBlob::Stream { len: None, stream: in_pieces(&bytes) },
    }
}

/// The numbers of large blobs that chunks have, and those that entries have.
fn numbers(store: &RedbStore) -> (BTreeSet<u64>, Vec<u64>) {
    let snapshot = store.engine().snapshot().unwrap();
    let chunks = snapshot.chunks.iter().unwrap().map(|row| row.unwrap().0.value().0).collect();
    let rows = snapshot.entries.iter().unwrap().map(|row| {
        let (key, row) = row.unwrap();
        EntryRow::decode(key.value(), row.value()).unwrap()
    });
    let mut ids: Vec<u64> = rows.flat_map(|row| row.blobs).filter_map(|blob| blob.id).collect();
    ids.sort_unstable();
    (chunks, ids)
}

#[test]
fn chunks_are_of_one_entry_each_whatever_was_done() {
    for seed in 0..if is_long() { 400 } else { 12 } {
        block_on(any_operations(seed));
    }
}

async fn any_operations(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let medium = MemoryMedium::new();
    let limits = || options().with_max_bytes(8 << 20);
    let mut store = open_as(&medium, limits()).await.unwrap();
    let mut streams: Vec<ByteStream> = Vec::new();
    for step in 0..60 {
        let number = random.u64(0..6);
        match random.u32(0..100) {
            0..55 => {
                let mut options = PutOptions::default();
                options.mode = random.choice([PutMode::Replace, PutMode::Merge, PutMode::Fill]).unwrap();
                let entry = (0..random.u32(1..14)).fold(PutEntry::default(), |entry, name| {
                    entry.with_blob(BlobName::new(format!("b{name}")).unwrap(), any_blob(&mut random))
                });
                let key = key("", number);
                let put = store.put(&key, entry, options);
                if random.u8(0..4) == 0 {
                    let soon = Duration::from_micros(random.u64(0..3_000));
                    _ = tokio::time::timeout(soon, put).await;
                } else if let Err(error) = put.await {
                    assert_eq!(error.kind(), ErrorKind::Timeout, "{seed}: {}", error.to_line());
                }
            }
            55..65 => store.evict(&key("", number)).await.unwrap(),
            65..80 => {
                let name = BlobName::new(format!("b{}", random.u32(0..14))).unwrap();
                let options = GetOptions::default().with_stream_above(1);
                if let Some(blob) = store.get(&key("", number), &name, options).await.unwrap() {
                    let mut stream = blob.into_stream();
                    _ = stream.next().await.transpose().unwrap();
                    streams.push(stream);
                }
            }
            80..88 => {
                if let Some(stream) = streams.pop() {
                    let _: Vec<Bytes> = stream.try_collect().await.unwrap();
                }
            }
            88..92 => drop(store.flush().await.unwrap()),
            92..95 => {
                let policy = CleanPolicy::default().with_max_bytes(4 << 20);
                store.clean(&Namespace::root(), &policy).await.unwrap();
            }
            _ => {
                streams.clear();
                store.close(None).await.unwrap();
                drop(store);
                store = open_as(&medium, limits()).await.unwrap();
            }
        }
        if step % 12 == 11 {
            streams.clear();
            store.flush().await.unwrap();
            chunks_left(&store).await;
            with_writer(&store, |_| ()).await;
            let (chunks, ids) = numbers(&store);
            assert_eq!(chunks.into_iter().collect::<Vec<_>>(), ids, "{seed}, {step}");
            for number in 0..6 {
                read(&store, &key("", number)).await.unwrap();
            }
            assert_eq!(store.metrics().corrupt, 0, "{seed}, {step}");
        }
    }
}
