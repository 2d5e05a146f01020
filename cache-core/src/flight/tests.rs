//! What the machine and the table do on the threads and with the wakers of an ordinary program.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures::{FutureExt, executor::block_on, future, task::noop_waker_ref};

use super::*;
use crate::{BlobName, Digest, Key};

fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Runs `scenario` in a thread of its own, so that one that hangs fails.
#[track_caller]
fn ends(scenario: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        scenario();
        _ = done.send(());
    });
    ended.recv_timeout(Duration::from_secs(10)).expect("it ends");
}

#[test]
fn a_write_waits_for_a_computation_that_is_storing_right_now_although_its_callers_left() {
    let (table, value) = (Arc::<Flights>::default(), Arc::new(Mutex::new("")));
    let key = Key::from(Digest::of("k"));
    let (storing, is_storing) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let stored = Arc::clone(&value);
    let first = table.compute(&key, &BlobName::DATA, 0, |entered| {
        let work = async move {
            assert!(entered.begin_store());
            // A store that does its work within one poll.
            storing.send(()).unwrap();
            may_go_on.recv().unwrap();
            *stored.lock().unwrap() = "computed";
            Ok(ComputedBytes { bytes: "computed".into(), hit: false })
        };
        (None, work.boxed())
    });
    let mut second = table.compute(&key, &BlobName::DATA, 0, |_| (None, future::pending().boxed())).ticket;
    let drive = second.drive(false);
    let task = thread::spawn(move || block_on(drive.unwrap()));
    is_storing.recv().unwrap();
    drop((first.ticket, second));

    let (writing, ahead) = table.write(&key);
    assert_eq!((ahead.storing.len(), ahead.abandoned.len()), (1, 0));
    let mut waits = ahead.storing[0].join().expect("it may land yet");
    assert!(poll_with(&mut waits, noop_waker_ref()).is_pending());
    go_on.send(()).unwrap();
    _ = block_on(waits).unwrap();
    *value.lock().unwrap() = "put";
    drop(writing);
    task.join().unwrap();
    assert_eq!(*value.lock().unwrap(), "put", "the put returned, and then the computation landed");
}

#[test]
fn a_waker_that_panics_keeps_no_other_caller_asleep() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a bug in an executor");
        }
    }
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (go_on, event) = futures::channel::oneshot::channel::<u32>();
    let (flight, mut first) = Flight::begin(1, None, event.map(Result::unwrap).boxed());
    let join = || flight.join().unwrap();
    let (mut second, mut third) = (join(), join());
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    assert!(poll_with(&mut first, noop_waker_ref()).is_pending());
    assert!(poll_with(&mut second, &Arc::new(Panics).into()).is_pending());
    assert!(poll_with(&mut third, &Arc::clone(&woken).into()).is_pending());
    // Whoever polls last is known to the work.
    assert!(poll_with(&mut first, noop_waker_ref()).is_pending());
    go_on.send(7).unwrap();
    _ = catch_unwind(AssertUnwindSafe(|| poll_with(&mut first, noop_waker_ref())));
    assert!(woken.0.load(Ordering::SeqCst), "the third caller sleeps for ever");
}

#[test]
fn a_waker_that_owns_another_caller_is_not_dropped_under_the_lock() {
    /// As executors have it that keep the future of a task in what its waker points to.
    struct Task(#[expect(dead_code, reason = "held to be dropped")] Mutex<Option<Ticket<u32>>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    ends(|| {
        let (flight, mut first) = Flight::begin(1, None, future::pending::<u32>().boxed());
        let second = flight.join().unwrap();
        let task = Arc::new(Task(Mutex::new(Some(second))));
        assert!(poll_with(&mut first, &task.into()).is_pending());
        // Another task has it now, which lets go of the first one's waker.
        assert!(poll_with(&mut first, noop_waker_ref()).is_pending());
    });
}

#[test]
fn a_call_after_a_computation_of_another_blob_was_stored_is_not_answered_by_an_older_one() {
    let table = Arc::<Flights>::default();
    let key = Key::from(Digest::of("k"));
    let (a, b) = (BlobName::new("a").unwrap(), BlobName::new("b").unwrap());
    // It looked before the other one replaced the entry.
    let old = table.compute(&key, &b, 0, |entered| {
        let work = async move {
            let _entered = entered;
            future::pending().await
        };
        (None, work.boxed())
    });
    let storing = table.compute(&key, &a, 0, |entered| {
        let work = async move {
            assert!(entered.begin_store());
            Ok(ComputedBytes { bytes: "a".into(), hit: false })
        };
        (None, work.boxed())
    });
    block_on(storing.ticket).unwrap();
    let new = table.compute(&key, &b, 0, |entered| {
        let work = async move {
            let _entered = entered;
            future::pending().await
        };
        (None, work.boxed())
    });
    assert!(new.led, "answered by what looked before");
    drop((old, new));
}

#[test]
fn work_that_several_wait_for_gets_one_task() {
    let (flight, first) = Flight::begin(1, None, future::pending::<u32>().boxed());
    let mut second = flight.join().unwrap();
    assert!(!first.undriven(), "a call that nobody else makes costs no task");
    assert!(second.undriven());
    let drive = second.drive(false).expect("it has none");
    let mut third = flight.join().unwrap();
    assert!(!third.undriven());
    assert!(third.drive(true).is_none());
    drop(drive);
    assert!(flight.join().unwrap().undriven(), "its task ended early");
}

#[test]
fn an_outcome_that_nobody_waits_for_is_not_kept() {
    let outcome = Arc::new(());
    let kept = Arc::clone(&outcome);
    let (flight, ticket) = Flight::begin(1, None, async { kept }.boxed());
    drop(block_on(ticket));
    assert_eq!(Arc::strong_count(&outcome), 1);
    assert!(flight.join().is_none());
}
