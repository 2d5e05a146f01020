//! What each operation costs in requests.

use cache_core::{
    ByteRange, CleanPolicy, DigestPrefix, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry,
    PutMode, PutOptions, Store, StoreExt,
};
use cache_s3::{S3Store, StoreOptions};
use cache_s3_server::{Operation, Server};
use futures::TryStreamExt;

use crate::place::{BUCKET, at, bytes, key, name, open, server};

/// The requests since the last time, in the order of their names, such as `GetObject 1`.
fn requests(server: &Server) -> String {
    let counts = server.log().counts();
    server.log().clear();
    let counts: Vec<_> = counts.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
    counts.join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_costs_what_it_says() {
    const KIB: usize = 1 << 10;
    let server = server();
    let store = open(&server, StoreOptions::default().with_owned(true)).await;
    let mut table = vec![("open", requests(&server))];
    let mut told = |what, requests| table.push((what, requests));
    let (merge, fill) = (PutOptions::mode(PutMode::Merge), PutOptions::mode(PutMode::Fill));
    let data = name("data");

    store.put_bytes(&key(1), bytes(1, 4 * KIB)).await.unwrap();
    told("put of 4 KiB", requests(&server));
    let entry =
        PutEntry::data(bytes(2, 700 * KIB)).with(name("log"), bytes(3, 256 * KIB)).with(name("exit"), "0");
    store.put(&key(2), entry, PutOptions::default()).await.unwrap();
    told("put of an entry of 956 KiB and three blobs", requests(&server));
    store.put_bytes(&key(3), bytes(4, 8000 * KIB)).await.unwrap();
    told("put of 8,000 KiB", requests(&server));
    store.put_bytes(&key(3), bytes(4, 20_000 * KIB)).await.unwrap();
    told("put of 20,000 KiB", requests(&server));
    store.put(&key(1), PutEntry::default().with(name("log"), bytes(5, KIB)), merge.clone()).await.unwrap();
    told("merge into an entry", requests(&server));
    store.put(&key(4), PutEntry::data(bytes(5, KIB)), merge).await.unwrap();
    told("merge into nothing", requests(&server));
    store.put(&key(1), PutEntry::data("other").with(name("more"), "more"), fill.clone()).await.unwrap();
    told("fill of one name of two", requests(&server));
    store.put(&key(1), PutEntry::data("other"), fill).await.unwrap();
    told("fill of nothing", requests(&server));

    store.get_bytes(&key(1), &data).await.unwrap().unwrap();
    told("get of 4 KiB", requests(&server));
    store.get_bytes(&key(2), &name("log")).await.unwrap().unwrap();
    told("get of 256 KiB in an entry of 956 KiB", requests(&server));
    store.get_bytes(&key(9), &data).await.unwrap();
    told("get of nothing", requests(&server));
    store.get_entry(&key(2), GetOptions::default()).await.unwrap().unwrap();
    told("get of an entry of 956 KiB", requests(&server));
    store.get(&key(3), &data, GetOptions::default()).await.unwrap().unwrap().collect(1 << 30).await.unwrap();
    told("get of 20,000 KiB", requests(&server));
    let range = ByteRange::new(5_000_000, Some(5_100_000)).unwrap();
    store.get(&key(3), &data, GetOptions::default().with_range(range)).await.unwrap().unwrap();
    told("get of a range of 20,000 KiB", requests(&server));
    assert!(store.contains(&key(1)).await.unwrap());
    told("contains", requests(&server));
    assert!(!store.contains(&key(9)).await.unwrap());
    told("contains of nothing", requests(&server));
    store.meta(&key(2)).await.unwrap().unwrap();
    told("meta", requests(&server));
    let short: DigestPrefix = key(2).digest.to_string()[..9].parse().unwrap();
    store.expand(&Namespace::root(), short.into()).await.unwrap();
    told("expand", requests(&server));
    store.evict(&key(1)).await.unwrap();
    told("evict", requests(&server));
    store.evict(&key(1)).await.unwrap();
    told("evict of nothing", requests(&server));
    store.flush().await.unwrap();
    told("flush", requests(&server));
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    told("clean of three entries", requests(&server));

    let head = "| operation | requests |\n|---|---|";
    let rows: Vec<_> = table.iter().map(|(what, requests)| format!("| {what} | {requests} |")).collect();
    println!("{head}\n{}", rows.join("\n"));
    let expected = [
        ("open", "DeleteObject 1, GetObject 2, ListObjectsV2 1, PutObject 3"),
        ("put of 4 KiB", "PutObject 1"),
        ("put of an entry of 956 KiB and three blobs", "PutObject 1"),
        ("put of 8,000 KiB", "PutObject 1"),
        ("put of 20,000 KiB", "CompleteMultipartUpload 1, CreateMultipartUpload 1, UploadPart 3"),
        ("merge into an entry", "GetObject 1, PutObject 1"),
        ("merge into nothing", "GetObject 1, PutObject 1"),
        ("fill of one name of two", "GetObject 1, PutObject 1"),
        ("fill of nothing", "GetObject 1"),
        ("get of 4 KiB", "GetObject 1"),
        ("get of 256 KiB in an entry of 956 KiB", "GetObject 1"),
        ("get of nothing", "GetObject 1"),
        ("get of an entry of 956 KiB", "GetObject 1"),
        ("get of 20,000 KiB", "GetObject 2"),
        ("get of a range of 20,000 KiB", "GetObject 2"),
        ("contains", "GetObject 1"),
        ("contains of nothing", "GetObject 1"),
        ("meta", "GetObject 1"),
        ("expand", "ListObjectsV2 1"),
        ("evict", "DeleteObject 1"),
        ("evict of nothing", "DeleteObject 1"),
        ("flush", ""),
        ("clean of three entries", "DeleteObjects 1, ListMultipartUploads 1, ListObjectsV2 2"),
    ];
    let table: Vec<_> = table.iter().map(|(what, requests)| (*what, requests.as_str())).collect();
    assert_eq!(table, expected);
}

async fn fill(store: &S3Store, namespace: &Namespace, entries: u64) {
    use futures::StreamExt;

    let puts = (0..entries).map(|number| async move {
        let key = cache_core::Key::new(namespace.clone(), key(number).digest);
        store.put_bytes(&key, "x".into()).await.unwrap();
    });
    futures::stream::iter(puts).buffer_unordered(64).collect::<Vec<_>>().await;
}

/// Copies one entry's object under other names, which is faster than puts.
fn copies(server: &Server, prefix: &str, entries: u64) {
    let names = server.contents().names(BUCKET);
    let object = server.contents().get(BUCKET, names.first().unwrap()).unwrap();
    for number in 0..entries {
        server.contents().put(BUCKET, &format!("{prefix}!{}", key(number).digest), object.clone());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_cost_a_request_for_a_thousand_entries_and_no_more() {
    let server = server();
    let store = open(&server, StoreOptions::default().with_owned(true)).await;
    let namespace: Namespace = "a".parse().unwrap();
    fill(&store, &Namespace::root(), 1).await;
    copies(&server, "~a", 10_000);
    copies(&server, "~a/~b", 1500);
    // Of a namespace beside it, whose names sort between those.
    copies(&server, "~a-b", 3000);
    server.log().clear();
    let listed: Vec<_> = store.list(ListOptions::of(&namespace)).try_collect().await.unwrap();
    assert_eq!((listed.len(), requests(&server).as_str()), (10_000, "ListObjectsV2 10"));
    let listed: Vec<_> = store.list(ListOptions::below(&namespace)).try_collect().await.unwrap();
    assert_eq!((listed.len(), requests(&server).as_str()), (11_500, "ListObjectsV2 12"));
    let listed: Vec<_> = store.list(ListOptions::of(&namespace).with_limit(2)).try_collect().await.unwrap();
    assert_eq!((listed.len(), requests(&server).as_str()), (2, "ListObjectsV2 1"));
    let after = ListOptions::of(&namespace).with_start_after(listed[1].key.clone()).with_limit(1000);
    let listed: Vec<_> = store.list(after).try_collect().await.unwrap();
    assert_eq!((listed.len(), requests(&server).as_str()), (1000, "ListObjectsV2 1"));
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert_eq!((usage.entries, requests(&server).as_str()), (14_501, "ListObjectsV2 16"));
    // All of them, a thousand at a time.
    let report = store.clean(&namespace, &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    assert_eq!(report.evicted_entries, 11_500);
    assert_eq!(requests(&server), "DeleteObjects 12, ListMultipartUploads 1, ListObjectsV2 12");
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 3001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_objects_are_passed_over_by_pages() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    store.put_bytes(&key(1), "x".into()).await.unwrap();
    for number in 0..1500 {
        server.contents().put(BUCKET, &format!("!!{number}"), "foreign");
    }
    server.log().clear();
    let listed: Vec<_> = store.list(ListOptions::default().with_limit(1)).try_collect().await.unwrap();
    assert_eq!((listed.len(), requests(&server).as_str()), (1, "ListObjectsV2 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_blob_that_is_read_whole_costs_one_request_at_most() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    let blob = |number: u64| bytes(number, 2 << 20);
    let entry = PutEntry::data(blob(1)).with(name("log"), blob(2)).with(name("more"), blob(3));
    store.put(&key(1), entry, PutOptions::default()).await.unwrap();
    server.log().clear();
    let entry = store.get_entry(&key(1), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(requests(&server), "GetObject 4");
    for (number, (_, read)) in (1..).zip(entry.blobs) {
        assert!(read.collect(u64::MAX).await.unwrap() == blob(number));
    }
    store.get_bytes(&key(1), &name("data")).await.unwrap().unwrap();
    assert_eq!(requests(&server), "GetObject 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_digest_costs_one_listing_more() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    fill(&store, &Namespace::root(), 50).await;
    server.log().clear();
    let short: DigestPrefix = key(7).digest.to_string()[..8].parse().unwrap();
    assert!(store.contains_short(&Namespace::root(), short.into()).await.unwrap());
    assert_eq!(requests(&server), "GetObject 1, ListObjectsV2 1");
}

#[tokio::test]
async fn a_store_that_is_told_what_the_server_can_do_opens_with_one_request() {
    let server = server();
    open(&server, StoreOptions::default().with_conditional_puts(true)).await;
    assert_eq!(requests(&server), "ListObjectsV2 1");
    let options = at(server.endpoint(), &server, StoreOptions::default().with_conditional_puts(true));
    S3Store::open(options.with_auto_create(true)).await.unwrap();
    assert_eq!(server.log().count(Operation::CreateBucket), 0, "it is there");
}
