//! Recorded calls on the stores that this crate opens.

use cache::{Call, CallStore, CallTemplate, Digest, Error, ErrorKind};
use futures::{StreamExt, TryStreamExt};

async fn calls(url: &str) -> CallStore {
    CallStore::new(cache::open(url).await.unwrap().namespace("calls").unwrap())
}

fn call(name: &str, width: u32) -> Call {
    Call::new(name).with_argument("width", &width).unwrap().with_result(&(width * 2)).unwrap()
}

#[tokio::test]
async fn recorded_calls_are_found_changed_and_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("disk:{}", dir.path().display());
    for url in ["memory:", disk.as_str()] {
        let calls = calls(url).await;
        for width in 0..5 {
            calls.save(&call("resize", width)).await.unwrap();
            calls.save(&call("image/crop", width)).await.unwrap();
        }
        let crops = CallTemplate::default().with_name("image/crop");
        assert_eq!(calls.query(&crops).count().await.unwrap(), 5, "{url}");
        assert_eq!(calls.query(&CallTemplate::default()).count().await.unwrap(), 10);
        let one = crops.clone().with_result(&6).unwrap();
        let found = calls.query(&one).only().await.unwrap();
        assert_eq!(found.result.as_ref().unwrap().read::<u32>().unwrap(), Some(6));
        let digest = found.lookup_key().unwrap();
        assert_eq!(calls.load(digest.prefix(10)).await.unwrap(), found);

        let report = calls.transform(|call| Ok(call.with_version("2"))).await.unwrap();
        assert_eq!((report.seen, report.moved), (10, 10));
        assert_eq!(calls.load(digest).await.unwrap_err().kind(), ErrorKind::NotFound);
        let moved = calls.query(&one.with_version("2")).only().await.unwrap();
        assert_eq!((moved.created, moved.result.as_ref()), (found.created, found.result.as_ref()));
        let again = calls.transform(Ok).await.unwrap();
        assert_eq!((again.seen, again.unchanged), (10, 10));
        calls.evict(moved.lookup_key().unwrap()).await.unwrap();
        assert_eq!(calls.query(&crops).count().await.unwrap(), 4);
    }
}

#[tokio::test]
async fn memoized_result_outlives_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("disk:{}", dir.path().display());
    let first = calls(&url).await;
    let sum = first.memoize("add", &(1, 2), || async { Ok::<u32, Error>(3) }).await.unwrap();
    assert_eq!(sum, 3);
    first.cache().close(None).await.unwrap();
    let second = calls(&url).await;
    let sum: u32 = second.memoize("add", &(1, 2), || async { Err("not called") }).await.unwrap();
    assert_eq!(sum, 3);
    let recorded = second.query(&CallTemplate::default().with_name("add")).only().await.unwrap();
    let arguments = recorded.argument("arguments").unwrap().digest();
    assert_eq!(arguments, Digest::of_serialize(&(1, 2)).unwrap());
}

#[tokio::test]
async fn query_reads_no_more_than_is_taken() {
    let calls = calls("memory:").await;
    for width in 0..50 {
        calls.save(&call("resize", width)).await.unwrap();
    }
    let before = calls.cache().store().metrics();
    let taken: Vec<Call> = calls.query(&CallTemplate::default()).take(2).try_collect().await.unwrap();
    assert_eq!((taken.len(), calls.cache().store().metrics().since(&before).lookups()), (2, 2));
}
