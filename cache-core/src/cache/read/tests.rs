#![expect(clippy::disallowed_methods, reason = "the tests await the callers that they spawn")]

use std::sync::atomic::Ordering;

use futures::{FutureExt, future::join_all};

use super::*;
use crate::{
    Digest, PutEntry, Store,
    cache::probe::{Probe, begin},
};

fn open() -> (Cache, Arc<Probe>) {
    let probe = Arc::new(Probe::default());
    (Cache::new(Arc::new(Arc::clone(&probe))), probe)
}

fn key() -> Digest {
    Digest::of("k")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_readers_make_one_fetch_and_each_is_counted() {
    let (cache, probe) = open();
    cache.namespace("ns").unwrap().put(key(), "v").await.unwrap();
    probe.before_get.shut();
    let readers = (0..1_000).map(|_| {
        let view = cache.namespace("ns").unwrap();
        tokio::spawn(async move { view.get(key()).await })
    });
    let readers: Vec<_> = readers.collect();
    while cache.flights().callers() < 1_000 {
        tokio::task::yield_now().await;
    }
    probe.before_get.open();
    for reader in join_all(readers).await {
        assert_eq!(reader.unwrap().unwrap().unwrap(), "v");
    }
    assert_eq!(probe.gets(), 1);
    assert_eq!(cache.metrics().hits, 1_000);
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_read_after_a_put_or_an_eviction_is_not_answered_by_an_older_one() {
    let (cache, probe) = open();
    probe.within_get.shut();
    let mut old = cache.get(key()).boxed();
    begin(&mut old);
    probe.within_get.reached().await;
    cache.put(key(), "new").await.unwrap();
    let mut new = cache.get(key()).boxed();
    begin(&mut new);
    cache.evict(key()).await.unwrap();
    let mut none = cache.get(key()).boxed();
    begin(&mut none);
    probe.within_get.open();
    assert_eq!(old.await.unwrap(), None);
    assert_eq!(new.await.unwrap().unwrap(), "new");
    assert_eq!(none.await.unwrap(), None);
}

#[tokio::test]
async fn a_read_after_a_computation_is_not_answered_by_an_older_miss() {
    let (cache, probe) = open();
    probe.within_get.shut();
    let mut old = cache.get(key()).boxed();
    begin(&mut old);
    probe.within_get.reached().await;
    let mut computing = cache.get_or_compute(key(), || async { Ok::<_, std::io::Error>("computed") }).boxed();
    begin(&mut computing);
    probe.within_get.open();
    computing.await.unwrap();
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "computed");
    assert_eq!(old.await.unwrap(), None);
}

#[tokio::test]
async fn the_others_are_served_when_the_first_reader_is_dropped() {
    let (cache, probe) = open();
    cache.put(key(), "v").await.unwrap();
    probe.before_get.shut();
    let mut first = cache.get(key()).boxed();
    begin(&mut first);
    let mut second = cache.get(key()).boxed();
    begin(&mut second);
    drop(first);
    probe.before_get.open();
    assert_eq!(second.await.unwrap().unwrap(), "v");
    assert_eq!(probe.gets(), 1);
}

#[tokio::test]
async fn a_failed_fetch_is_the_error_of_all_who_share_it_and_not_kept() {
    let (cache, probe) = open();
    cache.put(key(), "v").await.unwrap();
    probe.before_get.shut();
    probe.fail_gets.store(true, Ordering::SeqCst);
    let mut readers: Vec<_> = (0..3).map(|_| cache.get(key()).boxed()).collect();
    readers.iter_mut().for_each(begin);
    probe.before_get.open();
    for reader in join_all(readers).await {
        assert_eq!(reader.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!((probe.gets(), cache.metrics().errors), (1, 3));
    probe.fail_gets.store(false, Ordering::SeqCst);
    assert!(cache.get(key()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stream_is_one_readers_and_the_others_read_for_themselves() {
    let (cache, probe) = open();
    cache.put(key(), "v").await.unwrap();
    probe.streams.store(true, Ordering::SeqCst);
    probe.before_get.shut();
    let get = || cache.get_with(key(), &BlobName::DATA, GetOptions::default()).boxed();
    let mut readers: Vec<_> = (0..3).map(|_| get()).collect();
    readers.iter_mut().for_each(begin);
    assert_eq!(probe.gets(), 1);
    probe.before_get.open();
    for reader in join_all(readers).await {
        let blob = reader.unwrap().unwrap();
        assert!(blob.bytes().is_none());
        assert_eq!(blob.collect(100).await.unwrap(), "v");
    }
    assert_eq!(probe.gets(), 3);
}

#[tokio::test]
async fn whole_reads_share_one_collected_stream() {
    let (cache, probe) = open();
    cache.put(key(), "v").await.unwrap();
    probe.streams.store(true, Ordering::SeqCst);
    probe.before_get.shut();
    let mut readers: Vec<_> = (0..3).map(|_| cache.get(key()).boxed()).collect();
    readers.iter_mut().for_each(begin);
    probe.before_get.open();
    let answers: Vec<Bytes> =
        join_all(readers).await.into_iter().map(|reader| reader.unwrap().unwrap()).collect();
    assert_eq!(probe.gets(), 1);
    assert!(answers.iter().all(|bytes| bytes.as_ptr() == answers[0].as_ptr()), "one allocation");
}

#[tokio::test]
async fn views_of_another_namespace_do_not_share() {
    let (cache, probe) = open();
    probe.before_get.shut();
    let views = ["a", "b"].map(|part| cache.namespace(part).unwrap());
    let mut readers: Vec<_> = views.iter().map(|view| view.get(key()).boxed()).collect();
    readers.iter_mut().for_each(begin);
    probe.before_get.open();
    join_all(readers).await;
    assert_eq!(probe.gets(), 2);
}

#[tokio::test]
async fn counters_of_a_handle_can_be_reset() {
    let (cache, _) = open();
    let entry = PutEntry::data("v");
    cache.put_with(key(), entry, crate::PutOptions::default()).await.unwrap();
    cache.get(key()).await.unwrap();
    cache.reset_metrics();
    let metrics = cache.metrics();
    assert_eq!((metrics.puts, metrics.hits), (0, 0));
    cache.namespace("ns").unwrap().get(key()).await.unwrap();
    assert_eq!(cache.metrics().misses, 1);
    _ = cache.store().info();
}

#[tokio::test]
async fn only_calls_that_another_ones_work_answered_count_as_coalesced() {
    let (cache, probe) = open();
    cache.put(key(), "v").await.unwrap();
    probe.streams.store(true, Ordering::SeqCst);
    probe.before_get.shut();
    let get = || cache.get_with(key(), &BlobName::DATA, GetOptions::default()).boxed();
    let mut readers = [get(), get(), get()];
    readers.iter_mut().for_each(begin);
    probe.before_get.open();
    join_all(readers).await;
    assert_eq!((probe.gets(), cache.metrics().coalesced), (3, 0), "each read for itself");
}
