//! Large entries, which go up in parts, and what is left of those that do not arrive.

use std::time::Duration;

use bytes::Bytes;
use cache_core::{
    CleanPolicy, Clock, Error, ErrorKind, GetOptions, Namespace, PutEntry, PutOptions, Store, StoreExt,
    SystemClock,
};
use cache_s3::{S3Store, StoreOptions};
use cache_s3_server::{Fault, Operation, Server, When};
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::place::{BUCKET, at, bytes, key, name, open, server};

const MIB: usize = 1 << 20;

fn options() -> StoreOptions {
    StoreOptions::default().with_part_bytes(5 * MIB).with_owned(true)
}

/// An entry that streams in in pieces of 64 KiB.
fn streamed(bytes: &Bytes, end: Option<Error>) -> PutEntry {
    let pieces: Vec<_> = bytes.chunks(64 << 10).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    let pieces = stream::iter(pieces).chain(stream::iter(end.map(Err)));
    PutEntry::default().with_stream(name("data"), None, pieces.boxed())
}

/// Waits until no upload is open.
async fn no_upload_is_left(server: &Server) {
    for _ in 0..400 {
        if server.contents().uploads(BUCKET).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(server.contents().uploads(BUCKET).is_empty(), "{:?}", server.contents().uploads(BUCKET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_all_sizes_about_a_part_round_trip() {
    let server = server();
    let store = open(&server, options()).await;
    for (number, len) in
        [5 * MIB - 500, 5 * MIB - 200, 5 * MIB, 5 * MIB + 1, 10 * MIB, 13 * MIB + 7].into_iter().enumerate()
    {
        let (number, content) = (number as u64, bytes(number as u64, len));
        for entry in [PutEntry::data(content.clone()), streamed(&content, None)] {
            store.put(&key(number), entry, PutOptions::default()).await.unwrap();
            let read = store
                .get(&key(number), &name("data"), GetOptions::default().with_stream_above(MIB as u64))
                .await;
            assert!(read.unwrap().unwrap().collect(u64::MAX).await.unwrap() == content, "{len} bytes");
        }
    }
    assert!(server.contents().uploads(BUCKET).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_read_in_the_order_in_which_they_were_added() {
    let server = server();
    let store = open(&server, options()).await;
    let blobs = [("first", 100_u64), ("second", 200_000), ("third", 300_000), ("fourth", 1000)];
    // Each begins once the one before has been read to its end.
    let (first, mut begin) = futures::channel::oneshot::channel::<()>();
    first.send(()).unwrap();
    let mut entry = PutEntry::default();
    for (number, (blob, len)) in (0..).zip(blobs) {
        let (ended, next) = futures::channel::oneshot::channel();
        let before = std::mem::replace(&mut begin, next);
        let content = bytes(number, usize::try_from(len).unwrap());
        let piece = stream::once(async move {
            before.await.unwrap();
            Ok(content)
        });
        let end = stream::once(async move { _ = ended.send(()) }).filter_map(|()| std::future::ready(None));
        entry = entry.with_stream(name(blob), Some(len), piece.chain(end).boxed());
    }
    let key = key(0);
    let put = store.put(&key, entry, PutOptions::default());
    tokio::time::timeout(Duration::from_secs(120), put).await.expect("streams are waited for").unwrap();
    for (number, (blob, len)) in (0..).zip(blobs) {
        let found = store.get_bytes(&key, &name(blob)).await.unwrap().unwrap();
        assert_eq!(found, bytes(number, usize::try_from(len).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_parts_are_on_their_way_than_allowed() {
    let server = server();
    let store = open(&server, options().with_concurrent_parts(2)).await;
    server.log().clear();
    server.fail(Fault::Hang, When::always().of(Operation::UploadPart));
    let mut put = JoinSet::new();
    put.spawn({
        let store = store.clone();
        async move { store.put(&key(1), streamed(&bytes(1, 40 * MIB), None), PutOptions::default()).await }
    });
    while server.log().count(Operation::UploadPart) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.log().count(Operation::UploadPart), 2);
    put.shutdown().await;
    server.mend();
    no_upload_is_left(&server).await;
    assert!(store.get_bytes(&key(1), &name("data")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_come_to_nothing_are_aborted() {
    let server = server();
    let store =
        open(&server, options().with_max_blob_bytes(30 * MIB as u64).with_max_bytes(20 * MIB as u64)).await;
    store.put_bytes(&key(1), "old".into()).await.unwrap();
    let failing = streamed(&bytes(1, 12 * MIB), Some(Error::new(ErrorKind::Unavailable, "test", "read")));
    let error = store.put(&key(1), failing, PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Unavailable, Some(&key(1))));
    no_upload_is_left(&server).await;
    assert_eq!(store.get_bytes(&key(1), &name("data")).await.unwrap().unwrap(), "old");

    server.fail(Fault::access_denied(), When::nth(2).of(Operation::UploadPart));
    let error =
        store.put(&key(1), streamed(&bytes(1, 18 * MIB), None), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    server.mend();
    no_upload_is_left(&server).await;
    assert_eq!(store.get_bytes(&key(1), &name("data")).await.unwrap().unwrap(), "old");

    let outcome =
        store.put(&key(1), streamed(&bytes(1, 25 * MIB), None), PutOptions::default()).await.unwrap();
    assert!(!outcome.is_stored(), "it is over the budget");
    no_upload_is_left(&server).await;
    assert!(store.get_bytes(&key(1), &name("data")).await.unwrap().is_none());

    let error = store.put(&key(1), streamed(&bytes(1, 31 * MIB), None), PutOptions::default()).await;
    assert!(error.is_err() || !error.unwrap().is_stored());
    no_upload_is_left(&server).await;
}

/// A put that is dropped in the middle, again and again, at other places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_uploads_are_aborted() {
    let server = server();
    let store = open(&server, options()).await;
    let content = bytes(1, 22 * MIB);
    for milliseconds in [1, 5, 20, 40, 80] {
        let key = key(1);
        let put = store.put(&key, streamed(&content, None), PutOptions::default());
        _ = tokio::time::timeout(Duration::from_millis(milliseconds), put).await;
    }
    no_upload_is_left(&server).await;
    // It came to its end, or to nothing.
    if let Some(read) = store.get(&key(1), &name("data"), GetOptions::default()).await.unwrap() {
        assert!(read.collect(u64::MAX).await.unwrap() == content);
    }
    store.close(None).await.unwrap();
}

/// What a process that died has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_aborts_uploads_that_were_begun_long_ago() {
    let server = server();
    let store = open(&server, options().with_prefix("ours")).await;
    server.fail(Fault::Hang, When::always().of(Operation::UploadPart));
    let (mut puts, mut stores) = (JoinSet::new(), Vec::new());
    for (prefix, number) in [("ours", 1), ("ours", 2), ("theirs", 3)] {
        // Whose aborts are not tried again.
        let options = at(server.endpoint(), &server, options().with_prefix(prefix)).with_retries(0);
        let store = S3Store::open(options).await.unwrap();
        stores.push(store.clone());
        puts.spawn(async move {
            store.put(&key(number), streamed(&bytes(1, 12 * MIB), None), PutOptions::default()).await
        });
    }
    while server.contents().uploads(BUCKET).len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.crash();
    assert!(puts.join_all().await.iter().all(Result::is_err));
    for store in stores {
        store.close(None).await.unwrap();
    }
    server.mend();
    server.restart().unwrap();
    assert_eq!(server.contents().uploads(BUCKET).len(), 3, "nobody was left to abort them");
    let clean = || async { store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap() };
    clean().await;
    assert_eq!(server.contents().uploads(BUCKET).len(), 3, "they may still be on their way");
    server.contents().set_begun(BUCKET, SystemClock.now() - Duration::from_secs(25 * 3600));
    clean().await;
    let left: Vec<_> = server.contents().uploads(BUCKET);
    assert_eq!(left.len(), 1, "another prefix is another store's: {left:?}");
    assert!(store.get_bytes(&key(1), &name("data")).await.unwrap().is_none());
}
