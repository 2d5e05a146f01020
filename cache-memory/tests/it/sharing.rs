use bytes::Bytes;
use cache_core::{
    BlobName, CleanPolicy, Digest, ErrorKind, GetOptions, Key, KeyManagement, Namespace, Store, StoreExt,
};
use cache_memory::{MemoryOptions, MemoryStore};

#[tokio::test]
async fn a_hit_hands_out_the_very_bytes_that_were_put() {
    let store = MemoryStore::open(MemoryOptions::default()).unwrap();
    let key = Key::from(Digest::of("k"));
    let bytes = Bytes::from(vec![7; 100]);
    store.put_bytes(&key, bytes.clone()).await.unwrap();
    let now = store.get_now(&key, &BlobName::DATA).unwrap();
    let later = store.get(&key, &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(now.as_ptr(), bytes.as_ptr());
    assert_eq!(later.bytes().unwrap().as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn accesses_are_counted_and_questions_are_not() {
    let store = MemoryStore::open(MemoryOptions::default()).unwrap();
    let key = Key::from(Digest::of("k"));
    store.put_bytes(&key, "v".into()).await.unwrap();
    store.get_now(&key, &BlobName::DATA).unwrap();
    store.get_bytes(&key, &BlobName::DATA).await.unwrap();
    store.contains(&key).await.unwrap();
    assert_eq!(store.meta(&key).await.unwrap().unwrap().access_count, Some(2));
}

#[tokio::test]
async fn evictions_are_counted_with_their_bytes() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    for n in 0..3_u8 {
        store.put_bytes(&Key::from(Digest::of([n])), vec![n; 50].into()).await.unwrap();
    }
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(50)).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.evictions, metrics.evicted_bytes), (2, 100));
    assert_eq!((metrics.entries, metrics.resident_bytes), (Some(1), Some(50)));
}

#[test]
fn a_bound_of_no_entries_is_invalid() {
    let refused = MemoryStore::open(MemoryOptions::default().with_max_entries(0));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}
