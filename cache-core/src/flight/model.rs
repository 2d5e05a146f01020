//! The machine and the table under the loom model checker, which tries the ways in which threads can
//! interleave. A caller who is never woken shows as a deadlock.

use std::{
    future::{self, Future},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, future::BoxFuture, task::noop_waker_ref};
use loom::{future::block_on, thread};

mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use loom::sync::{Mutex, MutexGuard};
}

#[expect(dead_code, reason = "the models have no nested computations")]
#[path = "machine.rs"]
mod machine;
#[expect(dead_code, reason = "the models do not ask who led")]
#[path = "slot.rs"]
mod slot;
#[expect(dead_code, reason = "the models use a part of it")]
#[path = "table.rs"]
mod table;

use machine::{Flight, Ticket};
use table::{Entered, Flights, PutEntered};

use super::{
    key_hash,
    outcome::{self, Computed, ComputedBytes, Found, FoundBlob, PutContent},
    state, waits, wakers,
};
use crate::{BlobName, Digest, Key, PutOptions, PutOutcome};

/// Tries all interleavings of `scenario` with at most this many preemptions, and says how many there were.
#[track_caller]
fn explore(name: &str, preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let explored = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&explored);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let explored = explored.load(Ordering::Relaxed);
    println!("{name}: {explored} interleavings with up to {preemptions} preemptions");
    assert!(explored > 1, "nothing was interleaved");
}

/// Something that happens once, in another thread.
#[derive(Clone, Default)]
struct Event(Arc<sync::Mutex<(bool, Option<Waker>)>>);

impl Event {
    fn happen(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Future for Event {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Counts what became of a piece of work. These counters are not part of what is modelled.
#[derive(Clone, Default)]
struct Fate {
    done: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Fate {
    fn work(self, event: Event) -> BoxFuture<'static, u32> {
        struct Gone(Arc<AtomicUsize>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let gone = Gone(Arc::clone(&self.dropped));
        let work = async move {
            let _gone = gone;
            event.await;
            self.done.fetch_add(1, Ordering::SeqCst);
            7
        };
        work.boxed()
    }

    fn counts(&self) -> (usize, usize) {
        (self.done.load(Ordering::SeqCst), self.dropped.load(Ordering::SeqCst))
    }
}

/// As the handle does it: the second caller gives the work a thread of its own.
fn settle<T: Clone + Send + 'static>(mut ticket: Ticket<T>) -> T {
    let drive = if ticket.undriven() { ticket.drive(false) } else { None };
    let driving = drive.map(|drive| thread::spawn(move || block_on(drive)));
    let outcome = block_on(ticket);
    driving.into_iter().for_each(|thread| thread.join().unwrap());
    outcome
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(noop_waker_ref()))
}

#[test]
fn two_callers_share_one_run_and_both_are_woken() {
    explore("two callers", 2, || {
        let (event, fate) = (Event::default(), Fate::default());
        let (flight, ticket) = Flight::begin(1, None, fate.clone().work(event.clone()));
        let second = thread::spawn(move || flight.join().map(settle));
        let third = thread::spawn(move || event.happen());
        assert_eq!(block_on(ticket), 7);
        assert!(matches!(second.join().unwrap(), Some(7) | None));
        third.join().unwrap();
        assert_eq!(fate.counts(), (1, 1));
    });
}

#[test]
fn the_second_caller_is_served_when_the_first_is_dropped() {
    explore("first caller dropped", 3, || {
        let (event, fate) = (Event::default(), Fate::default());
        let (flight, mut ticket) = Flight::begin(1, None, fate.clone().work(event.clone()));
        let joined = flight.join().unwrap();
        let second = thread::spawn(move || settle(joined));
        let third = thread::spawn(move || event.happen());
        _ = poll_once(Pin::new(&mut ticket));
        drop(ticket);
        assert_eq!(second.join().unwrap(), 7);
        third.join().unwrap();
        assert_eq!(fate.counts(), (1, 1));
    });
}

#[test]
fn work_that_nobody_waits_for_is_dropped_and_its_task_ends() {
    explore("all callers dropped", 3, || {
        let fate = Fate::default();
        let (flight, mut ticket) = Flight::begin(1, None, fate.clone().work(Event::default()));
        let mut other = flight.join().unwrap();
        let drive = other.drive(false);
        let driving = thread::spawn(move || block_on(drive.unwrap()));
        let second = thread::spawn(move || {
            _ = poll_once(Pin::new(&mut other));
            drop(other);
        });
        _ = poll_once(Pin::new(&mut ticket));
        drop(ticket);
        second.join().unwrap();
        driving.join().unwrap();
        assert_eq!(fate.counts(), (0, 1));
        assert!(flight.join().is_none(), "nobody can join what was given up");
    });
}

#[test]
fn callers_poll_in_turn_when_the_task_ends_early() {
    explore("task dropped", 2, || {
        let (event, fate) = (Event::default(), Fate::default());
        let (flight, ticket) = Flight::begin(1, None, fate.clone().work(event.clone()));
        let mut other = flight.join().unwrap();
        let drive = other.drive(false);
        let driving = thread::spawn(move || {
            let mut drive = drive.unwrap();
            _ = poll_once(Pin::new(&mut drive));
            drop(drive);
            event.happen();
        });
        let second = thread::spawn(move || block_on(other));
        assert_eq!(block_on(ticket), 7);
        assert_eq!(second.join().unwrap(), 7);
        driving.join().unwrap();
        assert_eq!(fate.counts(), (1, 1));
    });
}

#[test]
fn a_caller_who_leaves_wakes_the_one_who_stays() {
    explore("polling caller dropped", 3, || {
        let (event, fate) = (Event::default(), Fate::default());
        let (flight, mut ticket) = Flight::begin(1, None, fate.clone().work(event.clone()));
        let other = flight.join().unwrap();
        let second = thread::spawn(move || block_on(other));
        let third = thread::spawn(move || event.happen());
        _ = poll_once(Pin::new(&mut ticket));
        drop(ticket);
        assert_eq!(second.join().unwrap(), 7);
        third.join().unwrap();
        assert_eq!(fate.counts(), (1, 1));
    });
}

#[test]
fn a_caller_who_leaves_with_a_runtime_that_stands_still_wakes_the_one_who_stays() {
    explore("runtime stands still", 2, || {
        let (event, fate) = (Event::default(), Fate::default());
        let (flight, ticket) = Flight::begin(1, None, fate.clone().work(event.clone()));
        let mut other = flight.join().unwrap();
        let mut drive = other.drive(false).unwrap();
        // Polled by its runtime, which then stands still.
        _ = poll_once(Pin::new(&mut drive));
        let leaves = thread::spawn(move || drop(other));
        let third = thread::spawn(move || event.happen());
        assert_eq!(block_on(ticket), 7);
        leaves.join().unwrap();
        third.join().unwrap();
        drop(drive);
        assert_eq!(fate.counts(), (1, 1));
    });
}

/// A store of one value.
#[derive(Clone, Default)]
struct Value(Arc<sync::Mutex<&'static str>>);

impl Value {
    fn set(&self, value: &'static str) {
        *self.0.lock().unwrap() = value;
    }

    fn get(&self) -> &'static str {
        *self.0.lock().unwrap()
    }
}

async fn compute(entered: Entered, value: Value) -> Computed {
    // A turn in between, so that a write can come at any point.
    let mut polled = false;
    future::poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    if entered.begin_store() {
        value.set("computed");
    }
    Ok(ComputedBytes { bytes: "computed".into(), hit: false })
}

#[test]
fn a_put_that_races_a_computation_lands_last() {
    explore("put against computation", 3, || {
        let (table, value) = (Arc::<Flights>::default(), Value::default());
        let key = Key::from(Digest::of("k"));
        let stored = value.clone();
        let boarded =
            table.compute(&key, &BlobName::DATA, 0, |entered| (None, compute(entered, stored).boxed()));
        let (writers_table, writers_value, writers_key) = (Arc::clone(&table), value.clone(), key.clone());
        let writer = thread::spawn(move || {
            let (_writing, ahead) = writers_table.write(&writers_key);
            for flight in ahead.storing {
                flight.join().map(settle);
            }
            writers_value.set("put");
        });
        assert_eq!(settle(boarded.ticket).unwrap().bytes, "computed");
        writer.join().unwrap();
        assert_eq!(value.get(), "put");
        assert!(table.is_empty());
    });
}

#[test]
fn a_write_that_begins_when_the_callers_of_a_put_have_left_lands_last() {
    explore("write against abandoned put", 3, || {
        let (table, value) = (Arc::<Flights>::default(), Value::default());
        let key = Key::from(Digest::of("k"));
        let content = Arc::new(PutContent { options: PutOptions::default(), blobs: Vec::new() });
        let stored = value.clone();
        let entered = table.put(&key, &content, &[], |entered, writing, _ahead| {
            let work = async move {
                let _held = (entered, writing);
                stored.set("old");
                Ok(PutOutcome::stored())
            };
            work.boxed()
        });
        let PutEntered::Boarded(boarded) = entered else { panic!("it is the first") };
        let mut ticket = boarded.ticket;
        let drive = ticket.drive(true).unwrap();
        let driving = thread::spawn(move || block_on(drive));
        drop(ticket);
        let (writing, ahead) = table.write(&key);
        for flight in ahead.abandoned {
            flight.join().map(settle);
        }
        value.set("new");
        drop(writing);
        driving.join().unwrap();
        assert_eq!(value.get(), "new");
        assert!(table.is_empty());
    });
}

async fn read(_entered: Entered, value: Value) -> Found {
    Ok(Some(FoundBlob::InHand(value.get().into(), None)))
}

#[test]
fn a_read_that_begins_after_a_write_returned_sees_it() {
    explore("read against put", 3, || {
        let (table, value) = (Arc::<Flights>::default(), Value::default());
        let key = Key::from(Digest::of("k"));
        let see = |table: &Arc<Flights>, key: &Key, value: &Value| {
            let value = value.clone();
            let boarded = table.read(key, &BlobName::DATA, true, |entered| read(entered, value).boxed());
            match settle(boarded.ticket) {
                Ok(Some(FoundBlob::InHand(bytes, _))) => bytes,
                other => panic!("{other:?}"),
            }
        };
        let (readers_table, readers_value, readers_key) = (Arc::clone(&table), value.clone(), key.clone());
        let reader = thread::spawn(move || see(&readers_table, &readers_key, &readers_value));
        let (writing, _) = table.write(&key);
        value.set("put");
        drop(writing);
        assert_eq!(see(&table, &key, &value), "put");
        let seen = reader.join().unwrap();
        assert!(seen.is_empty() || seen == "put");
        assert!(table.is_empty());
    });
}
