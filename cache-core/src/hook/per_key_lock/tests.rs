use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Digest, ErrorKind, Namespace,
    hook::{Hooks, within},
};

type Entering<'a> = BoxFuture<'a, Result<Guard>>;

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

fn read(name: &str) -> Operation {
    Operation::read("get", &key(name))
}

fn write(name: &str) -> Operation {
    Operation::write("put", &key(name))
}

fn clean() -> Operation {
    Operation::new("clean", Target::Scope(Namespace::root()), Intent::Write)
}

/// What `make` makes, nested in `outer`.
fn nested(outer: &Operation, make: impl FnOnce() -> Operation) -> Operation {
    outer.chain().clone().scope_now(make)
}

#[track_caller]
fn enters(entering: &mut Entering<'_>) -> Guard {
    entering.now_or_never().expect("it must not wait").unwrap()
}

#[track_caller]
fn waits(entering: &mut Entering<'_>) {
    assert!(entering.now_or_never().is_none(), "it must wait");
}

#[track_caller]
fn is_refused(entering: &mut Entering<'_>) {
    let error = entering.now_or_never().expect("it must not wait").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("deadlock"), "{error}");
}

#[test]
fn targets_and_intents_decide_who_shares() {
    #[track_caller]
    fn check(one: &Operation, other: &Operation, shares: bool) {
        for (first, second) in [(one, other), (other, one)] {
            let lock = PerKeyLock::default();
            let held = enters(&mut lock.enter(first));
            let mut entering = lock.enter(second);
            if shares {
                drop(lock.try_enter(second).expect("it shares"));
                drop(enters(&mut entering));
            } else {
                assert!(lock.try_enter(second).is_none());
                waits(&mut entering);
                assert_eq!(lock.table.waiting(), 1);
                drop(held);
                drop(enters(&mut entering));
            }
        }
    }
    let wide = |target: Target, intent| Operation::new("wide", target, intent);
    let prefix = || Target::Prefix(Namespace::root(), Digest::of("a").prefix(6));
    let scope = || Target::Scope(Namespace::root().child("n").unwrap());
    check(&read("a"), &read("a"), true);
    check(&read("a"), &write("a"), false);
    check(&write("a"), &write("a"), false);
    check(&read("a"), &write("b"), true);
    check(&write("a"), &write("b"), true);
    for target in [prefix(), scope(), Target::Store] {
        check(&read("a"), &wide(target.clone(), Intent::Read), true);
        check(&write("a"), &wide(target.clone(), Intent::Read), false);
        check(&read("a"), &wide(target.clone(), Intent::Write), false);
        check(&write("a"), &wide(target.clone(), Intent::Write), false);
        check(&wide(target.clone(), Intent::Read), &wide(scope(), Intent::Read), true);
        check(&wide(target.clone(), Intent::Read), &wide(scope(), Intent::Write), false);
        check(&wide(target, Intent::Write), &wide(scope(), Intent::Write), false);
    }
}

#[test]
fn readers_that_come_after_a_writer_wait_for_it() {
    let lock = PerKeyLock::default();
    let (first, writer, second) = (read("a"), write("a"), read("a"));
    let reading = enters(&mut lock.enter(&first));
    let mut writing = lock.enter(&writer);
    waits(&mut writing);
    let mut late = lock.enter(&second);
    waits(&mut late);
    assert!(lock.try_enter(&second).is_none());
    drop(reading);
    waits(&mut late);
    let writing = enters(&mut writing);
    waits(&mut late);
    drop(writing);
    drop(enters(&mut late));
    assert!(lock.table.is_empty());
}

#[test]
fn all_readers_behind_a_writer_come_in_together() {
    let lock = PerKeyLock::default();
    let writer = write("a");
    let readers: Vec<_> = (0..5).map(|_| read("a")).collect();
    let writing = enters(&mut lock.enter(&writer));
    let mut reading: Vec<_> = readers.iter().map(|reader| lock.enter(reader)).collect();
    reading.iter_mut().for_each(|reader| waits(reader));
    drop(writing);
    let together: Vec<_> = reading.iter_mut().map(|reader| enters(reader)).collect();
    drop((reading, together));
    assert!(lock.table.is_empty());
}

#[test]
fn a_clean_comes_in_before_writers_that_came_after_it() {
    let lock = PerKeyLock::default();
    let (first, all, second) = (write("a"), clean(), write("b"));
    let writing = enters(&mut lock.enter(&first));
    let mut cleaning = lock.enter(&all);
    waits(&mut cleaning);
    let mut late = lock.enter(&second);
    waits(&mut late);
    drop(writing);
    waits(&mut late);
    let cleaning = enters(&mut cleaning);
    waits(&mut late);
    drop(cleaning);
    drop(enters(&mut late));
    assert!(lock.table.is_empty());
}

#[test]
fn a_waiter_that_is_dropped_lets_those_behind_it_pass() {
    let lock = PerKeyLock::default();
    let (first, writer, second) = (read("a"), write("a"), read("a"));
    let reading = enters(&mut lock.enter(&first));
    let mut writing = lock.enter(&writer);
    waits(&mut writing);
    let mut late = lock.enter(&second);
    waits(&mut late);
    drop(writing);
    let late = enters(&mut late);
    drop((reading, late));
    assert!(lock.table.is_empty());
}

#[test]
fn a_waiter_that_is_dropped_when_it_was_called_calls_the_next() {
    let lock = PerKeyLock::default();
    let operations = [write("a"), write("a"), write("a")];
    let held = enters(&mut lock.enter(&operations[0]));
    let mut second = lock.enter(&operations[1]);
    waits(&mut second);
    let mut third = lock.enter(&operations[2]);
    waits(&mut third);
    drop(held);
    drop(second);
    drop(enters(&mut third));
    assert!(lock.table.is_empty());
}

#[test]
fn a_read_becomes_a_write_when_the_other_readers_have_left_and_before_other_writers() {
    let lock = PerKeyLock::default();
    let (own, other, stranger) = (read("a"), read("a"), write("a"));
    let upgrade = nested(&own, || write("a"));
    let held = enters(&mut lock.enter(&own));
    let reading = enters(&mut lock.enter(&other));
    let mut queued = lock.enter(&stranger);
    waits(&mut queued);
    let mut writing = lock.enter(&upgrade);
    waits(&mut writing);
    drop(reading);
    let writing = enters(&mut writing);
    waits(&mut queued);
    assert!(lock.try_enter(&read("a")).is_none());
    drop(writing);
    waits(&mut queued);
    drop(held);
    drop(enters(&mut queued));
    assert!(lock.table.is_empty());
}

#[test]
fn the_second_of_two_readers_that_both_write_is_refused_and_the_first_goes_on() {
    let lock = PerKeyLock::default();
    let (one, two) = (read("a"), read("a"));
    let (upgrade_one, upgrade_two) = (nested(&one, || write("a")), nested(&two, || write("a")));
    let held_one = enters(&mut lock.enter(&one));
    let held_two = enters(&mut lock.enter(&two));
    let mut first = lock.enter(&upgrade_one);
    waits(&mut first);
    assert!(lock.try_enter(&upgrade_two).is_none());
    is_refused(&mut lock.enter(&upgrade_two));
    waits(&mut first);
    drop(held_two);
    drop(enters(&mut first));
    drop(held_one);
    assert!(lock.table.is_empty());
}

#[test]
fn operations_that_want_each_others_keys_are_refused_whatever_the_length_of_the_circle() {
    for length in [2, 3, 10] {
        let lock = PerKeyLock::default();
        let outer: Vec<_> = (0..length).map(|n| write(&n.to_string())).collect();
        let held: Vec<_> = outer.iter().map(|operation| enters(&mut lock.enter(operation))).collect();
        let inner: Vec<_> = (0..length)
            .map(|n| {
                nested(&outer[n], || {
                    if n % 2 == 0 {
                        read(&((n + 1) % length).to_string())
                    } else {
                        write(&((n + 1) % length).to_string())
                    }
                })
            })
            .collect();
        let mut entering: Vec<_> = inner.iter().map(|operation| lock.enter(operation)).collect();
        let (last, others) = entering.split_last_mut().unwrap();
        others.iter_mut().for_each(|other| waits(other));
        is_refused(last);
        others.iter_mut().for_each(|other| waits(other));
        drop((entering, held));
        assert!(lock.table.is_empty());
    }
}

#[test]
fn a_circle_through_the_order_of_the_queue_is_refused() {
    let lock = PerKeyLock::default();
    let (one, two, stranger) = (read("a"), write("b"), write("a"));
    let (behind, closing) = (nested(&two, || read("a")), nested(&one, || read("b")));
    let held = (enters(&mut lock.enter(&one)), enters(&mut lock.enter(&two)));
    let mut queued = lock.enter(&stranger);
    waits(&mut queued);
    let mut behind = lock.enter(&behind);
    waits(&mut behind);
    is_refused(&mut lock.enter(&closing));
    drop(held.0);
    waits(&mut behind);
    drop(enters(&mut queued));
    drop(enters(&mut behind));
    drop(held.1);
    assert!(lock.table.is_empty());
}

#[test]
fn a_circle_of_a_key_and_all_keys_is_refused() {
    let lock = PerKeyLock::default();
    let (one, two) = (write("a"), write("b"));
    let (all, other) = (nested(&one, clean), nested(&two, || read("a")));
    let held = (enters(&mut lock.enter(&one)), enters(&mut lock.enter(&two)));
    let mut cleaning = lock.enter(&all);
    waits(&mut cleaning);
    is_refused(&mut lock.enter(&other));
    drop(held.1);
    drop(enters(&mut cleaning));
    drop(held.0);
    assert!(lock.table.is_empty());
}

#[test]
fn nested_operations_take_other_keys_although_a_clean_waits_for_the_one_around_them() {
    let lock = PerKeyLock::default();
    let (outer, all) = (write("a"), clean());
    let inner = nested(&outer, || write("b"));
    let held = enters(&mut lock.enter(&outer));
    let mut cleaning = lock.enter(&all);
    waits(&mut cleaning);
    drop(enters(&mut lock.enter(&inner)));
    drop(held);
    drop(enters(&mut cleaning));
    assert!(lock.table.is_empty());
}

#[test]
fn operations_side_by_side_exclude_each_other_where_the_one_around_them_holds_nothing() {
    let lock = PerKeyLock::default();
    let outer = write("a");
    let (one, two) = (nested(&outer, || write("b")), nested(&outer, || write("b")));
    let held = enters(&mut lock.enter(&outer));
    let first = enters(&mut lock.enter(&one));
    let mut second = lock.enter(&two);
    waits(&mut second);
    assert!(lock.try_enter(&nested(&outer, || read("b"))).is_none());
    drop(enters(&mut lock.enter(&nested(&one, || write("b")))));
    drop(first);
    drop(enters(&mut second));
    drop(held);
    assert!(lock.table.is_empty());
}

#[test]
fn operations_side_by_side_that_want_each_others_keys_are_refused() {
    let lock = PerKeyLock::default();
    let outer = read("a");
    let (one, two) = (nested(&outer, || write("b")), nested(&outer, || write("c")));
    let (further_one, further_two) = (nested(&one, || write("c")), nested(&two, || write("b")));
    let held = (enters(&mut lock.enter(&one)), enters(&mut lock.enter(&two)));
    let mut first = lock.enter(&further_one);
    waits(&mut first);
    is_refused(&mut lock.enter(&further_two));
    drop(held.1);
    drop(enters(&mut first));
}

#[test]
fn a_wait_beside_an_operation_that_runs_on_is_no_circle() {
    let lock = PerKeyLock::default();
    let (outer, stranger) = (read("o"), write("c"));
    let (runs, stops) = (nested(&outer, || write("d")), nested(&outer, || write("c")));
    let wants = nested(&stranger, || write("d"));
    let held = (enters(&mut lock.enter(&outer)), enters(&mut lock.enter(&runs)));
    let strange = enters(&mut lock.enter(&stranger));
    let mut stops = lock.enter(&stops);
    waits(&mut stops);
    let mut wants = lock.enter(&wants);
    waits(&mut wants);
    drop(held.1);
    drop(enters(&mut wants));
    drop(strange);
    drop(enters(&mut stops));
    drop(held.0);
    assert!(lock.table.is_empty());
}

#[test]
fn what_was_nested_in_an_operation_that_is_gone_holds_on_and_lets_its_own_in() {
    let lock = PerKeyLock::default();
    let (outer, stranger) = (write("a"), write("a"));
    let inner = nested(&outer, || read("a"));
    let innermost = nested(&inner, || write("a"));
    let held = enters(&mut lock.enter(&outer));
    let reading = enters(&mut lock.enter(&inner));
    drop(held);
    let mut queued = lock.enter(&stranger);
    waits(&mut queued);
    drop(enters(&mut lock.enter(&innermost)));
    drop(reading);
    drop(enters(&mut queued));
    assert!(lock.table.is_empty());
}

/// Readers count up, a writer counts down from nobody.
#[derive(Default)]
struct Inside([AtomicI64; 3]);

impl Inside {
    async fn read(&self, at: usize) -> Result<()> {
        assert!(self.0[at].fetch_add(1, Ordering::SeqCst) >= 0, "a reader beside a writer");
        yield_now().await;
        self.0[at].fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    async fn write(&self, at: usize) -> Result<()> {
        assert_eq!(self.0[at].fetch_sub(1000, Ordering::SeqCst), 0, "a writer beside another");
        yield_now().await;
        self.0[at].fetch_add(1000, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_exclude_under_load() {
    let lock = Arc::new(PerKeyLock::default());
    let inside = Arc::new(Inside::default());
    let tracker = TaskTracker::new();
    let tasks: Vec<_> = (0..64_usize)
        .map(|task| {
            let hooks: Hooks = Arc::new([Arc::clone(&lock) as Arc<dyn OperationHook>]);
            let inside = Arc::clone(&inside);
            tracker.spawn(async move {
                for round in 0..60 {
                    let at = (task + round) % 3;
                    let name = at.to_string();
                    match (task * 7 + round) % 10 {
                        0 => {
                            let all = async {
                                for at in 0..3 {
                                    inside.write(at).await?;
                                }
                                Ok(())
                            };
                            within(&hooks, clean, all).await?;
                        }
                        1 => {
                            // Nested, the inner one on what the outer one holds.
                            let again = async {
                                let own = inside.write(at);
                                within(&hooks, || write(&name), own).await
                            };
                            within(&hooks, || write(&name), again).await?;
                        }
                        2..5 => {
                            within(&hooks, || write(&name), inside.write(at)).await?;
                        }
                        5 => {
                            // Gives up if it is not its turn at once.
                            let nothing = async { Ok(()) };
                            let given_up = within(&hooks, || write(&name), nothing).now_or_never();
                            given_up.transpose()?;
                        }
                        _ => within(&hooks, || read(&name), inside.read(at)).await?,
                    }
                }
                Ok::<_, crate::Error>(())
            })
        })
        .collect();
    let all = async {
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("somebody waits for ever");
    assert!(lock.table.is_empty());
}

#[test]
fn a_thousand_waiters_on_one_key_are_quick() {
    let lock = PerKeyLock::default();
    let begun = Instant::now();
    let first = write("a");
    let held = enters(&mut lock.enter(&first));
    // Each holds a key of its own, so that there is something to search for circles.
    let outer: Vec<_> = (0..1000).map(|n| write(&format!("own {n}"))).collect();
    let own: Vec<_> = outer.iter().map(|operation| enters(&mut lock.enter(operation))).collect();
    let inner: Vec<_> = outer.iter().map(|operation| nested(operation, || write("a"))).collect();
    let mut entering: Vec<_> = inner.iter().map(|operation| lock.enter(operation)).collect();
    entering.iter_mut().for_each(|waiter| waits(waiter));
    assert_eq!(lock.table.waiting(), 1000);
    drop(held);
    for waiter in &mut entering {
        drop(enters(waiter));
    }
    drop((entering, own));
    assert!(lock.table.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
