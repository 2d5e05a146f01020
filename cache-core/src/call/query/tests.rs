use std::time::{Duration, SystemTime};

use super::*;
use crate::{BlobName, Digest, Key, call::recorder::Recorder};

fn calls(store: &Recorder) -> CallStore {
    CallStore::new(store.cache().namespace("calls").unwrap())
}

fn call(name: &str, width: u32) -> Call {
    Call::new(name).with_argument("width", &width).unwrap()
}

async fn filled(store: &Recorder) -> CallStore {
    let calls = calls(store);
    for width in 0..10 {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from((width * 7) % 10));
        calls.save(&call("resize", width).with_created(at).with_result(&(width % 2)).unwrap()).await.unwrap();
        calls.save(&call("a/b", width)).await.unwrap();
    }
    store.asked();
    calls
}

fn named(name: &str) -> CallTemplate {
    CallTemplate::default().with_name(name)
}

#[tokio::test]
async fn query_finds_all_and_only_matching_calls() {
    let calls = filled(&Recorder::default()).await;
    assert_eq!(calls.query(&CallTemplate::default()).count().await.unwrap(), 20);
    assert_eq!(calls.query(&named("resize")).count().await.unwrap(), 10);
    assert_eq!(calls.query(&named("a/b")).count().await.unwrap(), 10);
    assert_eq!(calls.query(&named("nobody")).count().await.unwrap(), 0);
    assert_eq!(calls.query(&named("")).count().await.unwrap(), 0);
    let three = CallTemplate::default().with_argument("width", &3).unwrap();
    let mut found: Vec<String> = calls.query(&three).map_ok(|call| call.name).try_collect().await.unwrap();
    found.sort();
    assert_eq!(found, ["a/b", "resize"]);
    let odd: Vec<Call> =
        calls.query(&CallTemplate::default().with_result(&1).unwrap()).try_collect().await.unwrap();
    assert_eq!(odd.len(), 5);
    for call in odd {
        assert_eq!(call.result.unwrap().read::<u32>().unwrap(), Some(1), "with its value");
    }
}

#[tokio::test]
async fn query_reads_nothing_before_it_is_polled_and_then_one_by_one() {
    let store = Recorder::default();
    let calls = filled(&store).await;
    let query = calls.query(&named("resize"));
    assert!(store.asked().is_empty());
    let first: Vec<_> = query.take(1).collect().await;
    assert!(first[0].is_ok());
    let asked = store.asked();
    let count = |what: &str| asked.iter().filter(|asked| asked.starts_with(what)).count();
    assert_eq!((count("get_entry"), count("listed"), count("list ")), (1, 1, 1), "{asked:?}");
}

#[tokio::test]
async fn query_that_names_the_function_lists_its_namespace_alone() {
    let store = Recorder::default();
    let calls = filled(&store).await;
    calls.query(&named("resize")).count().await.unwrap();
    let asked = store.asked();
    assert_eq!(asked[0], "list all of Namespace(calls/resize)");
    assert!(asked.iter().all(|what| what.contains("calls/resize")), "{asked:?}");
    assert_eq!(asked.len(), 1 + 10 + 10);
    calls.query(&CallTemplate::default()).count().await.unwrap();
    assert_eq!(store.asked()[0], "list all below Namespace(calls)");
}

#[tokio::test]
async fn large_result_is_read_for_matching_calls_alone() {
    let store = Recorder::default();
    let calls = calls(&store);
    for width in 0..4 {
        calls.save(&call("f", width).with_result(&"x".repeat(100_000)).unwrap()).await.unwrap();
    }
    store.asked();
    let template = named("f").with_argument("width", &2).unwrap();
    let found = calls.query(&template).only().await.unwrap();
    assert_eq!(found.result.unwrap().read::<String>().unwrap().unwrap().len(), 100_000);
    assert_eq!(store.asked_for("stream result"), 1);
}

#[tokio::test]
async fn only_wants_exactly_one() {
    let store = Recorder::default();
    let calls = filled(&store).await;
    let one = named("resize").with_argument("width", &3).unwrap();
    assert_eq!(calls.query(&one).only().await.unwrap().argument("width").unwrap().read().unwrap(), Some(3));
    let none = calls.query(&named("nobody")).only().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    store.asked();
    let many = calls.query(&named("resize")).only().await.unwrap_err();
    assert_eq!(many.kind(), ErrorKind::Ambiguous);
    assert!(many.to_string().contains("\"resize\""), "{many}");
    assert_eq!(store.asked_for("get_entry"), 2);
}

#[tokio::test]
async fn latest_goes_by_the_time_of_recording() {
    let calls = filled(&Recorder::default()).await;
    let latest = calls.query(&named("resize")).latest().await.unwrap().unwrap();
    assert_eq!(latest.argument("width").unwrap().read().unwrap(), Some(7), "7 * 7 ends in 9");
    assert_eq!(calls.query(&named("nobody")).latest().await.unwrap(), None);
}

#[tokio::test]
async fn unreadable_records_are_left_out_and_counted_or_errors_on_request() {
    let store = Recorder::default();
    let calls = filled(&store).await;
    let stranger = Key::new("calls/resize".parse().unwrap(), Digest::of("stranger"));
    store.insert(&stranger, &BlobName::DATA, "raw");
    let damaged = Key::new("calls/resize".parse().unwrap(), call("resize", 1).lookup_key().unwrap());
    store.damage(&damaged);
    let mut query = calls.query(&named("resize"));
    let mut found = 0;
    while query.try_next().await.unwrap().is_some() {
        found += 1;
    }
    assert_eq!((found, query.unreadable()), (9, 2));

    let asking = calls.report_unreadable();
    let items: Vec<_> = asking.query(&named("resize")).collect().await;
    let (good, bad): (Vec<_>, Vec<_>) = items.into_iter().partition(std::result::Result::is_ok);
    let mut kinds: Vec<_> = bad.into_iter().map(|error| error.unwrap_err().kind()).collect();
    kinds.sort_by_key(ToString::to_string);
    assert_eq!((good.len(), kinds), (9, vec![ErrorKind::Codec, ErrorKind::Corrupt]));
}

#[tokio::test]
async fn entries_that_are_no_calls_or_vanish_are_left_out() {
    let store = Recorder::default();
    let calls = filled(&store).await;
    store.insert(&Key::new("calls".parse().unwrap(), Digest::of("a")), &BlobName::DATA, "raw");
    store.insert(&Key::new("calls/resize/x".parse().unwrap(), Digest::of("a")), &BlobName::DATA, "raw");
    store.doom(&Key::new("calls/resize".parse().unwrap(), call("resize", 2).lookup_key().unwrap()));
    let mut query = calls.query(&CallTemplate::default());
    let mut found = 0;
    while query.try_next().await.unwrap().is_some() {
        found += 1;
    }
    assert_eq!((found, query.unreadable()), (19, 0));
}

#[tokio::test]
async fn function_that_does_not_fit_below_the_namespace_is_an_error_of_the_stream() {
    let mut cache = Recorder::default().cache();
    for _ in 0..8 {
        cache = cache.namespace("x".repeat(60)).unwrap();
    }
    let error = CallStore::new(cache).query(&named(&"y".repeat(60))).try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn listing_of_a_query_enters_the_hooks() {
    let store = Recorder::default();
    let calls = CallStore::new(store.cache().with_hook(store.hook()));
    calls.save(&call("resize", 1)).await.unwrap();
    store.asked();
    assert_eq!(calls.query(&named("resize")).count().await.unwrap(), 1);
    let asked = store.asked();
    assert!(asked.iter().any(|what| what == "+list"), "{asked:?}");
}
