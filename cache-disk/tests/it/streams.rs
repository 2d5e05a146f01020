//! Large blobs stream in and out in bounded memory, and ranges read only what they touch.

use bytes::Bytes;
use cache_core::{
    BlobName, ByteRange, ByteStream, CleanPolicy, GetOptions, Namespace, PutEntry, PutOptions, Store,
    StoreExt,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{key, open};

const PIECE: usize = 100_000;

fn piece(number: u64) -> Bytes {
    Bytes::from((0..PIECE as u64).map(|at| (at ^ (number * 31)) as u8).collect::<Vec<u8>>())
}

fn pieces(count: u64) -> ByteStream {
    stream::iter((0..count).map(|number| Ok(piece(number)))).boxed()
}

#[tokio::test]
async fn a_blob_of_64_mb_streams_in_and_out_in_pieces_of_at_most_1_mib() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let count = 640;
    let entry = PutEntry::default().with_stream(BlobName::DATA, Some(count * PIECE as u64), pieces(count));
    assert!(store.put(&key("large"), entry, PutOptions::default()).await.unwrap().is_stored());
    let blob = store.get(&key("large"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(blob.len(), count * PIECE as u64);
    assert!(blob.bytes().is_none() && blob.checksum().is_some());
    let mut expected = (0..count).flat_map(|number| piece(number).to_vec());
    let mut largest = 0;
    let mut stream = blob.into_stream();
    while let Some(bytes) = stream.try_next().await.unwrap() {
        largest = largest.max(bytes.len());
        assert!(bytes.iter().all(|byte| expected.next() == Some(*byte)));
    }
    assert_eq!(expected.next(), None);
    assert!(largest <= 1 << 20, "a piece of {largest} bytes");
}

#[tokio::test]
async fn ranges_across_blocks_are_slices() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let whole: Vec<u8> = (0..5).flat_map(|number| piece(number).to_vec()).collect();
    store.put_bytes(&key("a"), whole.clone().into()).await.unwrap();
    for (start, end) in
        [(0, 1), (65_535, 65_537), (65_536, 131_072), (10, 499_999), (131_072, 500_000), (499_999, 500_000)]
    {
        let range = ByteRange::new(start, Some(end)).unwrap();
        let expected = &whole[start as usize..end as usize];
        let in_hand = store.get_range(&key("a"), &BlobName::DATA, range).await.unwrap().unwrap();
        assert_eq!(in_hand, expected, "{start}..{end}");
        let options = GetOptions::default().with_range(range).with_stream_above(0);
        let streamed = store.get(&key("a"), &BlobName::DATA, options).await.unwrap().unwrap();
        assert_eq!((streamed.len(), streamed.total_len()), (end - start, 500_000));
        assert_eq!(streamed.collect(1 << 20).await.unwrap(), expected, "{start}..{end} as a stream");
    }
}

#[tokio::test]
async fn an_open_stream_outlives_the_eviction_of_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces(50));
    store.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    let options = GetOptions::default().with_stream_above(0);
    let blob = store.get(&key("a"), &BlobName::DATA, options).await.unwrap().unwrap();
    let mut stream = blob.into_stream();
    let first = stream.try_next().await.unwrap().unwrap();
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    let rest: usize = stream
        .map_ok(|bytes| bytes.len())
        .try_fold(0, |sum, len| async move { Ok(sum + len) })
        .await
        .unwrap();
    assert_eq!(first.len() + rest, 50 * PIECE);
}
