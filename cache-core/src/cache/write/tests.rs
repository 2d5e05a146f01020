#![expect(clippy::disallowed_methods, reason = "the tests await the callers that they spawn")]

use std::{sync::mpsc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{join, join_all},
    stream,
};
use tokio::time::timeout;

use super::*;
use crate::{
    PutMode,
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
async fn identical_puts_are_one_write_through_every_view() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let puts = (0..1_000).map(|_| {
        let view = cache.namespace("compile").unwrap();
        // Equal bytes in other allocations are identical, too.
        tokio::spawn(async move { view.put(key(), b"the same".to_vec()).await })
    });
    let puts: Vec<_> = puts.collect();
    while cache.flights().callers() < 1_000 {
        tokio::task::yield_now().await;
    }
    probe.before_put.open();
    for put in join_all(puts).await {
        assert!(put.unwrap().unwrap().is_stored());
    }
    assert_eq!(probe.puts(), 1);
    let metrics = cache.metrics();
    assert_eq!((metrics.puts, metrics.bytes_in), (1_000, 8_000));
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn puts_that_differ_in_anything_are_writes_of_their_own() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let name = BlobName::new("stderr").unwrap();
    let merge = PutOptions::mode(PutMode::Merge);
    let puts = [
        cache.put_with(key(), PutEntry::data("a"), PutOptions::default()),
        cache.put_with(key(), PutEntry::data("b"), PutOptions::default()),
        cache.put_with(key(), PutEntry::data("a"), merge),
        cache.put_with(key(), PutEntry::default().with(name.clone(), "a"), PutOptions::default()),
        cache.put_with(key(), PutEntry::data("a").with(name, ""), PutOptions::default()),
        cache.put_with(Digest::of("other"), PutEntry::data("a"), PutOptions::default()),
    ];
    let mut puts = puts.map(FutureExt::boxed);
    puts.iter_mut().for_each(begin);
    probe.before_put.open();
    join_all(puts).await;
    assert_eq!(probe.puts(), 6);
}

#[tokio::test]
async fn streams_are_never_shared() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let put = || {
        let stream = stream::iter([Ok(Bytes::from_static(b"a"))]).boxed();
        let entry = PutEntry::default().with_stream(BlobName::DATA, Some(1), stream);
        cache.put_with(key(), entry, PutOptions::default()).boxed()
    };
    let (mut one, mut two) = (put(), put());
    begin(&mut one);
    begin(&mut two);
    probe.before_put.open();
    _ = join(one, two).await;
    assert_eq!(probe.puts(), 2);
}

#[tokio::test]
async fn the_others_are_served_when_the_first_put_is_dropped() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let mut first = cache.put(key(), "v").boxed();
    begin(&mut first);
    let mut second = cache.put(key(), "v").boxed();
    begin(&mut second);
    drop(first);
    probe.before_put.open();
    assert!(second.await.unwrap().is_stored());
    assert_eq!(probe.puts(), 1);
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn a_put_that_every_caller_dropped_leaves_the_old_value_and_no_work() {
    let (cache, probe) = open();
    cache.put(key(), "old").await.unwrap();
    probe.before_put.shut();
    let mut put = cache.put(key(), "new").boxed();
    begin(&mut put);
    drop(put);
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "old");
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_put_after_another_one_is_never_answered_by_an_older_one() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let mut slow = cache.put(key(), "a").boxed();
    begin(&mut slow);
    probe.before_put.reached().await;
    let mut other = cache.put(key(), "b").boxed();
    begin(&mut other);
    // The same bytes as the first one, but another write has begun since.
    let mut same = cache.put(key(), "a").boxed();
    begin(&mut same);
    probe.before_put.open();
    slow.await.unwrap();
    other.await.unwrap();
    same.await.unwrap();
    assert_eq!(probe.puts(), 3);
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "a");
}

/// The task of a shared put is within the store, on another thread, when its callers are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_write_lands_after_a_put_that_its_callers_left_while_it_was_stored() {
    for case in ["put", "evict"] {
        let (cache, probe) = open();
        probe.before_put.shut();
        let (mut one, mut two) = (cache.put(key(), "old").boxed(), cache.put(key(), "old").boxed());
        begin(&mut one);
        begin(&mut two);
        let (reached, is_reached) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        *probe.within_put.lock().unwrap() = Some((reached, may_go_on));
        probe.before_put.open();
        is_reached.recv().unwrap();
        drop((one, two));

        let writer = cache.clone();
        let mut write = tokio::spawn(async move {
            match case {
                "put" => drop(writer.put(key(), "new").await.unwrap()),
                _ => writer.evict(key()).await.unwrap(),
            }
        });
        let returned = timeout(Duration::from_millis(100), &mut write).await;
        go_on.send(()).unwrap();
        if returned.is_err() {
            write.await.unwrap();
        }
        let right = (case != "evict").then(|| Bytes::from("new"));
        assert_eq!(cache.get(key()).await.unwrap(), right, "{case}");
        cache.tasks().close();
        cache.tasks().wait().await;
        assert_eq!(cache.get(key()).await.unwrap(), right, "{case}: the older put landed after it");
        assert!(cache.flights().is_empty());
    }
}

/// As before, with a write in between that waits for the older put and is given up: what is left of it still
/// waits when the last write begins.
#[test]
fn a_write_lands_after_a_put_that_another_write_had_waited_for() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let (cache, probe) = open();
    let (reached, is_reached) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    {
        let _entered = runtime.enter();
        probe.before_put.shut();
        let (mut one, mut two) = (cache.put(key(), "old").boxed(), cache.put(key(), "old").boxed());
        begin(&mut one);
        begin(&mut two);
        *probe.within_put.lock().unwrap() = Some((reached, may_go_on));
        probe.before_put.open();
        is_reached.recv().unwrap();
    }
    // Nothing runs here but what this test lets run.
    let paused = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    {
        let entered = paused.enter();
        let (mut one, mut two) = (cache.put(key(), "mid").boxed(), cache.put(key(), "mid").boxed());
        begin(&mut one);
        begin(&mut two);
        drop(entered);
        // Its task has the work, and is not there to drop it when the callers leave.
        paused.block_on(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        drop(one);
        drop(two);
    }
    let mut write = {
        let _entered = runtime.enter();
        let writer = cache.clone();
        runtime.spawn(async move { writer.put(key(), "new").await.unwrap() })
    };
    runtime.block_on(async {
        let returned = timeout(Duration::from_millis(100), &mut write).await;
        go_on.send(()).unwrap();
        if returned.is_err() {
            write.await.unwrap();
        }
    });
    // What is left of the one in between ends.
    drop(paused);
    cache.tasks().close();
    runtime.block_on(cache.tasks().wait());
    assert_eq!(runtime.block_on(cache.get(key())).unwrap().unwrap(), "new", "the older put landed after it");
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_failed_write_is_the_error_of_all_who_share_it() {
    let (cache, probe) = open();
    probe.before_put.shut();
    probe.fail_puts.store(true, Ordering::SeqCst);
    let (mut one, mut two) = (cache.put(key(), "v").boxed(), cache.put(key(), "v").boxed());
    begin(&mut one);
    begin(&mut two);
    probe.before_put.open();
    let (one, two) = join(one, two).await;
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(cache.metrics().put_errors, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_before_it_has_a_future_leaves_no_other_caller_waiting() {
    let (cache, probe) = open();
    // The first put waits for a computation that is storing, and is joined meanwhile.
    probe.before_put.shut();
    let mut computing = cache.get_or_compute(key(), || async { Ok::<_, std::io::Error>("computed") }).boxed();
    begin(&mut computing);
    probe.before_put.reached().await;
    let put = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.put(key(), "v").await })
    };
    let puts = [put(), put()];
    while cache.flights().callers() < 3 {
        tokio::task::yield_now().await;
    }
    probe.panic_puts.store(true, Ordering::SeqCst);
    probe.before_put.open();
    for put in puts {
        let answer = timeout(Duration::from_secs(60), put).await;
        let answer = answer.expect("it does not hang").expect("it does not panic");
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Internal);
    }
}
