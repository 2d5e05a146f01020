#![expect(clippy::disallowed_methods, reason = "the tests await the callers that they spawn")]

use std::{
    io,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{self, join, join_all},
};
use tokio::{sync::Notify, time::timeout};

use super::*;
use crate::{
    ComputeLimits,
    cache::probe::{Probe, begin},
    carried,
};

type Answer = Result<&'static str, io::Error>;

fn open() -> (Cache, Arc<Probe>) {
    let probe = Arc::new(Probe::default());
    (Cache::new(Arc::new(Arc::clone(&probe))), probe)
}

fn key() -> Digest {
    Digest::of("k")
}

/// Waits until the lookup of the first caller is done and its computation runs.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<AtomicUsize>,
    go_on: Arc<Notify>,
    stopped: Arc<AtomicBool>,
}

impl Slow {
    async fn compute(self) -> Answer {
        struct Stopped(Arc<AtomicBool>);
        impl Drop for Stopped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _stopped = Stopped(Arc::clone(&self.stopped));
        self.go_on.notified().await;
        Ok("computed")
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_missing_value_is_computed_stored_and_answered() {
    let (cache, probe) = open();
    let answer = cache.get_or_compute(key(), || async { Answer::Ok("v") }).await.unwrap();
    assert_eq!(answer, "v");
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "v");
    assert_eq!(probe.puts(), 1);
    let metrics = cache.metrics();
    assert_eq!((metrics.hits, metrics.misses, metrics.computes, metrics.puts), (1, 1, 1, 1));
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_hit_never_calls_the_computation() {
    let (cache, _) = open();
    cache.put(key(), "old").await.unwrap();
    let answer = cache.get_or_compute(key(), || async { panic!("called") as Answer }).await.unwrap();
    assert_eq!(answer, "old");
    let metrics = cache.metrics();
    assert_eq!((metrics.hits, metrics.misses, metrics.computes), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_run_one_computation() {
    let (cache, probe) = open();
    let slow = Slow::default();
    let callers: Vec<_> = (0..1_000)
        .map(|number| {
            // Views made for each call share the work.
            let view = cache.namespace("compile").unwrap();
            let slow = slow.clone();
            tokio::spawn(async move {
                if number == 999 {
                    slow.go_on.notify_one();
                }
                view.get_or_compute(key(), move || slow.compute()).await
            })
        })
        .collect();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().unwrap(), "computed");
    }
    assert_eq!((slow.begun(), probe.puts()), (1, 1));
    assert_eq!(cache.metrics().computes, 1);
    assert!(cache.flights().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_callers_who_come_and_go_leaves_no_work_behind() {
    let (cache, _) = open();
    let storm = (0..400_u32).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let digest = Digest::of([(number % 7) as u8]);
            for round in 0..20 {
                let compute = cache.get_or_compute(digest, move || async move {
                    for _ in 0..(number + round) % 5 {
                        tokio::task::yield_now().await;
                    }
                    if round % 3 == 0 { Err(io::Error::other("no")) } else { Ok("v") }
                });
                match (number + round) % 4 {
                    0 => _ = cache.evict(digest).await,
                    1 => _ = timeout(Duration::ZERO, compute).await,
                    _ => {
                        if let Ok(value) = compute.await {
                            assert_eq!(value, "v");
                        }
                    }
                }
            }
        })
    });
    for task in join_all(storm).await {
        task.unwrap();
    }
    cache.tasks().close();
    cache.tasks().wait().await;
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_computation_that_panics_gives_every_caller_an_error_and_the_next_computes_again() {
    let (cache, probe) = open();
    let gone = Arc::new(Notify::new());
    let callers = (0..10).map(|_| {
        let (cache, gone) = (cache.clone(), Arc::clone(&gone));
        tokio::spawn(async move {
            cache
                .get_or_compute(key(), || async move {
                    gone.notified().await;
                    panic!("out of luck") as Answer
                })
                .await
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::task::yield_now().await;
    gone.notify_one();
    for caller in join_all(callers).await {
        let error = caller.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Compute);
        assert!(error.to_string().contains("out of luck"), "{error}");
        assert_eq!(error.key().map(|key| key.digest), Some(key()));
    }
    assert_eq!(probe.puts(), 0);
    let metrics = cache.metrics();
    assert_eq!((metrics.compute_errors, metrics.computes), (1, 0));
    let again = cache.get_or_compute(key(), || async { Answer::Ok("v") }).await;
    assert_eq!(again.unwrap(), "v");
}

#[tokio::test]
async fn a_failure_keeps_its_source_and_is_not_kept() {
    let (cache, probe) = open();
    let failing = cache.get_or_compute(key(), || async { Answer::Err(io::Error::other("no compiler")) });
    let error = failing.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compute);
    assert!(error.to_line().ends_with("no compiler"), "{}", error.to_line());
    assert_eq!(probe.puts(), 0);
    assert_eq!(cache.get(key()).await.unwrap(), None);
    assert_eq!(cache.get_or_compute(key(), || async { Answer::Ok("v") }).await.unwrap(), "v");
}

#[tokio::test]
async fn the_others_get_the_value_when_the_first_caller_is_dropped() {
    let (cache, _) = open();
    let slow = Slow::default();
    let compute = || {
        let slow = slow.clone();
        cache.get_or_compute(key(), move || slow.compute()).boxed()
    };
    let mut first = compute();
    begin(&mut first);
    let mut second = compute();
    begin(&mut second);
    drop(first);
    slow.go_on.notify_one();
    assert_eq!(second.await.unwrap(), "computed");
    assert_eq!(slow.begun(), 1);
}

#[tokio::test]
async fn a_computation_goes_on_although_its_first_caller_is_not_polled() {
    let (cache, _) = open();
    let slow = Slow::default();
    let (first_slow, second_slow) = (slow.clone(), slow.clone());
    let mut first = cache.get_or_compute(key(), move || first_slow.compute()).boxed();
    begin(&mut first);
    slow.go_on.notify_one();
    let second = cache.get_or_compute(key(), move || second_slow.compute());
    assert_eq!(second.await.unwrap(), "computed");
    assert_eq!(first.await.unwrap(), "computed");
}

#[tokio::test]
async fn a_computation_that_nobody_waits_for_is_stopped() {
    let (cache, probe) = open();
    let slow = Slow::default();
    let mut callers = Vec::new();
    for _ in 0..3 {
        let slow = slow.clone();
        let mut caller = cache.get_or_compute(key(), move || slow.compute()).boxed();
        begin(&mut caller);
        callers.push(caller);
    }
    drop(callers);
    // The work is dropped at once, or by the task that has it.
    cache.tasks().close();
    cache.tasks().wait().await;
    assert!(slow.stopped.load(Ordering::SeqCst));
    assert_eq!((slow.begun(), probe.puts()), (1, 0));
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_put_during_the_computation_wins() {
    let (cache, probe) = open();
    let slow = Slow::default();
    let computing = slow.clone();
    let mut caller = cache.get_or_compute(key(), move || computing.compute()).boxed();
    begin(&mut caller);
    cache.put(key(), "put").await.unwrap();
    assert_eq!(cache.get_or_compute(key(), || async { Answer::Ok("other") }).await.unwrap(), "put");
    slow.go_on.notify_one();
    assert_eq!(caller.await.unwrap(), "computed");
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "put");
    assert_eq!(probe.puts(), 1);
}

#[tokio::test]
async fn an_eviction_during_the_computation_wins() {
    let (cache, probe) = open();
    let slow = Slow::default();
    let computing = slow.clone();
    let mut caller = cache.get_or_compute(key(), move || computing.compute()).boxed();
    begin(&mut caller);
    cache.evict(key()).await.unwrap();
    slow.go_on.notify_one();
    assert_eq!(caller.await.unwrap(), "computed");
    assert_eq!(cache.get(key()).await.unwrap(), None);
    assert_eq!(probe.puts(), 0);
}

#[tokio::test]
async fn a_clean_during_the_computation_wins() {
    let (cache, probe) = open();
    let view = cache.namespace("ns").unwrap();
    let slow = Slow::default();
    let computing = slow.clone();
    let mut caller = view.get_or_compute(key(), move || computing.compute()).boxed();
    begin(&mut caller);
    cache.clean(&crate::CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    slow.go_on.notify_one();
    assert_eq!(caller.await.unwrap(), "computed");
    assert_eq!(probe.puts(), 0);
}

#[tokio::test]
async fn a_put_waits_for_a_computation_that_is_storing_and_lands_last() {
    let (cache, probe) = open();
    probe.before_put.shut();
    let mut caller = cache.get_or_compute(key(), || async { Answer::Ok("computed") }).boxed();
    begin(&mut caller);
    probe.before_put.reached().await;
    // The caller is not polled again: the put has to see to it by itself.
    let mut put = cache.put(key(), "put").boxed();
    begin(&mut put);
    assert_eq!(probe.puts(), 1, "the put waits its turn");
    probe.before_put.open();
    put.await.unwrap();
    assert_eq!(cache.get(key()).await.unwrap().unwrap(), "put");
    assert_eq!(caller.await.unwrap(), "computed");
}

#[tokio::test]
async fn a_computation_that_asks_for_itself_is_an_error() {
    let (cache, _) = open();
    let inner = cache.clone();
    let error = cache
        .get_or_compute(key(), move || async move {
            inner.get_or_compute(key(), || async { Answer::Ok("inner") }).await
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compute);
    assert!(error.to_line().contains("asks for itself"), "{}", error.to_line());
    assert_eq!(cache.get(key()).await.unwrap(), None);
}

#[tokio::test]
async fn a_computation_that_asks_for_itself_through_another_or_a_task_is_an_error() {
    let (cache, _) = open();
    let (a, b) = (cache.clone(), cache.namespace("other").unwrap());
    let through_another = cache.get_or_compute(key(), move || async move {
        b.get_or_compute(key(), move || async move {
            let task = tokio::spawn(carried(async move {
                a.get_or_compute(key(), || async { Answer::Ok("inner") }).await
            }));
            task.await.unwrap()
        })
        .await
    });
    let error = through_another.await.unwrap_err();
    assert!(error.to_line().contains("asks for itself"), "{}", error.to_line());
}

#[tokio::test]
async fn two_computations_that_ask_for_each_other_end_in_an_error() {
    let (cache, _) = open();
    let meet = Arc::new(tokio::sync::Barrier::new(2));
    let ask = |own: &'static str, other: &'static str| {
        let (cache, inner, meet) = (cache.clone(), cache.clone(), Arc::clone(&meet));
        async move {
            let compute = cache.get_or_compute(Digest::of(own), move || async move {
                meet.wait().await;
                inner.get_or_compute(Digest::of(other), || async { Answer::Ok("inner") }).await
            });
            compute.await
        }
    };
    let (one, two) = join(tokio::spawn(ask("a", "b")), tokio::spawn(ask("b", "a"))).await;
    let errors = [one.unwrap().unwrap_err(), two.unwrap().unwrap_err()];
    assert!(errors.iter().any(|error| error.to_line().contains("asks for itself")), "{errors:?}");
}

#[tokio::test]
async fn computations_nest_for_other_keys() {
    let (cache, _) = open();
    let inner = cache.clone();
    let outer = cache.get_or_compute(key(), move || async move {
        inner.get_or_compute(Digest::of("part"), || async { Answer::Ok("part") }).await
    });
    assert_eq!(outer.await.unwrap(), "part");
    assert_eq!(cache.metrics().computes, 2);
}

#[tokio::test]
async fn computations_nest_deeply() {
    fn sum(cache: Cache, to: u64) -> BoxFuture<'static, Result<Bytes>> {
        let inner = cache.clone();
        let compute = async move {
            let digest = Digest::of(to.to_le_bytes());
            cache
                .get_or_compute(digest, move || async move {
                    if to == 0 {
                        return Ok::<_, Error>(Bytes::copy_from_slice(&0_u64.to_le_bytes()));
                    }
                    let below = sum(inner, to - 1).await?;
                    let sum = to + u64::from_le_bytes(below[..].try_into().unwrap());
                    Ok(Bytes::copy_from_slice(&sum.to_le_bytes()))
                })
                .await
        };
        compute.boxed()
    }
    let (cache, _) = open();
    let sum = sum(cache.clone(), 1_000).await.unwrap();
    assert_eq!(sum, 500_500_u64.to_le_bytes().as_slice());
    assert_eq!(cache.metrics().computes, 1_001);
}

#[tokio::test]
async fn a_store_that_fails_does_not_fail_the_computation() {
    let (cache, probe) = open();
    probe.fail_gets.store(true, Ordering::SeqCst);
    probe.fail_puts.store(true, Ordering::SeqCst);
    let answer = cache.get_or_compute(key(), || async { Answer::Ok("v") }).await;
    assert_eq!(answer.unwrap(), "v");
    let metrics = cache.metrics();
    assert_eq!((metrics.degraded, metrics.put_errors, metrics.puts), (1, 1, 0));
}

#[tokio::test]
async fn a_store_that_panics_is_an_error_and_no_caller_hangs() {
    let (cache, probe) = open();
    probe.panic_gets.store(true, Ordering::SeqCst);
    let error = cache.get_or_compute(key(), || async { Answer::Ok("v") }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let error = cache.get(key()).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.operation()), (ErrorKind::Internal, "toy", "get"));
    assert!(cache.flights().is_empty());
}

#[tokio::test]
async fn a_closed_store_computes_nothing() {
    let (cache, _) = open();
    cache.close(None).await.unwrap();
    let answer = cache.get_or_compute(key(), || async { panic!("called") as Answer }).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_computation_that_never_ends_ends_at_its_deadline() {
    let (cache, probe) = open();
    let options = ComputeOptions::default().with_deadline(Duration::from_secs(5));
    let compute = || cache.get_or_compute_with(key(), options, future::pending::<Answer>);
    let (one, two) = join(compute(), compute()).await;
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    assert_eq!(probe.puts(), 0);
    let limited = cache.with_compute_limits(ComputeLimits::default().with_deadline(Duration::from_secs(5)));
    let error = limited.get_or_compute(key(), future::pending::<Answer>).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(limited.get_or_compute(key(), || async { Answer::Ok("v") }).await.unwrap(), "v");
}

#[test]
fn outside_a_runtime_callers_share_too_and_a_deadline_is_an_error() {
    let (cache, _) = open();
    let slow = Slow::default();
    slow.go_on.notify_one();
    let compute = || {
        let slow = slow.clone();
        cache.get_or_compute(key(), move || slow.compute())
    };
    let (one, two) = futures::executor::block_on(join(compute(), compute()));
    assert_eq!((one.unwrap(), two.unwrap()), ("computed".into(), "computed".into()));
    assert_eq!(slow.begun(), 1);
    let options = ComputeOptions::default().with_deadline(Duration::from_secs(5));
    let with_deadline = cache.get_or_compute_with(Digest::of("other"), options, || async { Answer::Ok("v") });
    let error = futures::executor::block_on(with_deadline).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// How many computations were under way at once, at most.
#[derive(Clone, Default)]
struct Peak(Arc<(AtomicUsize, AtomicUsize)>);

impl Peak {
    async fn compute(self) -> Answer {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.0.0.fetch_sub(1, Ordering::SeqCst);
        Ok("v")
    }
}

async fn peak_of(limits: ComputeLimits, options: ComputeOptions) -> usize {
    let cache = open().0.with_compute_limits(limits);
    let peak = Peak::default();
    let computations = (0..50_u8).map(|number| {
        let peak = peak.clone();
        cache.get_or_compute_with(Digest::of([number]), options, || peak.compute())
    });
    for answer in join_all(computations).await {
        answer.unwrap();
    }
    peak.0.1.load(Ordering::SeqCst)
}

#[tokio::test]
async fn computations_under_way_are_bounded_by_number_and_by_bytes() {
    let none = (ComputeLimits::default(), ComputeOptions::default());
    assert_eq!(peak_of(none.0, none.1).await, 50);
    assert_eq!(peak_of(none.0.with_max_concurrent(3), none.1).await, 3);
    assert_eq!(peak_of(none.0.with_max_concurrent(0), none.1).await, 1);
    let bytes = none.0.with_max_bytes(10 << 20);
    assert_eq!(peak_of(bytes, none.1).await, 10, "1 MiB is expected of each");
    assert_eq!(peak_of(bytes, none.1.with_expected_bytes(5 << 20)).await, 2);
    assert_eq!(peak_of(bytes, none.1.with_expected_bytes(u64::MAX)).await, 1);
    assert_eq!(peak_of(none.0.with_max_bytes(0), none.1).await, 1);
    assert_eq!(peak_of(none.0.with_max_bytes(u64::MAX), none.1.with_expected_bytes(0)).await, 50);
}

#[tokio::test]
async fn nested_computations_need_one_turn() {
    let cache = open().0.with_compute_limits(ComputeLimits::default().with_max_concurrent(1));
    let inner = cache.clone();
    let outer = cache.get_or_compute(key(), move || async move {
        inner.get_or_compute(Digest::of("part"), || async { Answer::Ok("part") }).await
    });
    assert_eq!(outer.await.unwrap(), "part");
}

#[tokio::test]
async fn a_computation_that_another_one_needs_does_not_wait_for_that_ones_turn() {
    let cache = open().0.with_compute_limits(ComputeLimits::default().with_max_concurrent(1));
    let (inner, go_on) = (cache.clone(), Arc::new(Notify::new()));
    let wait = Arc::clone(&go_on);
    let mut outer = cache
        .get_or_compute(key(), move || async move {
            wait.notified().await;
            inner.get_or_compute(Digest::of("part"), || async { Answer::Ok("not called") }).await
        })
        .boxed();
    begin(&mut outer);
    // It waits for the turn that the outer one has; then the outer one waits for it.
    let mut part = cache.get_or_compute(Digest::of("part"), || async { Answer::Ok("part") }).boxed();
    begin(&mut part);
    go_on.notify_one();
    let (outer, part) = join(outer, part).await;
    assert_eq!((outer.unwrap(), part.unwrap()), ("part".into(), "part".into()));
}

#[tokio::test]
async fn close_waits_for_computations_until_its_deadline() {
    let (cache, _) = open();
    let slow = Slow::default();
    let mut callers = Vec::new();
    for _ in 0..2 {
        let slow = slow.clone();
        let mut caller = cache.get_or_compute(key(), move || slow.compute()).boxed();
        begin(&mut caller);
        callers.push(caller);
    }
    let report = cache.close(Some(Duration::ZERO)).await.unwrap();
    assert_eq!(report.left, 1);
    slow.go_on.notify_one();
    assert_eq!(cache.close(None).await.unwrap().left, 0);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "computed");
    }
}

#[tokio::test]
async fn a_value_is_answered_although_the_store_panics_before_it_has_a_future() {
    let (cache, probe) = open();
    probe.panic_puts.store(true, Ordering::SeqCst);
    assert_eq!(cache.get_or_compute(key(), || async { Answer::Ok("v") }).await.unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_when_it_is_dropped_leaves_no_task_behind() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let (cache, _) = open();
    let caller = || {
        let compute = cache.get_or_compute(key(), || async {
            let _bomb = Bomb;
            future::pending::<Answer>().await
        });
        compute.boxed()
    };
    let mut callers = [caller(), caller()];
    callers.iter_mut().for_each(begin);
    tokio::task::yield_now().await;
    for caller in callers {
        _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(caller)));
    }
    cache.tasks().close();
    timeout(Duration::from_secs(60), cache.tasks().wait()).await.expect("the task ends");
}

/// Runs `scenario` in a thread of its own, so that one that hangs fails.
#[track_caller]
fn ends(scenario: impl FnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        scenario();
        _ = done.send(());
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it ends");
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn callers_in_a_runtime_that_nobody_drives_serve_themselves() {
    ends(|| {
        let runtime = current_thread();
        // The runtime is at hand, but another executor polls.
        let _entered = runtime.enter();
        let (cache, _) = open();
        let slow = Slow::default();
        let compute = || {
            let slow = slow.clone();
            cache.get_or_compute(key(), move || slow.compute())
        };
        let both = join(compute(), compute());
        let (both, ()) = futures::executor::block_on(join(both, async { slow.go_on.notify_one() }));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), ("computed".into(), "computed".into()));
    });
}

#[test]
fn a_caller_is_served_although_the_runtime_of_another_who_gave_up_stands_still() {
    ends(|| {
        let (cache, _) = open();
        let slow = Slow::default();
        let compute = || {
            let slow = slow.clone();
            cache.get_or_compute(key(), move || slow.compute()).boxed()
        };
        let (ours, theirs) = (current_thread(), current_thread());
        let mut first = compute();
        ours.block_on(async { begin(&mut first) });
        // It joins, has the work moved into a task of its runtime, and does not wait for long.
        let gave_up = theirs.block_on(async { timeout(Duration::from_millis(1), compute()).await });
        assert!(gave_up.is_err());
        slow.go_on.notify_one();
        assert_eq!(ours.block_on(first).unwrap(), "computed");
        drop(theirs);
    });
}

#[tokio::test]
async fn a_clean_that_removes_nothing_leaves_computations_alone() {
    let (cache, probe) = open();
    let slow = Slow::default();
    let compute = || {
        let slow = slow.clone();
        cache.get_or_compute(key(), move || slow.compute()).boxed()
    };
    let mut first = compute();
    begin(&mut first);
    cache.clean(&crate::CleanPolicy::default()).await.unwrap();
    let mut second = compute();
    begin(&mut second);
    assert_eq!(slow.begun(), 1, "one computation of one key");
    slow.go_on.notify_one();
    assert_eq!(first.await.unwrap(), "computed");
    assert_eq!(probe.puts(), 1);
}

#[tokio::test]
async fn a_nested_computation_that_outlives_its_outer_one_still_counts() {
    let cache = open().0.with_compute_limits(ComputeLimits::default().with_max_concurrent(1));
    let slow = Slow::default();
    let (inner, part) = (cache.clone(), slow.clone());
    let mut outer = cache
        .get_or_compute(key(), move || async move {
            inner.get_or_compute(Digest::of("part"), move || part.compute()).await
        })
        .boxed();
    begin(&mut outer);
    let mut stranger =
        cache.get_or_compute(Digest::of("part"), || async { Answer::Ok("not called") }).boxed();
    begin(&mut stranger);
    drop(outer);
    assert_eq!(slow.begun(), 1, "it goes on for the stranger");
    let other = Slow::default();
    let third = other.clone();
    let mut third = cache.get_or_compute(Digest::of("other"), move || third.compute()).boxed();
    begin(&mut third);
    assert_eq!(other.begun(), 0, "two run at once");
}

#[tokio::test]
async fn a_call_that_is_refused_is_counted_once_as_an_error() {
    let (cache, _) = open();
    let inner = cache.clone();
    let recursing = cache.get_or_compute(key(), move || async move {
        inner.get_or_compute(key(), || async { Answer::Ok("inner") }).await
    });
    recursing.await.unwrap_err();
    assert_eq!(cache.metrics().errors, 2, "the outer call and the inner one");
}

#[tokio::test]
async fn a_computation_that_evicts_its_key_and_asks_for_itself_is_an_error() {
    let (cache, _) = open();
    let inner = cache.clone();
    let recursing = cache.get_or_compute(key(), move || async move {
        inner.evict(key()).await?;
        inner.get_or_compute(key(), || async { Answer::Ok("inner") }).await
    });
    let error = recursing.await.unwrap_err();
    assert!(error.to_line().contains("asks for itself"), "{}", error.to_line());
}

#[tokio::test(start_paused = true)]
async fn handles_with_and_without_a_limit_do_not_wait_for_each_other() {
    let plain = open().0;
    let limited = plain.clone().with_compute_limits(ComputeLimits::default().with_max_concurrent(1));
    let (middle, last) = (Digest::of("middle"), Digest::of("last"));
    let go_on = Arc::new(Notify::new());
    // The outer one has the turn, and will ask for the middle one.
    let (of_outer, wait) = (plain.clone(), Arc::clone(&go_on));
    let mut outer = limited
        .get_or_compute(key(), move || async move {
            wait.notified().await;
            of_outer.get_or_compute(middle, || async { Answer::Ok("not called") }).await
        })
        .boxed();
    begin(&mut outer);
    // The middle one, a stranger's, needs no turn and asks for the last one, which waits for its turn.
    let of_middle = limited.clone();
    let mut stranger = plain
        .get_or_compute(middle, move || async move {
            of_middle.get_or_compute(last, || async { Answer::Ok("last") }).await
        })
        .boxed();
    begin(&mut stranger);
    go_on.notify_one();
    let both = timeout(Duration::from_secs(60), join(outer, stranger)).await.expect("no deadlock");
    assert_eq!(both.0.unwrap(), "last");
}

#[test]
fn in_a_runtime_without_timers_a_deadline_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (cache, _) = open();
        let options = ComputeOptions::default().with_deadline(Duration::from_secs(5));
        let with_deadline = cache.get_or_compute_with(key(), options, || async { Answer::Ok("v") });
        let error = with_deadline.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    });
}

#[test]
fn in_a_runtime_without_timers_close_does_not_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (cache, _) = open();
        let mut callers = [(); 2].map(|()| cache.get_or_compute(key(), future::pending::<Answer>).boxed());
        callers.iter_mut().for_each(begin);
        let report = cache.close(Some(Duration::ZERO)).await.unwrap();
        assert_eq!(report.left, 1);
    });
}

#[test]
fn a_deep_nest_that_its_caller_drops_does_not_overflow_the_stack() {
    fn nest(cache: Cache, to: u64) -> BoxFuture<'static, Result<Bytes>> {
        let inner = cache.clone();
        let compute = async move {
            let digest = Digest::of(to.to_le_bytes());
            cache
                .get_or_compute(digest, move || async move {
                    if to == 0 {
                        future::pending::<()>().await;
                    }
                    nest(inner, to - 1).await
                })
                .await
        };
        compute.boxed()
    }
    current_thread().block_on(async {
        let (cache, _) = open();
        let mut outer = nest(cache.clone(), 1_000);
        begin(&mut outer);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        drop(outer);
    });
}

/// Polls a future so many times at most, then drops it.
async fn at_most<F: Future>(polls: usize, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut left = polls;
    future::poll_fn(move |cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        cx.waker().wake_by_ref();
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// One writer, many others who come and go: whoever asks after a write returned sees it or what came later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_sees_what_was_before_a_write_that_had_returned() {
    async fn turns() {
        for _ in 0..fastrand::usize(0..4) {
            tokio::task::yield_now().await;
        }
    }
    let version = |bytes: &Bytes| std::str::from_utf8(bytes).unwrap().parse::<usize>().unwrap();
    for round in 0..30 {
        let (cache, probe) = open();
        probe.jitters.store(true, Ordering::SeqCst);
        // Computed values are as new as the last write that had begun, at least.
        let (begun, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let writer = {
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            let (cache, over) = (cache.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                for next in 1..300_usize {
                    begun.store(next, Ordering::SeqCst);
                    let polls = if fastrand::u8(..4) == 0 { fastrand::usize(1..6) } else { usize::MAX };
                    let write = async {
                        match fastrand::u8(..3) {
                            0 => cache.evict(key()).await.unwrap(),
                            1 => {
                                let put = || cache.put(key(), next.to_string());
                                let (one, two) = join(at_most(fastrand::usize(1..9), put()), put()).await;
                                drop(one);
                                two.unwrap();
                            }
                            _ => _ = cache.put(key(), next.to_string()).await.unwrap(),
                        }
                    };
                    if at_most(polls, write).await.is_some() {
                        done.store(next, Ordering::SeqCst);
                    }
                    turns().await;
                }
                over.store(true, Ordering::SeqCst);
            })
        };
        let readers = (0..8).map(|_| {
            let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
            let (cache, over) = (cache.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let polls = if fastrand::bool() { fastrand::usize(1..6) } else { usize::MAX };
                    let floor = done.load(Ordering::SeqCst);
                    let seen = match fastrand::u8(..3) {
                        0 => at_most(polls, cache.get(key())).await.and_then(Result::unwrap),
                        _ => {
                            let begun = Arc::clone(&begun);
                            let compute = cache.get_or_compute(key(), move || async move {
                                let at = begun.load(Ordering::SeqCst);
                                turns().await;
                                Ok::<_, io::Error>(at.to_string())
                            });
                            at_most(polls, compute).await.map(Result::unwrap)
                        }
                    };
                    if let Some(seen) = seen {
                        assert!(version(&seen) >= floor, "{round}: {seen:?} after {floor}");
                    }
                    turns().await;
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        for task in readers.into_iter().chain([writer]) {
            timeout(Duration::from_secs(60), task).await.expect("no hang").unwrap();
        }
        cache.tasks().close();
        cache.tasks().wait().await;
        assert!(cache.flights().is_empty());
    }
}

/// It is moved into each task that a caller spawns.
#[tokio::test]
async fn the_future_of_a_caller_is_small() {
    let (cache, _) = open();
    let size = size_of_val(&cache.get_or_compute(key(), || async { Ok::<_, io::Error>("") }));
    assert!(size <= 512, "{size} bytes");
}
