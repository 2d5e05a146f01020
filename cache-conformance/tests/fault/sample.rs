//! A store that works, and what the tests put into it.

use std::sync::Arc;

use bytes::Bytes;
use cache_conformance::{Factory, Reference, Setup};
use cache_core::{
    BlobName, ByteStream, Digest, GetOptions, Key, ListOptions, Namespace, PutEntry, PutOptions, Result,
    Store, StoreExt,
};
use futures::{StreamExt, TryStreamExt, stream};

/// A correct store.
pub(crate) async fn correct(setup: &Setup) -> Result<Arc<dyn Store>> {
    Reference::volatile().open(setup).await
}

/// A correct store without limits.
pub(crate) async fn store() -> Arc<dyn Store> {
    correct(&Setup::default()).await.unwrap()
}

pub(crate) fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

pub(crate) fn name(name: &str) -> BlobName {
    BlobName::new(name).unwrap()
}

/// 100,000 bytes in which each part is unlike the others.
pub(crate) fn large() -> Bytes {
    (0..25_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// The bytes in pieces of 10,000.
pub(crate) fn streamed(bytes: &Bytes) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(10_000).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    stream::iter(pieces).boxed()
}

/// Streams one blob in.
pub(crate) async fn put_stream(store: &impl Store, key: &Key, bytes: &Bytes) -> Result<()> {
    let entry = PutEntry::default().with_stream(BlobName::DATA, Some(bytes.len() as u64), streamed(bytes));
    store.put(key, entry, PutOptions::default()).await.map(drop)
}

/// Reads one blob as a stream.
pub(crate) async fn read_stream(store: &impl Store, key: &Key) -> Result<Bytes> {
    let blob = store.get(key, &BlobName::DATA, GetOptions::default().with_stream_above(0)).await?.unwrap();
    assert!(blob.bytes().is_none(), "it is in hand");
    let pieces: Vec<Bytes> = blob.into_stream().try_collect().await?;
    Ok(pieces.concat().into())
}

pub(crate) async fn read(store: &impl Store, key: &Key) -> Option<Bytes> {
    store.get_bytes(key, &BlobName::DATA).await.unwrap()
}

/// Makes each of the calls that can fail once, `close` last: which of them did.
pub(crate) async fn each_call(store: &impl Store) -> Vec<&'static str> {
    let (a, root) = (key("a"), Namespace::root());
    let stream = stream::iter([Ok(Bytes::from_static(b"v"))]).boxed();
    let streams = PutEntry::default().with_stream(BlobName::DATA, None, stream);
    let options = GetOptions::default();
    let listed: Result<Vec<_>> = store.list(ListOptions::default()).try_collect().await;
    let calls = [
        ("put", store.put(&a, PutEntry::data("v"), PutOptions::default()).await.map(drop)),
        ("put stream", store.put(&a, streams, PutOptions::default()).await.map(drop)),
        ("contains", store.contains(&a).await.map(drop)),
        ("list", listed.map(drop)),
        ("get", store.get(&a, &BlobName::DATA, options.clone()).await.map(drop)),
        ("get_entry", store.get_entry(&a, options).await.map(drop)),
        ("meta", store.meta(&a).await.map(drop)),
        ("usage", store.usage(&root).await.map(drop)),
        ("clean", store.clean(&root, &Default::default()).await.map(drop)),
        ("evict", store.evict(&a).await),
        ("flush", store.flush().await.map(drop)),
        ("close", store.close(None).await.map(drop)),
    ];
    calls.into_iter().filter(|(_, result)| result.is_err()).map(|(call, _)| call).collect()
}
