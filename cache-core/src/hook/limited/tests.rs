use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Digest, ErrorKind, Key,
    hook::{Hooks, within},
};

fn read() -> Operation {
    Operation::read("get", &Key::from(Digest::of("a")))
}

#[test]
fn zero_operations_are_refused_and_any_other_number_is_taken() {
    assert_eq!(Limited::new(0).unwrap_err().kind(), ErrorKind::Invalid);
    for operations in [1, 2, Semaphore::MAX_PERMITS, usize::MAX] {
        Limited::new(operations).unwrap();
    }
}

#[tokio::test]
async fn one_more_waits_until_one_has_left_in_the_order_of_their_coming() {
    let limit = Limited::new(2).unwrap();
    let operations: Vec<_> = (0..4).map(|_| read()).collect();
    let first = limit.enter(&operations[0]).await.unwrap();
    let second = limit.enter(&operations[1]).await.unwrap();
    let mut third = limit.enter(&operations[2]);
    let mut fourth = limit.enter(&operations[3]);
    assert!((&mut third).now_or_never().is_none());
    assert!((&mut fourth).now_or_never().is_none());
    drop(first);
    assert!((&mut fourth).now_or_never().is_none());
    // Its turn has come, and it is dropped: the next one's has.
    drop(third);
    let fourth = fourth.now_or_never().unwrap().unwrap();
    drop((second, fourth));
    assert_eq!(limit.permits.available_permits(), 2);
    assert!(limit.running.permits().is_empty());
}

#[tokio::test]
async fn trying_succeeds_up_to_the_limit() {
    let limit = Limited::new(2).unwrap();
    let held = (limit.try_enter(&read()).unwrap(), limit.try_enter(&read()).unwrap());
    assert!(limit.try_enter(&read()).is_none());
    drop(held.0);
    drop(limit.try_enter(&read()).unwrap());
}

#[tokio::test]
async fn nested_operations_run_on_the_permit_of_the_one_around_them_until_the_last_has_left() {
    let limit = Limited::new(1).unwrap();
    let outer = read();
    let held = limit.enter(&outer).await.unwrap();
    let inner = outer.chain().clone().scope_now(read);
    let innermost = inner.chain().clone().scope_now(read);
    let nested = limit.enter(&inner).now_or_never().expect("it has a permit").unwrap();
    drop(held);
    // The one around is gone, what it began is not.
    let deeper = limit.try_enter(&innermost).unwrap();
    drop(nested);
    assert!(limit.try_enter(&read()).is_none(), "one runs");
    drop(deeper);
    assert!(limit.running.permits().is_empty());
    assert_eq!(limit.permits.available_permits(), 1);
}

#[tokio::test]
async fn operations_side_by_side_in_one_without_a_permit_take_one_each() {
    let limit = Limited::new(1).unwrap();
    let outer = read();
    let (one, two) = outer.chain().clone().scope_now(|| (read(), read()));
    let held = limit.enter(&one).await.unwrap();
    let mut waiting = limit.enter(&two);
    assert!((&mut waiting).now_or_never().is_none(), "the limit is 1");
    assert!(limit.try_enter(&two).is_none());
    drop(held);
    drop(waiting.now_or_never().unwrap().unwrap());
}

#[tokio::test]
async fn an_operation_that_enters_twice_at_once_keeps_one_permit() {
    let limit = Limited::new(2).unwrap();
    let (operation, other) = (read(), read());
    let others = (limit.enter(&other).await.unwrap(), limit.try_enter(&read()).unwrap());
    let mut twice = (limit.enter(&operation), limit.enter(&operation));
    assert!((&mut twice.0).now_or_never().is_none());
    assert!((&mut twice.1).now_or_never().is_none());
    drop(others);
    let guards = (twice.0.now_or_never().unwrap().unwrap(), twice.1.now_or_never().unwrap().unwrap());
    assert_eq!(limit.permits.available_permits(), 1);
    drop(guards.0);
    assert_eq!(limit.permits.available_permits(), 1);
    drop(guards.1);
    assert_eq!(limit.permits.available_permits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_the_limit_run_at_once() {
    let hooks: Hooks = Arc::new([Arc::new(Limited::new(3).unwrap())]);
    let tracker = TaskTracker::new();
    let running = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (hooks, running) = (Arc::clone(&hooks), Arc::clone(&running));
            tracker.spawn(async move {
                let count = async {
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                    within(&hooks, read, yield_now().map(Ok)).await?;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                let mut operation = Box::pin(within(&hooks, read, count));
                // Some give up before it is their turn.
                if n % 5 == 0 && running.load(Ordering::SeqCst) >= 3 {
                    return Ok(());
                }
                operation.as_mut().await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}
