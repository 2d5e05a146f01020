use bytes::Bytes;
use cache_core::{
    BlobName, CleanPolicy, Digest, ErrorKind, GetOptions, Key, KeyManagement, Namespace, PutEntry, PutMode,
    PutOptions, PutStatus, Refusal, Store, StoreExt,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::StreamExt;

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

fn pieces(count: usize, end: Option<cache_core::Error>) -> PutEntry {
    let pieces = (0..count).map(|_| Ok(Bytes::from(vec![7; 10]))).chain(end.map(Err)).collect::<Vec<_>>();
    PutEntry::default().with_stream(BlobName::DATA, None, futures::stream::iter(pieces).boxed())
}

#[tokio::test]
async fn a_stream_that_fails_leaves_the_older_value_also_when_memory_is_short() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let key = Key::from(Digest::of("k"));
    store.put_bytes(&key, vec![1; 60].into()).await.unwrap();
    let broken = pieces(3, Some(cache_core::Error::invalid("broke off")));
    assert!(store.put(&key, broken, PutOptions::default()).await.is_err());
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), vec![1; 60]);
    // Both together do not fit: the newer one is refused, and the older one is outdated.
    let outcome = store.put(&key, pieces(5, None), PutOptions::default()).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Refused(Refusal::NoRoom));
    assert!(!store.contains(&key).await.unwrap());
}

#[tokio::test]
async fn a_streamed_fill_that_is_refused_takes_nothing_away() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let key = Key::from(Digest::of("k"));
    let old = PutEntry::default().with(BlobName::new("a").unwrap(), vec![1; 60]);
    store.put(&key, old, PutOptions::default()).await.unwrap();
    let outcome = store.put(&key, pieces(5, None), PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert!(!outcome.is_stored());
    assert_eq!(store.meta(&key).await.unwrap().unwrap().bytes, Some(60));
}

#[tokio::test]
async fn an_oversized_stream_of_known_length_evicts_nobody() {
    let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(100)).unwrap();
    let other = Key::from(Digest::of("other"));
    store.put_bytes(&other, vec![1; 100].into()).await.unwrap();
    let stream = futures::stream::pending().boxed();
    let large = PutEntry::default().with_stream(BlobName::DATA, Some(101), stream);
    let outcome = store.put(&Key::from(Digest::of("k")), large, PutOptions::default()).await.unwrap();
    assert_eq!(outcome.status, PutStatus::Refused(Refusal::OverBudget));
    assert!(store.contains(&other).await.unwrap());
}

#[test]
fn a_bound_of_no_entries_is_invalid() {
    let refused = MemoryStore::open(MemoryOptions::default().with_max_entries(0));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
}
