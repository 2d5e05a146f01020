//! Objects that are damaged behind the store's back.

use std::time::Duration;

use cache_core::{ErrorKind, GetOptions, KeyManagement, Store, StoreExt};
use cache_s3::StoreOptions;
use cache_s3_server::{Fault, Operation, When};

use crate::place::{BUCKET, bytes, key, name, open, server};

/// Who may only read finds damage and cannot remove it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_may_not_be_removed_is_told_and_left_alone() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    store.put_bytes(&key(1), bytes(1, 3 << 20)).await.unwrap();
    let object = server.contents().names(BUCKET).remove(0);
    let mut damaged = server.contents().get(BUCKET, &object).unwrap().to_vec();
    damaged[1_000_000] ^= 1;
    server.contents().damage(BUCKET, &object, damaged);
    server.fail(Fault::access_denied(), When::always().of(Operation::DeleteObject));
    let options = GetOptions::default().with_stream_above(100_000);
    let read = store.get(&key(1), &name("data"), options).await.unwrap().unwrap().collect(u64::MAX).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    let rest = async {
        let mut requests = 0;
        while server.log().count(Operation::DeleteObject) == 0 || server.log().len() != requests {
            requests = server.log().len();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rest).await.expect("nobody goes on asking");
    assert_eq!(store.metrics().corrupt, 1);
    store.close(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_object_in_the_place_of_an_entry_is_damage() {
    let server = server();
    let store = open(&server, StoreOptions::default()).await;
    store.put_bytes(&key(1), bytes(1, 100)).await.unwrap();
    let object = server.contents().names(BUCKET).remove(0);
    server.contents().put(BUCKET, &object, "");
    assert!(!store.contains(&key(1)).await.unwrap());
    let error = store.get_bytes(&key(1), &name("data")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(server.contents().names(BUCKET).is_empty());
}
