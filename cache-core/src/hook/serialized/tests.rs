use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    Digest, Intent, Key, Target,
    hook::{Hooks, try_within, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_operations_run_at_once_whatever_they_are() {
    let hooks: Hooks = Arc::new([Arc::new(Serialized::default())]);
    let inside = Arc::new(AtomicUsize::new(0));
    let tracker = TaskTracker::new();
    let tasks: Vec<_> = (0..200_u32)
        .map(|n| {
            let (hooks, inside) = (Arc::clone(&hooks), Arc::clone(&inside));
            let operation = move || match n % 3 {
                0 => Operation::read("get", &Key::from(Digest::of(n.to_string()))),
                1 => Operation::write("put", &Key::from(Digest::of(n.to_string()))),
                _ => Operation::new("flush", Target::Store, Intent::Read),
            };
            tracker.spawn(async move {
                within(&hooks, operation, async {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_next_is_let_in_when_the_one_before_has_left() {
    let lock = Serialized::default();
    let operations: Vec<_> = (0..3).map(|_| Operation::read("get", &Key::from(Digest::of("a")))).collect();
    let first = lock.enter(&operations[0]).await.unwrap();
    let mut second = lock.enter(&operations[1]);
    let mut third = lock.enter(&operations[2]);
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    drop(first);
    assert!((&mut third).now_or_never().is_none(), "the second came first");
    let second = second.now_or_never().unwrap().unwrap();
    drop(third);
    drop(second);
    assert!(lock.table.is_empty());
}

#[tokio::test]
async fn trying_succeeds_only_if_nothing_runs_and_nobody_waits() {
    let lock = Serialized::default();
    let read = || Operation::read("get", &Key::from(Digest::of("a")));
    let held = lock.try_enter(&read()).unwrap();
    assert!(lock.try_enter(&read()).is_none());
    let next = read();
    let mut waiting = lock.enter(&next);
    assert!((&mut waiting).now_or_never().is_none());
    drop(held);
    assert!(lock.try_enter(&read()).is_none(), "it is the turn of the one that waits");
    drop(waiting);
    drop(lock.try_enter(&read()).unwrap());
    let hooks: Hooks = Arc::new([Arc::new(lock)]);
    let nested = within(&hooks, read, async { Ok(try_within(&hooks, read, || Some(1))) });
    assert_eq!(nested.await.unwrap(), Some(1), "nested ones are let in");
}
