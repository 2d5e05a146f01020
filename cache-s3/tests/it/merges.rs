//! Merges into one entry, which keep each other's blobs.

use std::{collections::BTreeSet, sync::Arc};

use cache_core::{ErrorKind, GetOptions, PutEntry, PutMode, PutOptions, Store, StoreExt};
use cache_s3::{S3Store, StoreOptions};
use cache_s3_server::{Fault, Operation, Server, ServerOptions, When};
use futures::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::place::{BUCKET, at, bytes, key, name, open, server};

const ONE: u64 = 1;

fn merge() -> PutOptions {
    PutOptions::mode(PutMode::Merge)
}

async fn names(store: &S3Store) -> BTreeSet<String> {
    let entry = store.get_entry(&key(ONE), GetOptions::default()).await.unwrap();
    entry.into_iter().flat_map(|entry| entry.blobs).map(|(name, _)| name.to_string()).collect()
}

/// Has each store merge so many blobs of its own, all at once.
async fn merge_from_all(stores: &[S3Store], each: usize) -> BTreeSet<String> {
    let (mut tasks, mut expected) = (JoinSet::new(), BTreeSet::new());
    for (at, store) in stores.iter().enumerate() {
        for number in 0..each {
            let (store, blob) = (store.clone(), format!("{at}-{number}"));
            expected.insert(blob.clone());
            tasks.spawn(async move {
                let entry = PutEntry::default().with(name(&blob), bytes(number as u64, 1000));
                store.put(&key(ONE), entry, merge()).await.unwrap();
            });
        }
    }
    tasks.join_all().await;
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_of_several_processes_keep_all_blobs_where_conditions_are_honoured() {
    let server = server();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(open(&server, StoreOptions::default()).await);
    }
    assert!(stores[0].info().powers.cross_process_merge);
    let expected = merge_from_all(&stores, 6).await;
    assert_eq!(names(&stores[0]).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_of_one_process_keep_all_blobs_on_every_server() {
    let options = ServerOptions::new().with_bucket(BUCKET);
    let server =
        Server::start(options.with_dialect(|dialect| dialect.ignores_conditions_on_put = true)).unwrap();
    let store = open(&server, StoreOptions::default()).await;
    assert!(!store.info().powers.cross_process_merge, "the server takes every put, whatever its condition");
    // Clones are one store.
    let expected = merge_from_all(&[store.clone(), store.clone()], 10).await;
    assert_eq!(names(&store).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_that_stream_and_go_up_in_parts_keep_what_was_there() {
    const MIB: usize = 1 << 20;
    let server = server();
    let store = open(&server, StoreOptions::default().with_part_bytes(5 * MIB)).await;
    let (large, small, larger) = (bytes(1, 7 * MIB), bytes(2, 3000), bytes(3, 9 * MIB));
    store
        .put(&key(ONE), PutEntry::data(large.clone()).with(name("log"), small.clone()), PutOptions::default())
        .await
        .unwrap();
    let pieces: Vec<_> = larger.chunks(100_000).map(|piece| Ok(larger.slice_ref(piece))).collect();
    let entry = PutEntry::default().with_stream(name("more"), None, stream::iter(pieces).boxed());
    store.put(&key(ONE), entry, merge()).await.unwrap();
    for (blob, expected) in [("data", large), ("log", small), ("more", larger)] {
        let read = store.get(&key(ONE), &name(blob), GetOptions::default()).await.unwrap().unwrap();
        assert!(read.collect(u64::MAX).await.unwrap() == expected, "{blob}");
    }
    assert!(server.contents().uploads(BUCKET).is_empty());
}

/// Another process puts while a large merge is on its way: it fails rather than lose that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_in_parts_that_lost_a_race_says_so() {
    const MIB: usize = 1 << 20;
    let server = server();
    let ours = open(&server, StoreOptions::default().with_part_bytes(5 * MIB)).await;
    let theirs = open(&server, StoreOptions::default()).await;
    ours.put_bytes(&key(ONE), "old".into()).await.unwrap();
    server.log().clear();
    // The last part waits, and with it the end of the upload.
    server.fail(Fault::Delay(std::time::Duration::from_millis(1500)), When::nth(1).of(Operation::UploadPart));
    let mut merging = JoinSet::new();
    merging.spawn({
        let ours = ours.clone();
        async move {
            let entry = PutEntry::default().with(name("more"), bytes(1, 6 * MIB));
            ours.put(&key(ONE), entry, merge()).await
        }
    });
    while server.log().count(Operation::UploadPart) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    theirs.put_bytes(&key(ONE), "new".into()).await.unwrap();
    // What is in hand is composed anew; what has streamed in cannot be.
    match merging.join_next().await.unwrap().unwrap() {
        Ok(_) => assert_eq!(names(&ours).await, ["data", "more"].map(String::from).into()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
    }
    let data = ours.get_bytes(&key(ONE), &name("data")).await.unwrap().unwrap();
    assert_eq!(data, "new");
}

/// The answer to a conditional put is lost: it is carried out once, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_loses_no_blob() {
    let server = Arc::new(server());
    let store = S3Store::open(at(server.endpoint(), &server, StoreOptions::default())).await.unwrap();
    store.put(&key(ONE), PutEntry::default().with(name("a"), "a"), merge()).await.unwrap();
    for number in 0..4 {
        server.fail(Fault::LoseReply, When::nth(1).of(Operation::PutObject));
        let blob = format!("b{number}");
        // It may be told as failed, for nobody has heard of its success.
        let put = store.put(&key(ONE), PutEntry::default().with(name(&blob), "b"), merge()).await;
        server.mend();
        if put.is_err() {
            store.put(&key(ONE), PutEntry::default().with(name(&blob), "b"), merge()).await.unwrap();
        }
    }
    let expected = ["a", "b0", "b1", "b2", "b3"].map(String::from);
    assert_eq!(names(&store).await, expected.into());
}
