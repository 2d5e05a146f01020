use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use serde::{Serializer, ser::Error as _};

use super::*;
use crate::{CallTemplate, Digest, Error, ErrorKind, ManualClock, call::recorder::Recorder};

fn calls(store: &Recorder) -> CallStore {
    CallStore::new(store.cache().namespace("calls").unwrap())
}

/// Not serialisable at all.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not today"))
    }
}

#[tokio::test]
async fn function_runs_once_for_the_same_arguments() {
    let calls = calls(&Recorder::default());
    let runs = Arc::new(AtomicUsize::new(0));
    for (name, arguments, expected) in
        [("add", (1, 2), 1), ("add", (1, 2), 1), ("add", (2, 1), 2), ("sub", (1, 2), 3)]
    {
        let counter = Arc::clone(&runs);
        let compute = move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(arguments.0 * 10 + arguments.1)
        };
        let result = calls.memoize(name, &arguments, compute).await.unwrap();
        assert_eq!((result, runs.load(Ordering::Relaxed)), (arguments.0 * 10 + arguments.1, expected));
    }
    let metrics = calls.cache().metrics();
    assert_eq!((metrics.hits, metrics.misses), (1, 3));
}

#[tokio::test]
async fn a_thousand_callers_run_the_function_once() {
    let calls = calls(&Recorder::default());
    let runs = Arc::new(AtomicUsize::new(0));
    let callers = (0..1_000).map(|_| {
        let counter = Arc::clone(&runs);
        calls.memoize("slow", &1, move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, io::Error>(7)
        })
    });
    for result in futures::future::join_all(callers).await {
        assert_eq!(result.unwrap(), 7);
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(calls.query(&CallTemplate::default()).count().await.unwrap(), 1);
}

#[tokio::test]
async fn record_and_result_are_one_entry_that_can_be_queried() {
    let store = Recorder::default();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(3);
    let calls = calls(&store).with_clock(Arc::new(ManualClock::new(at)));
    let call = Call::new("resize")
        .with_version("2")
        .with_argument("width", &640)
        .unwrap()
        .with_metadata("host", &"a")
        .unwrap()
        .with_result_datum(Digest::of("not looked at"));
    let result = calls.memoize_call(call.clone(), || async { Ok::<_, Error>(vec![1_u8, 2]) }).await.unwrap();
    assert_eq!(result, [1, 2]);
    let key = store.keys().pop().unwrap();
    let names: Vec<String> = store.blobs(&key).keys().map(ToString::to_string).collect();
    assert_eq!(names, ["data", "result"]);
    let template = CallTemplate::default().with_name("resize").with_result(&[1_u8, 2].as_slice()).unwrap();
    let found = calls.query(&template).only().await.unwrap();
    assert_eq!(found, call.with_result(&vec![1_u8, 2]).unwrap().with_created(at));
    calls.evict(found.lookup_key().unwrap()).await.unwrap();
    assert!(store.keys().is_empty());
}

#[tokio::test]
async fn result_of_a_call_that_was_saved_is_taken() {
    let calls = calls(&Recorder::default());
    let call = Call::new("f").with_argument("a", &1).unwrap();
    calls.save(&call.clone().with_result(&"saved").unwrap()).await.unwrap();
    let taken: String = calls.memoize_call(call, || async { Err("not called") }).await.unwrap();
    assert_eq!(taken, "saved");
}

#[tokio::test]
async fn result_of_another_type_is_computed_and_replaced() {
    let calls = calls(&Recorder::default());
    calls.memoize("f", &1, || async { Ok::<_, Error>("text".to_owned()) }).await.unwrap();
    let number: u8 = calls.memoize("f", &1, || async { Ok::<_, Error>(5) }).await.unwrap();
    assert_eq!(number, 5);
    let again: u8 = calls.memoize("f", &1, || async { Err("not called") }).await.unwrap();
    assert_eq!(again, 5);
    let metrics = calls.cache().metrics();
    assert_eq!((metrics.hits, metrics.misses, metrics.mismatches), (1, 2, 1));
}

#[tokio::test]
async fn function_without_a_value_is_memoized_too() {
    let calls = calls(&Recorder::default());
    calls.memoize("f", &(), || async { Ok::<Option<u8>, Error>(None) }).await.unwrap();
    let none: Option<u8> = calls.memoize("f", &(), || async { Err("not called") }).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn failure_keeps_its_cause_and_records_nothing() {
    let store = Recorder::default();
    let calls = calls(&store);
    let failed = calls.memoize("f", &1, || async { Err::<u8, _>(io::Error::other("no input")) }).await;
    let error = failed.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Compute, "memoize"));
    assert!(error.to_line().ends_with("no input") && !error.to_string().contains("no input"), "{error}");
    assert!(error.key().is_some_and(|key| key.namespace.to_string() == "calls/f"));
    assert!(store.keys().is_empty());
}

#[tokio::test]
async fn what_cannot_be_serialised_is_refused_and_records_nothing() {
    #[derive(Debug, serde::Deserialize)]
    struct Outcome;
    impl Serialize for Outcome {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            Stubborn.serialize(serializer)
        }
    }
    let store = Recorder::default();
    let calls = calls(&store);
    let error = calls.memoize("f", &Stubborn, || async { Err::<u8, _>("not called") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    let error = calls.memoize("f", &1, || async { Ok::<_, Error>(Outcome) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(store.keys().is_empty());
    let error = calls.memoize("", &1, || async { Err::<u8, _>("not called") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn dropped_memoize_records_nothing_and_the_next_one_computes() {
    let store = Recorder::default();
    let calls = calls(&store);
    let hung = calls.memoize("f", &1, || async { std::future::pending::<Result<u8, Error>>().await });
    assert!(futures::FutureExt::now_or_never(hung).is_none());
    assert!(store.keys().is_empty());
    assert_eq!(calls.memoize("f", &1, || async { Ok::<u8, Error>(2) }).await.unwrap(), 2);
}

#[test]
fn futures_can_be_sent() {
    fn send<F: Send>(_: F) {}
    let calls = calls(&Recorder::default());
    send(calls.memoize("f", &1, || async { Ok::<u8, Error>(2) }));
    send(calls.load(Digest::of("a")));
    send(calls.transform(Ok));
    send(calls.query(&CallTemplate::default()));
}
