use std::time::{Duration, SystemTime};

use super::*;
use crate::{BlobName, Datum, ErrorKind, ManualClock, Namespace, Refusal, call::recorder::Recorder};

fn calls(store: &Recorder) -> CallStore {
    CallStore::new(store.cache().namespace("calls").unwrap())
}

fn call(width: u32) -> Call {
    Call::new("resize").with_argument("width", &width).unwrap()
}

fn key_of(call: &Call) -> Key {
    let root: Namespace = "calls".parse().unwrap();
    Key::new(root.child(component_of(&call.name)).unwrap(), call.lookup_key().unwrap())
}

/// A digest that shares all digits with that of `call` but the last.
fn twin(call: &Call) -> Digest {
    let mut bytes = *call.lookup_key().unwrap().as_bytes();
    bytes[31] ^= 1;
    Digest::from_bytes(bytes)
}

#[tokio::test]
async fn saved_call_comes_back_whole_under_its_lookup_key() {
    let store = Recorder::default();
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(9)));
    let calls = calls(&store).with_clock(clock);
    let call = call(640).with_result(&vec![1, 2]).unwrap().with_metadata("host", &"a").unwrap();
    let digest = calls.save(&call).await.unwrap();
    assert_eq!(digest, call.lookup_key().unwrap());
    assert_eq!(store.keys(), [key_of(&call)]);
    let expected = call.clone().with_created(SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    assert_eq!(calls.load(digest).await.unwrap(), expected);
    assert_eq!(calls.load(digest.prefix(7)).await.unwrap(), expected);
    assert_eq!(calls.find(&call).await.unwrap(), Some(expected.clone()));
    let result = expected.result.unwrap();
    assert_eq!(result.read::<Vec<u8>>().unwrap(), Some(vec![1, 2]));
}

#[tokio::test]
async fn saving_again_replaces_the_record_and_its_result_in_one_put() {
    let store = Recorder::default();
    let calls = calls(&store);
    calls.save(&call(640).with_result(&1).unwrap()).await.unwrap();
    store.asked();
    let digest = calls.save(&call(640).with_metadata("host", &"b").unwrap()).await.unwrap();
    assert_eq!(store.asked().len(), 1, "one put and nothing else");
    assert_eq!(store.keys().len(), 1);
    let loaded = calls.load(digest).await.unwrap();
    assert_eq!((loaded.result, loaded.metadata.len()), (None, 1));
}

#[tokio::test]
async fn time_of_a_call_is_kept_if_it_has_one() {
    let calls = calls(&Recorder::default());
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(7);
    let digest = calls.save(&call(1).with_created(at)).await.unwrap();
    assert_eq!(calls.load(digest).await.unwrap().created, Some(at));
}

#[tokio::test]
async fn absent_call_is_not_found_and_a_miss() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = Digest::of("absent");
    let error = calls.load(digest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("calls/{digest}")), "{error}");
    let error = calls.load(digest.prefix(9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("calls"), "{error}");
    assert_eq!(calls.find(&call(1)).await.unwrap(), None);
    assert!(!calls.contains(digest.prefix(9)).await.unwrap());
    calls.evict(digest).await.unwrap();
    calls.evict(digest.prefix(9)).await.unwrap();
    let metrics = calls.cache().metrics();
    assert_eq!((metrics.misses, metrics.contains_misses, metrics.removals), (3, 1, 0));
    assert_eq!(calls.load(digest.prefix(3)).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn short_digest_is_looked_up_over_all_functions_two_at_a_time() {
    let store = Recorder::default();
    let calls = calls(&store);
    for index in 0..20 {
        calls.save(&Call::new(format!("f{index}"))).await.unwrap();
    }
    let wanted = calls.save(&Call::new("g/h")).await.unwrap();
    store.asked();
    assert_eq!(calls.load(wanted.prefix(12)).await.unwrap().name, "g/h");
    let asked = store.asked();
    let listings = asked.iter().filter(|what| what.starts_with("list ")).collect::<Vec<_>>();
    assert_eq!(listings, ["list 2 below Namespace(calls)"]);
    assert_eq!(asked.iter().filter(|what| what.starts_with("listed")).count(), 1);
}

#[tokio::test]
async fn short_digest_of_calls_of_two_functions_is_ambiguous() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1)).await.unwrap();
    store.insert(&Key::new("calls/other".parse().unwrap(), twin(&call(1))), &BlobName::DATA, "x");
    let short = digest.prefix(63);
    let error = calls.load(short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(error.ambiguity().map(|found| found.needed_digits()), Some(64));
    assert_eq!(calls.contains(short).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert_eq!(calls.evict(short).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert_eq!(calls.load(digest).await.unwrap().name, "resize", "a full digest is not");
}

#[tokio::test]
async fn same_digest_under_two_functions_is_one_candidate() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1)).await.unwrap();
    let copy = Key::new("calls/stranger".parse().unwrap(), digest);
    store.insert(&copy, &BlobName::DATA, "x");
    store.asked();
    assert_eq!(calls.load(digest.prefix(20)).await.unwrap().name, "resize");
    assert_eq!(store.asked_for("listed"), 2);
    assert_eq!(calls.load(digest).await.unwrap().name, "resize");
    assert_eq!(store.asked_for("listed"), 1, "a full digest needs no second look");
}

#[tokio::test]
async fn entries_that_are_no_calls_do_not_stand_in_the_way() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1)).await.unwrap();
    for (at, namespace) in
        ["calls", "calls/resize/deeper", "calls/aa/bb", "", "calls2/resize"].iter().enumerate()
    {
        let stranger = if at % 2 == 0 { digest } else { twin(&call(1)) };
        store.insert(&Key::new(namespace.parse().unwrap(), stranger), &BlobName::DATA, "x");
    }
    assert_eq!(calls.load(digest.prefix(20)).await.unwrap().name, "resize");
    calls.evict(digest.prefix(20)).await.unwrap();
    assert!(!calls.contains(digest).await.unwrap());
    assert_eq!(store.keys().len(), 5);
}

#[tokio::test]
async fn evict_takes_record_and_result_together() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1).with_result(&5).unwrap()).await.unwrap();
    assert_eq!(store.blobs(&key_of(&call(1))).len(), 2);
    calls.evict(digest.prefix(8)).await.unwrap();
    assert!(store.keys().is_empty());
    assert_eq!(calls.cache().metrics().removals, 1);
}

#[tokio::test]
async fn unreadable_record_is_a_miss_or_an_error_on_request() {
    let store = Recorder::default();
    let calls = calls(&store);
    let key = key_of(&call(1));
    for (blob, kind) in [("data", ErrorKind::Codec), ("other", ErrorKind::Codec)] {
        store.insert(&key, &BlobName::new(blob).unwrap(), "no record");
        let before = calls.cache().metrics();
        assert_eq!(calls.load(key.digest).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(calls.find(&call(1)).await.unwrap(), None);
        let since = calls.cache().metrics().since(&before);
        assert_eq!((since.hits, since.misses, since.mismatches, since.errors), (0, 2, 2, 0));
        let error = calls.clone().report_unreadable().load(key.digest).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (kind, Some(&key)));
        calls.cache().store().evict(&key).await.unwrap();
    }
    calls.save(&call(1)).await.unwrap();
    store.damage(&key);
    let before = calls.cache().metrics();
    assert_eq!(calls.find(&call(1)).await.unwrap(), None);
    let since = calls.cache().metrics().since(&before);
    assert_eq!((since.misses, since.corrupt, since.mismatches), (1, 1, 0));
    let error = calls.report_unreadable().find(&call(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some(&key)));
}

#[tokio::test]
async fn bad_call_is_refused_before_anything_is_stored() {
    let store = Recorder::default();
    let calls = calls(&store);
    let twice = call(1).with_argument("width", &2).unwrap();
    for bad in [twice, Call::new("")] {
        assert_eq!(calls.save(&bad).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(calls.find(&bad).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(store.asked().is_empty());
}

#[tokio::test]
async fn store_that_refuses_or_fails_is_told_apart() {
    let store = Recorder::default();
    let calls = calls(&store);
    store.refuse(Some(Ok(Refusal::Disabled)));
    assert_eq!(calls.save(&call(1)).await.unwrap(), call(1).lookup_key().unwrap());
    store.refuse(Some(Err(Error::new(ErrorKind::NoSpace, "recorder", "put"))));
    assert_eq!(calls.save(&call(1)).await.unwrap_err().kind(), ErrorKind::NoSpace);
    let metrics = calls.cache().metrics();
    assert_eq!((metrics.puts, metrics.refused_puts, metrics.put_errors), (0, 1, 1));
}

#[tokio::test]
async fn functions_with_names_that_are_no_paths_are_kept_apart() {
    let calls = calls(&Recorder::default());
    let names = ["a/b", "a", "b", "..", "-a", "a\u{0}", &"x".repeat(70), &"x".repeat(71)];
    let mut digests = Vec::new();
    for name in names {
        digests.push(calls.save(&Call::new(name)).await.unwrap());
    }
    for (name, digest) in names.iter().zip(digests) {
        assert_eq!(calls.load(digest).await.unwrap().name, *name);
        assert_eq!(calls.load(digest.prefix(12)).await.unwrap().name, *name);
    }
}

#[tokio::test]
async fn result_beside_a_record_that_is_not_readable_is_left_out() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1).with_result_datum(Digest::of("r"))).await.unwrap();
    store.insert(&key_of(&call(1)), &record::result_name(), "raw");
    assert_eq!(calls.load(digest).await.unwrap().result, Some(Datum::from(Digest::of("r"))));
}

#[tokio::test]
async fn large_result_is_read_inside_of_the_hooks() {
    let store = Recorder::default();
    let calls = CallStore::new(store.cache().with_hook(store.hook()));
    let large = call(1).with_result(&"x".repeat(100_000)).unwrap();
    calls.save(&large).await.unwrap();
    store.asked();
    calls.find(&large).await.unwrap().unwrap();
    let asked: Vec<String> = store.asked().into_iter().map(|what| what.replace(' ', "_")).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked.iter().position(|what| what == "stream_result"), Some(2), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("-get_entry"));
}

#[tokio::test]
async fn short_digest_that_cannot_be_expanded_is_one_failed_read() {
    let store = Recorder::default();
    let calls = calls(&store);
    let digest = calls.save(&call(1)).await.unwrap();
    store.insert(&Key::new("calls/other".parse().unwrap(), twin(&call(1))), &BlobName::DATA, "x");
    calls.load(digest.prefix(63)).await.unwrap_err();
    calls.load(digest.prefix(2)).await.unwrap_err();
    let metrics = calls.cache().metrics();
    assert_eq!((metrics.errors, metrics.hits, metrics.misses), (2, 0, 0));
}

#[tokio::test]
async fn every_operation_enters_the_hooks_once() {
    let store = Recorder::default();
    let calls = CallStore::new(store.cache().with_hook(store.hook()));
    let check = |name: &str| {
        let asked = store.asked();
        let hooked = asked.iter().filter(|what| what.starts_with(['+', '-'])).collect::<Vec<_>>();
        assert_eq!(hooked, [&format!("+{name}"), &format!("-{name}")], "{asked:?}");
        assert_eq!((asked.first(), asked.last()), (Some(hooked[0]), Some(hooked[1])), "{asked:?}");
    };
    let digest = calls.save(&call(1)).await.unwrap();
    check("put");
    calls.load(digest.prefix(9)).await.unwrap();
    check("load");
    calls.find(&call(1)).await.unwrap().unwrap();
    check("get_entry");
    assert!(calls.contains(digest).await.unwrap());
    check("contains");
    calls.transform(|call| Ok(call.with_version("2"))).await.unwrap();
    check("transform");
    calls.save(&call(1)).await.unwrap();
    store.asked();
    calls.evict(digest).await.unwrap();
    check("evict");
}
