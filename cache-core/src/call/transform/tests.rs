use super::*;
use crate::{BlobName, Digest, Error, ErrorKind, Refusal, call::recorder::Recorder};

fn calls(store: &Recorder) -> CallStore {
    CallStore::new(store.cache().namespace("calls").unwrap())
}

fn call(version: u32) -> Call {
    Call::new("f").with_version(version.to_string()).with_result(&version).unwrap()
}

fn key_of(call: &Call) -> Key {
    Key::new("calls/f".parse().unwrap(), call.lookup_key().unwrap())
}

/// Calls of the versions 0 to `count`, the result of each being its version.
async fn filled(store: &Recorder, count: u32) -> CallStore {
    let calls = calls(store);
    for version in 0..count {
        calls.save(&call(version)).await.unwrap();
    }
    store.asked();
    calls
}

/// The version of each call there is now, and its result.
async fn versions(calls: &CallStore) -> Vec<(u32, u32)> {
    let found: Vec<Call> = calls.query(&crate::CallTemplate::default()).try_collect().await.unwrap();
    let pair =
        |call: Call| (call.version.unwrap().parse().unwrap(), call.result.unwrap().read().unwrap().unwrap());
    let mut versions: Vec<(u32, u32)> = found.into_iter().map(pair).collect();
    versions.sort_unstable();
    versions
}

fn bump(by: impl Fn(u32) -> u32 + Send) -> impl FnMut(Call) -> Result<Call> + Send {
    move |call| {
        let version: u32 = call.version.as_deref().unwrap().parse().unwrap();
        Ok(call.with_version(by(version).to_string()))
    }
}

#[tokio::test]
async fn identity_changes_nothing_and_evicts_nothing() {
    let store = Recorder::default();
    let calls = filled(&store, 5).await;
    let report = calls.transform(Ok).await.unwrap();
    assert_eq!(report, TransformReport { seen: 5, unchanged: 5, ..TransformReport::default() });
    assert_eq!(
        store.asked().iter().filter(|what| what.starts_with("evict") || what.starts_with("put")).count(),
        0
    );
    assert_eq!(versions(&calls).await, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
}

#[tokio::test]
async fn identity_moves_a_call_that_lies_under_another_key_to_its_own() {
    let store = Recorder::default();
    let calls = filled(&store, 1).await;
    let stale = Key::new("calls/g".parse().unwrap(), Digest::of("stale"));
    store.rename(&key_of(&call(0)), &stale);
    let report = calls.transform(Ok).await.unwrap();
    assert_eq!(report, TransformReport { seen: 1, moved: 1, ..TransformReport::default() });
    assert_eq!(store.keys(), [key_of(&call(0))]);
    assert_eq!(versions(&calls).await, [(0, 0)]);
}

#[tokio::test]
async fn new_key_is_written_before_the_old_one_is_evicted() {
    let store = Recorder::default();
    let calls = filled(&store, 1).await;
    store.insert(&key_of(&call(0)), &BlobName::new("log").unwrap(), "kept");
    let created = calls.find(&call(0)).await.unwrap().unwrap().created;
    store.asked();
    let report = calls.transform(bump(|version| version + 10)).await.unwrap();
    assert_eq!(report, TransformReport { seen: 1, moved: 1, ..TransformReport::default() });
    let (old, new) = (key_of(&call(0)), key_of(&call(10)));
    let changes: Vec<String> = store
        .asked()
        .into_iter()
        .filter(|what| what.starts_with("put") || what.starts_with("evict"))
        .collect();
    let at = |key: &Key| format!("{}/{}", key.namespace, key.digest.prefix(8));
    assert_eq!(changes, [format!("put {}", at(&new)), format!("evict {}", at(&old))]);
    assert_eq!(store.keys(), std::slice::from_ref(&new));
    let names: Vec<String> = store.blobs(&new).keys().map(ToString::to_string).collect();
    assert_eq!(names, ["data", "log", "result"], "all blobs travel along");
    assert_eq!(versions(&calls).await, [(10, 0)]);
    assert_eq!(calls.find(&call(10)).await.unwrap().unwrap().created, created);
}

#[tokio::test]
async fn every_call_is_changed_once_although_keys_move_onto_each_other() {
    for step in [1, 2] {
        let store = Recorder::default();
        let calls = filled(&store, 8).await;
        let report = calls.transform(bump(|version| version + step)).await.unwrap();
        assert_eq!((report.seen, report.moved), (8, 8));
        let expected: Vec<(u32, u32)> = (0..8).map(|version| (version + step, version)).collect();
        assert_eq!(versions(&calls).await, expected);
    }
}

#[tokio::test]
async fn calls_change_places() {
    let store = Recorder::default();
    let calls = filled(&store, 5).await;
    let report = calls.transform(bump(|version| (version + 1) % 5)).await.unwrap();
    assert_eq!((report.seen, report.moved), (5, 5));
    assert_eq!(versions(&calls).await, [(0, 4), (1, 0), (2, 1), (3, 2), (4, 3)]);
}

#[tokio::test]
async fn several_under_one_key_leave_the_last() {
    let store = Recorder::default();
    let calls = filled(&store, 4).await;
    let report = calls.transform(bump(|_| 9)).await.unwrap();
    assert_eq!((report.seen, report.moved), (4, 4));
    let left = versions(&calls).await;
    assert!(left.len() == 1 && left[0].0 == 9, "{left:?}");
}

#[tokio::test]
async fn call_that_others_move_onto_is_not_lost_to_its_own_move() {
    let store = Recorder::default();
    let calls = filled(&store, 2).await;
    // 0 comes to lie where 1 was; 1 stays.
    calls.transform(bump(|_| 1)).await.unwrap();
    let left = versions(&calls).await;
    assert!(left.len() == 1 && left[0].0 == 1, "{left:?}");
}

#[tokio::test]
async fn call_can_go_to_another_function() {
    let store = Recorder::default();
    let calls = filled(&store, 1).await;
    let rename = |mut call: Call| {
        call.name = "a/b".to_owned();
        Ok(call)
    };
    calls.transform(rename).await.unwrap();
    assert_eq!(store.keys().len(), 1);
    assert_ne!(store.keys()[0].namespace.to_string(), "calls/f");
    assert_eq!(versions(&calls).await, [(0, 0)]);
}

#[tokio::test]
async fn result_travels_along_unless_it_is_another_one() {
    let store = Recorder::default();
    let calls = filled(&store, 1).await;
    calls.transform(|call| call.with_version("1").with_result(&77)).await.unwrap();
    assert_eq!(versions(&calls).await, [(1, 77)]);
    let report = calls.transform(|mut call| {
        call.result = call.result.map(Datum::without_value);
        Ok(call)
    });
    assert_eq!(report.await.unwrap().rewritten, 1);
    assert_eq!(store.blobs(&key_of(&call(1))).len(), 1);
    let left = calls.find(&call(1)).await.unwrap().unwrap();
    assert_eq!(left.result, Some(Digest::of_serialize(&77).unwrap().into()));
}

#[tokio::test]
async fn vanished_and_unreadable_entries_are_passed_over() {
    let store = Recorder::default();
    let calls = filled(&store, 3).await;
    store.doom(&key_of(&call(1)));
    let stranger = Key::new("calls/f".parse().unwrap(), Digest::of("stranger"));
    store.insert(&stranger, &BlobName::DATA, "raw");
    let outside = Key::new("calls".parse().unwrap(), Digest::of("outside"));
    store.insert(&outside, &BlobName::DATA, "raw");
    let report = calls.transform(bump(|version| version + 10)).await.unwrap();
    let expected =
        TransformReport { seen: 4, moved: 2, skipped: 1, unreadable: 1, ..TransformReport::default() };
    assert_eq!(report, expected);
    assert!(store.keys().contains(&stranger) && store.keys().contains(&outside));
    let error = calls.report_unreadable().transform(Ok).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
}

#[tokio::test]
async fn refused_call_stays_under_its_old_key() {
    let store = Recorder::default();
    let calls = filled(&store, 3).await;
    store.refuse(Some(Ok(Refusal::OverBudget)));
    let report = calls.transform(bump(|version| version + 1)).await.unwrap();
    assert_eq!(report, TransformReport { seen: 3, refused: 3, ..TransformReport::default() });
    assert_eq!(versions(&calls).await, [(0, 0), (1, 1), (2, 2)]);
}

#[tokio::test]
async fn failed_put_and_failed_change_take_nothing_away() {
    let store = Recorder::default();
    let calls = filled(&store, 3).await;
    store.refuse(Some(Err(Error::new(ErrorKind::NoSpace, "recorder", "put"))));
    let error = calls.transform(bump(|version| version + 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    store.refuse(None);
    let error = calls.transform(|_| Err(Error::invalid("not that one"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = calls.transform(|_| Ok(Call::new(""))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(versions(&calls).await, [(0, 0), (1, 1), (2, 2)]);
}

#[tokio::test]
async fn record_of_what_can_be_no_call_is_unreadable() {
    let store = Recorder::default();
    let calls = filled(&store, 1).await;
    let nobody = Key::new("calls/f".parse().unwrap(), Digest::of("nobody"));
    store.insert(&nobody, &BlobName::DATA, record::encode(&Call::new("")).unwrap());
    let twice = Key::new("calls/f".parse().unwrap(), Digest::of("twice"));
    let call = Call::new("f").with_argument("a", &1).unwrap().with_argument("a", &2).unwrap();
    store.insert(&twice, &BlobName::DATA, record::encode(&call).unwrap());
    let report = calls.transform(Ok).await.unwrap();
    let expected = TransformReport { seen: 3, unchanged: 1, unreadable: 2, ..TransformReport::default() };
    assert_eq!(report, expected);
}
