#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use super::*;
use crate::toy::{Toy, in_hand, payload};

const CHUNK64: u64 = CHUNK as u64;

/// A blob in chunks, whatever its length.
async fn stored(len: usize) -> std::sync::Arc<Toy> {
    let toy = Toy::new();
    toy.put("data", in_hand(payload(len))).await.unwrap();
    toy
}

fn assert_damaged(read: Result<Bytes>, what: &str) {
    assert_eq!(read.map_err(|error| error.kind()), Err(ErrorKind::Corrupt), "{what}");
}

#[tokio::test]
async fn blobs_of_all_lengths_around_borders_are_read() {
    for len in [
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        4 * BLOCK_BYTES,
        4 * BLOCK_BYTES + 1,
        5 * BLOCK_BYTES - 1,
        2 * CHUNK - 1,
        2 * CHUNK,
        2 * CHUNK + 1,
        4 * CHUNK,
        4 * CHUNK + 1,
        5 * CHUNK - 1,
        9 * CHUNK + 77,
        32 * BLOCK_BYTES,
    ] {
        let toy = stored(len).await;
        let read = toy.read("data", 0..len as u64).unwrap();
        assert!(read == payload(len), "{len} bytes");
    }
}

#[tokio::test]
async fn ranges_around_borders_are_read() {
    let len = 3 * CHUNK64 + 1234;
    let (toy, whole) = (stored(len as usize).await, payload(len as usize));
    let borders = (0..=3).map(|n| n * CHUNK64).chain((0..=12).map(|n| n * BLOCK)).chain([len]);
    let mut offsets: Vec<u64> =
        borders.flat_map(|at| [at.saturating_sub(1), at, at + 1]).filter(|at| *at <= len).collect();
    offsets.sort_unstable();
    offsets.dedup();
    for (n, start) in offsets.iter().enumerate() {
        for end in offsets.iter().skip(n) {
            let read = toy.read("data", *start..*end).unwrap();
            assert!(read == whole[*start as usize..*end as usize], "{start}..{end}");
        }
    }
}

#[tokio::test]
async fn an_aligned_range_is_read_into_one_buffer() {
    let toy = stored(3 * CHUNK).await;
    let read = toy.read("data", BLOCK..3 * BLOCK).unwrap();
    // Neither is there more behind it, nor was it copied: a slice could not be taken back whole.
    let read = read.try_into_mut().unwrap();
    assert_eq!((read.len(), read.capacity()), (2 * BLOCK_BYTES, 2 * BLOCK_BYTES));
}

#[tokio::test]
async fn damage_of_any_chunk_is_told_and_no_other_range_is_harmed() {
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let len = 3 * CHUNK + 500;
    let whole = payload(len);
    let damages: [(&str, Damage); 6] = [
        ("removed", |_| None),
        ("emptied", |_| Some(Vec::new())),
        ("cut", |mut chunk| {
            chunk.pop();
            Some(chunk)
        }),
        ("grown", |mut chunk| {
            chunk.push(0);
            Some(chunk)
        }),
        ("first bit flipped", |mut chunk| {
            chunk[0] ^= 1;
            Some(chunk)
        }),
        ("last bit flipped", |mut chunk| {
            *chunk.last_mut().unwrap() ^= 0x80;
            Some(chunk)
        }),
    ];
    for index in 0..4 {
        for (what, damage) in &damages {
            let toy = Toy::new();
            toy.put("data", in_hand(whole.clone())).await.unwrap();
            let id = toy.stub("data").id;
            toy.tamper(|chunks| {
                let chunk = chunks.get((id, index)).unwrap().unwrap().value().to_vec();
                match damage(chunk) {
                    Some(chunk) => drop(chunks.insert((id, index), &*chunk).unwrap()),
                    None => drop(chunks.remove((id, index)).unwrap()),
                }
            });
            let what = format!("chunk {index} {what}");
            assert_damaged(toy.read("data", 0..len as u64), &what);
            let start = u64::from(index) * CHUNK64;
            let end = (start + CHUNK64).min(len as u64);
            let ends = [start, end - 1].map(|at| toy.read("data", at..at + 1).is_err());
            // A flipped bit harms one block.
            let harmed = [!what.contains("last bit"), !what.contains("first bit") || end - start < BLOCK];
            assert!(ends == harmed || ends == [true, true] && end - start < BLOCK, "{what}: {ends:?}");
            for at in [0, CHUNK64 + BLOCK, 2 * CHUNK64 + BLOCK, len as u64 - 1] {
                // The block must not reach into the damaged chunk.
                let block = at / BLOCK * BLOCK..(at / BLOCK + 1) * BLOCK;
                if (block.start / CHUNK64..=(block.end - 1) / CHUNK64).contains(&u64::from(index)) {
                    continue;
                }
                let read = toy.read("data", at..at + 1).unwrap();
                assert_eq!(read, whole[at as usize..=at as usize], "{what}, byte {at}");
            }
        }
    }
}

#[tokio::test]
async fn chunks_in_each_others_places_are_damage() {
    let len = 4 * CHUNK;
    for (one, other) in [(0, 1), (0, 3), (1, 2)] {
        let toy = stored(len).await;
        let id = toy.stub("data").id;
        toy.tamper(|chunks| {
            let chunk = |index| chunks.get((id, index)).unwrap().unwrap().value().to_vec();
            let (first, second) = (chunk(one), chunk(other));
            chunks.insert((id, one), &*second).unwrap();
            chunks.insert((id, other), &*first).unwrap();
        });
        for index in [one, other] {
            let start = u64::from(index) * CHUNK64;
            assert_damaged(toy.read("data", start..start + CHUNK64), "a swapped chunk");
        }
    }
}

#[tokio::test]
async fn chunks_of_another_blob_are_damage() {
    let toy = stored(2 * CHUNK).await;
    let other = payload(2 * CHUNK + 1).slice(1..);
    toy.put("other", in_hand(other)).await.unwrap();
    let mut stub = toy.stub("data");
    stub.id = toy.stub("other").id;
    let blob = LargeBlob::open(&crate::toy::key(), &BlobName::DATA, &stub).unwrap();
    let snapshot = crate::stream::StreamSource::snapshot(&*toy).unwrap();
    let chunks = crate::stream::ChunkSnapshot::chunks(&*snapshot);
    assert_damaged(blob.read(chunks, 0..1).unwrap(), "another blob's chunk");
    stub.id += 100;
    let blob = LargeBlob::open(&crate::toy::key(), &BlobName::DATA, &stub).unwrap();
    assert_damaged(blob.read(chunks, 0..1).unwrap(), "nobody's chunk");
}

#[tokio::test]
async fn a_length_that_no_memory_has_is_refused() {
    let toy = stored(2 * CHUNK).await;
    let (blob, snapshot) = (toy.large_blob("data"), crate::stream::StreamSource::snapshot(&*toy).unwrap());
    let chunks = crate::stream::ChunkSnapshot::chunks(&*snapshot);
    // Ranges end at the blob's end: nothing is allocated beyond it.
    let read = blob.read(chunks, 0..u64::MAX).unwrap().unwrap();
    assert_eq!(read.len(), 2 * CHUNK);
    assert_eq!(empty_buffer(u64::MAX).unwrap_err().kind(), ErrorKind::TooLarge);
}
