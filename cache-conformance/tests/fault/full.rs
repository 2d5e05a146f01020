use bytes::Bytes;
use cache_conformance::fault::Full;
use cache_core::{BlobName, ErrorKind, KeyManagement, PutEntry, PutOptions, Store, StoreExt};
use futures::{StreamExt, stream};

use crate::sample::{correct, key, large, name, put_stream, read, store, streamed};

#[tokio::test]
async fn puts_fail_beyond_the_room_until_released() {
    let store = Full::new(store().await).with_room(10);
    let control = store.clone();
    store.put_bytes(&key("a"), "0123456".into()).await.unwrap();
    assert_eq!(store.room(), Some(3));
    let error = store.put_bytes(&key("b"), "0123".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.key()), (ErrorKind::NoSpace, "full", Some(&key("b"))));
    assert!(!store.contains(&key("b")).await.unwrap());
    assert_eq!((store.room(), store.metrics().puts), (Some(3), 1));
    store.put_bytes(&key("b"), "012".into()).await.unwrap();
    assert!(store.put_bytes(&key("b"), "0".into()).await.is_err(), "an overwrite gives nothing back");
    store.evict(&key("a")).await.unwrap();
    assert!(store.put_bytes(&key("b"), "0".into()).await.is_err(), "nor does an eviction");
    assert_eq!(read(&store, &key("b")).await.unwrap(), "012", "the older value is intact");
    control.set_room(1);
    store.put_bytes(&key("b"), "0".into()).await.unwrap();
    control.release();
    store.put_bytes(&key("b"), large()).await.unwrap();
    assert_eq!(store.room(), None);
}

#[tokio::test]
async fn stream_fails_at_the_piece_that_does_not_fit_and_leaves_nothing() {
    let (a, bytes) = (key("a"), large());
    for (room, fits) in [(0, false), (9_999, false), (10_000, false), (99_999, false), (100_000, true)] {
        let store = Full::new(store().await).with_room(room);
        let put = put_stream(&store, &a, &bytes).await;
        assert_eq!(put.map_err(|error| error.kind()), if fits { Ok(()) } else { Err(ErrorKind::NoSpace) });
        assert_eq!(store.contains(&a).await.unwrap(), fits);
        assert_eq!(store.room(), Some(if fits { 0 } else { room }), "what failed gives its room back");
    }
}

#[tokio::test]
async fn stream_takes_what_it_has_sent_so_far() {
    let store = Full::new(store().await).with_room(100_000);
    let (a, bytes) = (key("a"), large());
    let stalled = streamed(&bytes.slice(..30_000)).chain(stream::pending()).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, stalled).with(name("b"), "0123456789");
    {
        let put = store.put(&a, entry, PutOptions::default());
        tokio::pin!(put);
        assert!(futures::poll!(&mut put).is_pending());
        assert_eq!(store.room(), Some(100_000 - 30_000 - 10));
        let other = store.put_bytes(&key("b"), bytes).await;
        assert_eq!(other.unwrap_err().kind(), ErrorKind::NoSpace);
    }
    assert_eq!(store.room(), Some(100_000), "what is dropped gives its room back");
    assert!(!store.contains(&a).await.unwrap());
}

#[tokio::test]
async fn room_set_midway_is_all_that_there_is() {
    let (a, bytes) = (key("a"), large());
    for (before, now) in [(None, 0), (Some(100_000), 0), (None, 20_000), (Some(100_000), 20_000)] {
        let store = Full::new(store().await);
        if let Some(room) = before {
            store.set_room(room);
        }
        let control = store.clone();
        let rest = streamed(&bytes.slice(30_000..));
        let full = stream::once(async move {
            control.set_room(now);
            Ok(Bytes::new())
        });
        let blob = streamed(&bytes.slice(..30_000)).chain(full).chain(rest).boxed();
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, blob);
        let failed = store.put(&a, entry, PutOptions::default()).await.unwrap_err();
        assert_eq!((failed.kind(), store.room()), (ErrorKind::NoSpace, Some(now)), "{before:?}");
    }
}

#[tokio::test]
async fn put_that_the_store_refuses_or_fails_gives_its_room_back() {
    let setup = cache_conformance::Setup::default().with_max_bytes(100).with_max_blob_bytes(1000);
    let store = Full::new(correct(&setup).await.unwrap()).with_room(10_000);
    assert!(!store.put_bytes(&key("a"), vec![0; 500].into()).await.unwrap().is_stored());
    assert_eq!(
        store.put_bytes(&key("a"), vec![0; 5000].into()).await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    let broken = stream::iter([Ok(Bytes::from_static(b"v")), Err(cache_core::Error::invalid("broken"))]);
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken.boxed());
    let failed = store.put(&key("a"), entry, PutOptions::default()).await.unwrap_err();
    assert_eq!((failed.kind(), store.room()), (ErrorKind::Invalid, Some(10_000)));
}

#[tokio::test]
async fn full_store_is_read_and_evicted_from() {
    let store = Full::new(store().await);
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.set_room(0);
    assert_eq!(store.get_now(key("a").view(), &BlobName::DATA).unwrap(), "v");
    assert_eq!(read(&store, &key("a")).await.unwrap(), "v");
    store.evict(&key("a")).await.unwrap();
    assert!(read(&store, &key("a")).await.is_none());
}
