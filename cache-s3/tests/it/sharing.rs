//! A bucket that others use, too.

use cache_core::{
    CleanPolicy, ErrorKind, KeyManagement, ListOptions, Namespace, PutEntry, PutOptions, Store, StoreExt,
};
use cache_s3::{S3Store, StoreOptions};
use cache_s3_server::{Fault, Operation, When};
use futures::TryStreamExt;

use crate::place::{BUCKET, at, bytes, key, name, open, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_own_its_prefix_removes_only_what_it_is_told() {
    let server = server();
    let store = open(&server, StoreOptions::default().with_prefix("p")).await;
    assert!(!store.info().powers.bounded);
    store.put_bytes(&key(1), "x".into()).await.unwrap();
    let error = store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("lifecycle rules"), "{error}");
    assert!(store.contains(&key(1)).await.unwrap());
    store.evict(&key(1)).await.unwrap();
    assert!(server.contents().names(BUCKET).is_empty());
    let options = StoreOptions::default().with_max_bytes(1000);
    let error = S3Store::open(at(server.endpoint(), &server, options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("owned"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_objects_are_neither_listed_nor_counted_nor_removed() {
    let server = server();
    let store =
        open(&server, StoreOptions::default().with_prefix("p").with_owned(true).with_max_bytes(100_000))
            .await;
    let digits = key(1).digest.to_string();
    let foreign = [
        "p/readme.txt".to_owned(),
        "p/!readme".to_owned(),
        format!("p/!{}", digits.to_uppercase()),
        format!("p/{digits}"),
        format!("p/~a/{digits}"),
        format!("p/a!{digits}"),
        format!("p/!{digits}.bak"),
        format!("pp!{digits}"),
        format!("!{digits}"),
        "p/folder/".to_owned(),
        "p/zz/zz".to_owned(),
        // Another store's, whose prefix is below.
        format!("p/zz/!{digits}"),
        format!("p/zz/~a!{digits}"),
        // What object_store has no path for.
        "p//x".to_owned(),
        "p/../x".to_owned(),
        format!("p//!{digits}"),
        "p/\u{1}".to_owned(),
    ];
    for object in &foreign {
        server.contents().put(BUCKET, object, bytes(1, 60_000));
    }
    for number in 0..4 {
        store.put_bytes(&key(number), bytes(number, 40_000)).await.unwrap();
    }
    store.flush().await.unwrap();
    let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await.unwrap();
    assert!((1..=2).contains(&listed.len()), "{listed:?}");
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, listed.len() as u64);
    // A listing of few passes over the others.
    let first: Vec<_> = store.list(ListOptions::default().with_limit(1)).try_collect().await.unwrap();
    assert_eq!(first[0].key, listed[0].key);
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    let mut left = server.contents().names(BUCKET);
    left.retain(|object| !object.contains(".probe-"));
    let mut expected = foreign.to_vec();
    expected.sort();
    left.sort();
    assert_eq!(left, expected);
}

/// Names that others give need not be paths.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_no_paths_disturb_no_listing() {
    let server = server();
    let store = open(&server, StoreOptions::default().with_owned(true)).await;
    store.put_bytes(&key(1), "x".into()).await.unwrap();
    for foreign in ["logs//2026", "a/../b", "//", "./x"] {
        server.contents().put(BUCKET, foreign, "foreign");
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    assert_eq!(server.contents().names(BUCKET).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_switched_off_removes_nothing_of_others() {
    let server = server();
    let theirs = open(&server, StoreOptions::default()).await;
    theirs.put_bytes(&key(1), "x".into()).await.unwrap();
    let off = open(&server, StoreOptions::default().with_max_bytes(0)).await;
    assert!(!off.put(&key(2), PutEntry::data("y"), PutOptions::default()).await.unwrap().is_stored());
    off.flush().await.unwrap();
    assert!(theirs.contains(&key(1)).await.unwrap());
}

/// Each has looked when there was little, and fills what it takes for its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_a_budget_exceed_it_by_a_tenth_at_most() {
    let server = server();
    let mut stores = Vec::new();
    for _ in 0..8 {
        let options = StoreOptions::default().with_owned(true).with_max_bytes(800_000);
        let store = open(&server, options.with_conditional_puts(true)).await;
        store.flush().await.unwrap();
        stores.push(store);
    }
    for (at, store) in stores.iter().enumerate() {
        let puts = if at == 0 { 98 } else { 11 };
        for number in 0..puts {
            store.put_bytes(&key(at as u64 * 1000 + number), bytes(number, 8_000)).await.unwrap();
        }
        store.flush().await.unwrap();
    }
    let held = stores[0].usage(&Namespace::root()).await.unwrap().stored_bytes;
    assert!(held <= 880_000, "{held}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_absent_is_told_apart_from_what_is_refused() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    store.put_bytes(&key(1), "x".into()).await.unwrap();
    server.fail(Fault::access_denied(), When::always());
    let data = name("data");
    for number in [1, 2] {
        let key = key(number);
        assert_eq!(store.get_bytes(&key, &data).await.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(store.contains(&key).await.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(store.meta(&key).await.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(store.evict(&key).await.unwrap_err().kind(), ErrorKind::Denied);
        let put = store.put(&key, PutEntry::data("y"), PutOptions::default()).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Denied);
    }
    let listed = store.list(ListOptions::default()).try_collect::<Vec<_>>().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Denied);
    server.mend();
    assert_eq!(store.get_bytes(&key(1), &data).await.unwrap().unwrap(), "x");
    assert_eq!((store.metrics().hits, store.metrics().misses), (1, 0));

    // The bucket goes under an open store.
    server.contents().remove_bucket(BUCKET);
    for number in [1, 2] {
        let key = key(number);
        let error = store.get_bytes(&key, &data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_line().contains("bucket"), "{}", error.to_line());
        assert_eq!(store.contains(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.meta(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.evict(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let put = store.put(&key, PutEntry::data("y"), PutOptions::default()).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let listed = store.list(ListOptions::default()).try_collect::<Vec<_>>().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.metrics().misses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_told_or_made() {
    let server = server();
    let options = || {
        let mut options = at(server.endpoint(), &server, StoreOptions::default());
        options.bucket = "absent".into();
        options
    };
    let error = S3Store::open(options()).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.operation()), (ErrorKind::Unavailable, "s3", "open"));
    let line = error.to_line();
    assert!(line.contains("absent") && line.contains("auto_create"), "{line}");
    assert_eq!(server.contents().buckets(), [BUCKET]);
    for _ in 0..2 {
        let store = S3Store::open(options().with_auto_create(true)).await.unwrap();
        store.put_bytes(&key(1), "x".into()).await.unwrap();
    }
    assert_eq!(server.contents().buckets().len(), 2);
    assert_eq!(server.log().count(Operation::CreateBucket), 1);
    // A bucket that may not be asked for is not made anew.
    server.fail(Fault::access_denied(), When::always());
    let error = S3Store::open(options().with_auto_create(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.to_line());
}
