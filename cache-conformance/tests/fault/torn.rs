use std::time::Duration;

use bytes::Bytes;
use cache_conformance::fault::{Full, Tear, Torn, When};
use cache_core::{BlobName, ErrorKind, GetOptions, KeyManagement, PutEntry, PutOptions, Store, StoreExt};
use futures::{StreamExt, stream};
use tokio::time::timeout;

use crate::sample::{key, large, name, put_stream, read, store};

/// Three blobs, of which the last one in the order of the put streams or not.
fn three(streams: bool) -> PutEntry {
    let entry = PutEntry::data("out").with(name("stdout"), "text");
    if streams {
        entry.with_stream(name("log"), Some(100_000), crate::sample::streamed(&large()))
    } else {
        entry.with(name("log"), large())
    }
}

/// The lengths of the blobs of an entry, by name.
async fn lengths(store: &impl Store) -> Vec<(String, u64)> {
    let found = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    found.blobs.iter().map(|(name, blob)| (name.as_str().to_owned(), blob.len())).collect()
}

#[tokio::test]
async fn put_that_breaks_off_fails_and_changes_nothing() {
    for (streams, after) in [(false, 0), (false, 12_345), (true, 0), (true, 12_345), (true, u64::MAX)] {
        let store = Torn::new(store().await).with_tear(Tear::BreaksOff(after));
        store.put_bytes(&key("a"), "old".into()).await.unwrap();
        store.arm(When::Nth(1));
        let put = store.put(&key("a"), three(streams), PutOptions::default()).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(lengths(&store).await, [("data".to_owned(), 3)]);
        assert_eq!((store.puts(), store.torn()), (2, 1));
    }
}

/// Where there is room for just what arrives, the put breaks off; with a byte less, there is none.
#[tokio::test]
async fn put_breaks_off_after_so_many_bytes() {
    for (room, kind) in [(12_345, ErrorKind::Unavailable), (12_344, ErrorKind::NoSpace)] {
        let inner = Full::new(store().await).with_room(room);
        let store = Torn::new(inner).with_tear(Tear::BreaksOff(12_345)).with_faults(When::Every(1));
        assert_eq!(store.put_bytes(&key("a"), large()).await.unwrap_err().kind(), kind);
        assert_eq!(put_stream(&store, &key("a"), &large()).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn put_that_breaks_off_does_not_wait_for_what_is_cut() {
    let store = Torn::new(store().await).with_tear(Tear::BreaksOff(10)).with_faults(When::Every(1));
    let stalled = stream::iter([Ok(Bytes::from(vec![0; 10]))]).chain(stream::pending()).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, stalled);
    let put = timeout(Duration::from_secs(5), store.put(&key("a"), entry, PutOptions::default())).await;
    assert_eq!(put.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn put_that_loses_blobs_says_it_was_stored() {
    for (keep, names) in
        [(0, &["data"][..]), (1, &["data"]), (2, &["data", "stdout"]), (3, &["data", "log", "stdout"])]
    {
        let store = Torn::new(store().await).with_tear(Tear::LosesBlobs(keep)).with_faults(When::Every(1));
        assert!(store.put(&key("a"), three(true), PutOptions::default()).await.unwrap().is_stored());
        let found: Vec<_> = lengths(&store).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, names);
    }
}

#[tokio::test]
async fn put_that_is_cut_short_says_it_was_stored() {
    for streams in [false, true] {
        let store = Torn::new(store().await).with_tear(Tear::CutsShort(12_345)).with_faults(When::Every(1));
        assert!(store.put(&key("a"), three(streams), PutOptions::default()).await.unwrap().is_stored());
        let expected = [("data", 3), ("log", 12_345), ("stdout", 4)];
        assert_eq!(lengths(&store).await, expected.map(|(name, len)| (name.to_owned(), len)));
        let log = store.get_bytes(&key("a"), &name("log")).await.unwrap().unwrap();
        assert_eq!(log, large()[..12_345]);
    }
}

#[tokio::test]
async fn same_seed_tears_the_same_puts() {
    let of = async |seed| {
        let store = Torn::new(store().await).with_tear(Tear::CutsShort(1)).with_seed(seed);
        store.arm(When::Chance(0.5));
        let mut torn = Vec::new();
        for n in 0..100_u8 {
            store.put_bytes(&key("a"), Bytes::from(vec![n; 2])).await.unwrap();
            torn.push(read(&store, &key("a")).await.unwrap().len() == 1);
        }
        assert_eq!(store.torn(), torn.iter().filter(|torn| **torn).count() as u64);
        torn
    };
    let first = of(1).await;
    assert_eq!(first, of(1).await);
    assert_ne!(first, of(2).await);
}

#[tokio::test]
async fn torn_put_leaves_other_calls_alone() {
    let store = Torn::new(store().await).with_faults(When::Every(1));
    store.inner().put_bytes(&key("a"), "v".into()).await.unwrap();
    assert!(
        store.get_now(key("a").view(), &BlobName::DATA).is_some() && store.contains(&key("a")).await.unwrap()
    );
    assert_eq!(read(&store, &key("a")).await.unwrap(), "v");
    store.evict(&key("a")).await.unwrap();
}
