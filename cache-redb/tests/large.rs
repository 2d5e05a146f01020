//! A blob much larger than the memory that it may take: 512 MiB, or 4 GiB if `CACHE_REDB_LONG` is 1.
//!
//! A process of its own in which nothing else happens, for its memory is counted.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test may fail")]

use bytes::Bytes;
use cache_core::{
    BlobName, ByteRange, ByteStream, Digest, GetOptions, Key, PutEntry, PutOptions, Store, StoreExt,
};
use cache_redb::{RedbOptions, RedbStore};
use futures::{StreamExt, TryStreamExt, stream};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const MIB: u64 = 1 << 20;
/// Every MiB of the blob is a window of so many places into the same bytes.
const WINDOWS: u64 = 65_521;
const MOST: usize = 32 << 20;

/// What the blob is made of.
struct Source(Bytes);

impl Source {
    fn new() -> Self {
        let bytes =
            (0..(MIB + WINDOWS) / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Self(bytes.collect())
    }

    /// One MiB of the blob, without a copy.
    fn piece(&self, number: u64) -> Bytes {
        let start = (number * 7919 % WINDOWS) as usize & !7;
        self.0.slice(start..start + MIB as usize)
    }

    fn stream(&self, len: u64) -> ByteStream {
        let source = Self(self.0.clone());
        stream::iter((0..len / MIB).map(move |number| Ok(source.piece(number)))).boxed()
    }

    /// Whether these are the bytes at an offset.
    fn has(&self, mut offset: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (piece, within) = (self.piece(offset / MIB), (offset % MIB) as usize);
            let (part, rest) = bytes.split_at(bytes.len().min(piece.len() - within));
            if piece.slice(within..within + part.len()) != part {
                return false;
            }
            offset += part.len() as u64;
            bytes = rest;
        }
        true
    }
}

/// The bytes that this process has read from files so far.
#[cfg(target_os = "linux")]
fn read_so_far() -> u64 {
    let counted = std::fs::read_to_string("/proc/self/io").unwrap();
    counted.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[cfg(not(target_os = "linux"))]
fn read_so_far() -> u64 {
    0
}

#[expect(clippy::disallowed_methods, reason = "the one place of this test that reads the environment")]
fn blob_len() -> u64 {
    if std::env::var_os("CACHE_REDB_LONG").is_some_and(|long| long == "1") { 4096 * MIB } else { 512 * MIB }
}

#[tokio::test]
async fn a_large_blob_streams_in_and_out_in_less_than_32_mib_and_its_ranges_are_seeks() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let (len, source) = (blob_len(), Source::new());
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::open(RedbOptions::new(dir.path().join("large.redb")).with_cache_bytes(4 << 20))
        .await
        .unwrap();
    let (key, data) = (Key::from(Digest::of("large")), BlobName::DATA);
    let before = dhat::HeapStats::get().curr_bytes;

    let entry = PutEntry::default().with_stream(data.clone(), Some(len), source.stream(len));
    assert!(store.put(&key, entry, PutOptions::default()).await.unwrap().is_stored());

    let blob = store.get(&key, &data, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(blob.len(), len);
    let mut read = 0;
    let mut pieces = blob.into_stream();
    while let Some(piece) = pieces.try_next().await.unwrap() {
        assert!(source.has(read, &piece), "at {read}");
        read += piece.len() as u64;
    }
    assert_eq!(read, len);

    // The table of block sums is a part in 4096 of the blob.
    let most = len / 4096 + MIB;
    for (start, bytes) in [(0, 1), (len / 3, 100_000), (len / 2 - 1, 2), (len - 65_537, 65_537)] {
        let before = read_so_far();
        let range = ByteRange::new(start, Some(start + bytes)).unwrap();
        let part = store.get_range(&key, &data, range).await.unwrap().unwrap();
        assert!(part.len() as u64 == bytes && source.has(start, &part), "{start}");
        assert!(read_so_far() - before < most, "{} bytes read for {bytes}", read_so_far() - before);
    }

    let most = dhat::HeapStats::get().max_bytes - before;
    println!("{} MiB through {most} bytes of memory", len / MIB);
    assert!(most <= MOST, "{most} bytes of memory");
    store.close(None).await.unwrap();
}
