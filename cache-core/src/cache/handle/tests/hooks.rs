//! Hooks on the handle: around every operation, once, whatever it is made of.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{FutureExt, TryStreamExt, future::join_all};

use super::*;
use crate::{
    BlobName, CleanPolicy, GetOptions, Hooked, Limited, ListOptions, PerKeyLock, PutEntry, PutOptions,
    Serialized,
    cache::probe::{Probe, begin},
    hook::recorder::Recorder,
    toy::Toy,
};

fn open(hook: impl OperationHook) -> (Cache, Arc<Probe>) {
    let probe = Arc::new(Probe::default());
    (Cache::new(Arc::new(Arc::clone(&probe))).with_hook(Arc::new(hook)), probe)
}

fn digest() -> Digest {
    Digest::of("k")
}

#[tokio::test]
async fn every_operation_enters_once_with_its_target_and_intent() {
    let recorder = Recorder::default();
    let (cache, _) = open(recorder.clone());
    let view = cache.namespace("ns").unwrap();
    let (digest, prefix) = (digest(), digest().prefix(8));
    let key = Target::Key(view.key(digest));
    let short = Target::Prefix(view.address().clone(), prefix);
    let scope = Target::Scope(view.address().clone());
    let data = BlobName::DATA;
    view.put(digest, "v").await.unwrap();
    recorder.take_seen();

    macro_rules! check {
        ($operation:expr => $name:literal, $target:expr, $intent:ident) => {
            recorder.take_log();
            $operation.await.unwrap();
            let seen = recorder.take_seen();
            let tried = seen.len() - 1;
            for (name, target, intent) in seen {
                assert_eq!((name, &target, intent), ($name, $target, Intent::$intent));
            }
            assert!(tried <= 1, "at most once without waiting and once for good");
            let log = recorder.take_log();
            assert_eq!(log.len() % 2, 0, "who came has left: {log:?}");
        };
    }
    check!(view.get(digest) => "get", &key, Read);
    check!(view.get(prefix) => "get", &short, Read);
    check!(view.get_with(digest, &data, GetOptions::default()) => "get_with", &key, Read);
    check!(view.entry(digest).read() => "get_entry", &key, Read);
    check!(view.contains(prefix) => "contains", &short, Read);
    check!(view.meta(digest) => "meta", &key, Read);
    check!(view.expand(prefix) => "expand", &short, Read);
    check!(view.shrink(digest) => "shrink", &key, Read);
    check!(view.shrink_all(&[digest]) => "shrink_all", &scope, Read);
    check!(view.usage() => "usage", &scope, Read);
    check!(view.verify(&crate::VerifyOptions::default()) => "verify", &scope, Read);
    check!(view.list(ListOptions::default()).unwrap().try_collect::<Vec<_>>() => "list", &scope, Read);
    check!(view.get_or_compute(digest, || async { Ok::<_, Error>("v") }) => "get_or_compute", &key, Write);
    check!(view.put(digest, "w") => "put", &key, Write);
    check!(view.put_with(digest, PutEntry::data("x"), PutOptions::default()) => "put", &key, Write);
    check!(view.evict(prefix) => "evict", &short, Write);
    check!(view.evict(digest) => "evict", &key, Write);
    check!(view.clean(&CleanPolicy::default()) => "clean", &scope, Write);
    check!(view.clear() => "clear", &scope, Write);
    check!(view.flush() => "flush", &Target::Store, Read);
    check!(view.close(None) => "close", &Target::Store, Write);
}

#[tokio::test]
async fn a_hook_that_refuses_keeps_the_operation_from_the_store() {
    let (cache, probe) = open(Recorder::refusing(ErrorKind::Denied));
    let errors = [
        cache.get(digest()).await.map(drop).unwrap_err(),
        cache.put(digest(), "v").await.map(drop).unwrap_err(),
        cache.get_or_compute(digest(), || async { Ok::<_, Error>("v") }).await.map(drop).unwrap_err(),
    ];
    for (error, operation) in errors.iter().zip(["get", "put", "get_or_compute"]) {
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, operation));
        assert_eq!(error.key().map(|key| key.digest), Some(digest()));
    }
    assert_eq!((probe.gets(), probe.puts()), (0, 0));
}

#[tokio::test]
async fn hooks_nest_in_the_order_in_which_they_were_attached() {
    let outer = Recorder::default().named("outer ");
    let inner = outer.named("inner ");
    let cache =
        Cache::new(Arc::new(Toy::default())).with_hook(Arc::new(outer.clone())).with_hook(Arc::new(inner));
    cache.put(digest(), "v").await.unwrap();
    assert_eq!(outer.take_log(), ["+outer put", "+inner put", "-inner put", "-outer put"]);
}

/// One hook on the store and on the handle: nested operations on the same key must not wait for themselves.
async fn nests(hook: Arc<dyn OperationHook>) {
    let store = Hooked::new(Toy::default(), Arc::clone(&hook));
    let cache = Cache::new(Arc::new(store)).with_hook(hook);
    let inner = cache.clone();
    let work = async {
        let compute = cache.get_or_compute(digest(), move || async move {
            inner.get(digest()).await?;
            inner.put(digest(), "by hand").await?;
            inner.contains(digest().prefix(8)).await?;
            inner.get_or_compute(Digest::of("part"), || async { Ok::<_, Error>("part") }).await
        });
        assert_eq!(compute.await.unwrap(), "part");
        assert_eq!(cache.get(digest()).await.unwrap().unwrap(), "by hand");
        cache.clear().await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("no deadlock");
}

#[tokio::test(start_paused = true)]
async fn the_same_lock_on_store_and_handle_does_not_wait_for_itself() {
    nests(Arc::new(Serialized::default())).await;
    nests(Arc::new(PerKeyLock::default())).await;
    nests(Arc::new(Limited::new(1).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn shared_work_belongs_to_the_operation_that_began_it_whoever_polls_it() {
    let lock: Arc<dyn OperationHook> = Arc::new(PerKeyLock::default());
    let probe = Arc::new(Probe::default());
    let store = Hooked::new(Arc::clone(&probe), Arc::clone(&lock));
    let cache = Cache::new(Arc::new(store)).with_hook(lock);
    probe.before_get.shut();
    let mut readers: Vec<_> = (0..3).map(|_| cache.get(digest()).boxed()).collect();
    readers.iter_mut().for_each(begin);
    assert_eq!(probe.gets(), 1, "readers of a key share its lock, and the fetch");
    probe.before_get.open();
    let answers = tokio::time::timeout(Duration::from_secs(60), join_all(readers)).await;
    assert!(answers.expect("no deadlock").into_iter().all(|answer| answer.unwrap().is_none()));
    assert_eq!(probe.gets.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn computations_that_ask_for_each_other_under_a_lock_end_in_an_error() {
    let cache = Cache::new(Arc::new(Toy::default())).with_hook(Arc::new(PerKeyLock::default()));
    let meet = Arc::new(tokio::sync::Barrier::new(2));
    let ask = |own: &'static str, other: &'static str| {
        let (cache, inner, meet) = (cache.clone(), cache.clone(), Arc::clone(&meet));
        async move {
            let compute = cache.get_or_compute(Digest::of(own), move || async move {
                meet.wait().await;
                inner.get_or_compute(Digest::of(other), || async { Ok::<_, Error>("inner") }).await
            });
            compute.await
        }
    };
    let both = futures::future::join(ask("a", "b"), ask("b", "a"));
    let (one, two) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("no deadlock");
    assert!(one.is_err() || two.is_err());
}

/// A computation under way that two wait for, of whom the first leaves; a third one takes its permit.
async fn goes_on_without_its_first_caller(cache: Cache, digest: Digest) {
    let go_on = Arc::new(tokio::sync::Notify::new());
    let compute = || {
        let (cache, inner, go_on) = (cache.clone(), cache.clone(), Arc::clone(&go_on));
        let compute = async move {
            let work = move || async move {
                go_on.notified().await;
                inner.get(Digest::of("part")).await?;
                Ok::<_, Error>("v")
            };
            cache.get_or_compute(digest, work).await
        };
        compute.boxed()
    };
    let (mut first, mut second, mut third) = (compute(), compute(), compute());
    begin(&mut first);
    begin(&mut second);
    begin(&mut third);
    drop(first);
    go_on.notify_one();
    let both = tokio::time::timeout(Duration::from_secs(60), join_all([second, third])).await;
    for answer in both.expect("no deadlock") {
        assert_eq!(answer.unwrap(), "v");
    }
}

#[tokio::test(start_paused = true)]
async fn work_whose_first_caller_left_does_not_wait_for_the_permits_of_those_who_wait_for_it() {
    let (cache, _) = open(Limited::new(2).unwrap());
    goes_on_without_its_first_caller(cache, digest()).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_limit_on_store_and_handle_does_not_wait_for_itself_when_a_caller_left() {
    let hook: Arc<dyn OperationHook> = Arc::new(Limited::new(2).unwrap());
    let probe = Arc::new(Probe::default());
    let store = Hooked::new(Arc::clone(&probe), Arc::clone(&hook));
    let cache = Cache::new(Arc::new(store)).with_hook(hook);
    let go_on = Arc::new(tokio::sync::Notify::new());
    let compute = || {
        let wait = Arc::clone(&go_on);
        let work = move || async move {
            wait.notified().await;
            Ok::<_, Error>("v")
        };
        cache.get_or_compute(digest(), work).boxed()
    };
    let (mut first, mut second, mut third) = (compute(), compute(), compute());
    begin(&mut first);
    begin(&mut second);
    begin(&mut third);
    drop(first);
    go_on.notify_one();
    let both = tokio::time::timeout(Duration::from_secs(60), join_all([second, third])).await;
    assert!(both.expect("no deadlock").into_iter().all(|answer| answer.unwrap() == "v"));
}

#[tokio::test(start_paused = true)]
async fn close_ends_at_its_deadline_whatever_the_hooks_wait_for() {
    let (cache, _) = open(PerKeyLock::default());
    let mut computing =
        cache.get_or_compute(digest(), futures::future::pending::<Result<&'static str, Error>>).boxed();
    begin(&mut computing);
    let close = tokio::time::timeout(Duration::from_secs(60), cache.close(Some(Duration::from_secs(1))));
    close.await.expect("it ends at its deadline").unwrap();
}

#[tokio::test]
async fn an_operation_that_is_no_hit_enters_its_hooks_once() {
    let recorder = Recorder::default();
    let (cache, _) = open(recorder.clone());
    cache.get(digest()).await.unwrap();
    assert_eq!(recorder.take_log(), ["+get", "-get"]);
}

#[tokio::test]
async fn a_call_that_a_hook_refuses_is_an_error_in_the_counters_whatever_it_is() {
    let (cache, _) = open(Recorder::refusing(ErrorKind::Denied));
    cache.get(digest()).await.unwrap_err();
    assert_eq!(cache.metrics().errors, 1);
    cache.get_or_compute(digest(), || async { Ok::<_, Error>("v") }).await.unwrap_err();
    assert_eq!(cache.metrics().errors, 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_first_caller_left_does_not_wait_behind_a_writer_that_waits_for_its_readers() {
    let lock: Arc<dyn OperationHook> = Arc::new(PerKeyLock::default());
    let limit: Arc<dyn OperationHook> = Arc::new(Limited::new(1).unwrap());
    let probe = Arc::new(Probe::default());
    let store = Hooked::new(Arc::clone(&probe), limit).with_hook(Arc::clone(&lock));
    let cache = Cache::new(Arc::new(store)).with_hook(lock);
    probe.before_get.shut();
    let mut other = cache.get(Digest::of("other")).boxed();
    begin(&mut other);
    let (mut first, mut second) = (cache.get(digest()).boxed(), cache.get(digest()).boxed());
    begin(&mut first);
    begin(&mut second);
    let mut writer = cache.put(digest(), "v").boxed();
    begin(&mut writer);
    drop(first);
    probe.before_get.open();
    other.await.unwrap();
    let both = futures::future::join(second, writer);
    let both = tokio::time::timeout(Duration::from_secs(60), both).await.expect("no deadlock");
    assert!(both.0.is_ok() && both.1.is_ok());
}
