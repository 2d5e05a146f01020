use std::sync::Arc;

use futures::FutureExt;

use super::*;
use crate::{
    Digest, StoreExt,
    toy::{Fault, Toy},
};

fn hanging() -> Deadline<Toy> {
    Deadline::new(Toy::default().with_fault(Fault::Hang), Duration::from_secs(5))
}

fn key() -> Key {
    Key::from(Digest::of("k"))
}

#[tokio::test(start_paused = true)]
async fn a_hung_store_times_out_in_every_single_operation() {
    let store = hanging();
    let name = BlobName::DATA;
    let errors = [
        store.contains(&key()).await.map(|_| ()).unwrap_err(),
        store.evict(&key()).await.unwrap_err(),
        store.get(&key(), &name, GetOptions::default()).await.map(|_| ()).unwrap_err(),
        store.get_entry(&key(), GetOptions::default()).await.map(|_| ()).unwrap_err(),
        store.put_bytes(&key(), "v".into()).await.map(|_| ()).unwrap_err(),
        store.meta(&key()).await.map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.key(), Some(&key()));
    }
    let listed = store.list(ListOptions::default()).next().await.unwrap().unwrap_err();
    assert_eq!((listed.kind(), listed.store()), (ErrorKind::Timeout, "toy"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_ends_in_a_timeout() {
    let store = hanging();
    let blob = store
        .get(&key(), &BlobName::DATA, GetOptions::default().with_stream_above(0))
        .await
        .unwrap()
        .unwrap();
    let error = blob.collect(100).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.key()), (ErrorKind::Timeout, "toy", Some(&key())));
}

#[test]
fn outside_a_runtime_is_an_error_and_no_panic() {
    let answer = hanging().contains(&key()).now_or_never().unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn damage_is_a_miss_for_the_handle_unless_asked() {
    let cache = crate::Cache::new(Arc::new(Toy::default().with_fault(Fault::Corrupt)));
    assert_eq!(cache.get(Digest::of("k")).await.unwrap(), None);
    let metrics = cache.metrics();
    assert_eq!((metrics.misses, metrics.corrupt), (1, 1));
    let asking = cache.report_corruption();
    assert_eq!(asking.get(Digest::of("k")).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test(start_paused = true)]
async fn a_verify_of_a_hung_store_ends() {
    let verify = hanging();
    let error = verify.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
