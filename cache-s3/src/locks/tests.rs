use std::time::Duration;

use cache_core::Digest;
use futures::FutureExt;

use super::*;

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

#[tokio::test]
async fn a_key_is_one_writers_at_a_time_and_others_are_free() {
    let (locks, a) = (KeyLocks::default(), key("a"));
    let first = locks.lock(&key("a")).await;
    assert!(locks.try_lock(&key("a")).is_none());
    let other = locks.try_lock(&key("b")).expect("another key");
    let mut second = Box::pin(locks.lock(&a));
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    let second = second.await;
    drop((second, other));
    assert!(locks.table().is_empty(), "nothing is left of locks that nobody has");
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing() {
    let (locks, a) = (KeyLocks::default(), key("a"));
    let held = locks.lock(&key("a")).await;
    for _ in 0..3 {
        let waiting = tokio::time::timeout(Duration::from_millis(1), locks.lock(&key("a"))).await;
        assert!(waiting.is_err());
    }
    drop(held);
    assert!(locks.table().is_empty());
    drop(locks.lock(&key("a")).await);
    // One who waits when the holder goes and gives up then.
    let held = locks.lock(&key("a")).await;
    let mut waiting = Box::pin(locks.lock(&a));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(held);
    drop(waiting);
    assert!(locks.table().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_hold_a_key_under_contention() {
    let locks = KeyLocks::default();
    let inside = Arc::new(Mutex::new(0_u32));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200_u32 {
        let (locks, inside) = (locks.clone(), Arc::clone(&inside));
        tasks.spawn(async move {
            let key = key(["a", "b"][number as usize % 2]);
            if number % 7 == 0 {
                _ = tokio::time::timeout(Duration::from_micros(50), locks.lock(&key)).await;
                return;
            }
            let held = locks.lock(&key).await;
            if number % 2 == 0 {
                *inside.lock().unwrap() += 1;
                tokio::task::yield_now().await;
                *inside.lock().unwrap() -= 1;
                assert_eq!(*inside.lock().unwrap(), 0);
            }
            drop(held);
        });
    }
    tasks.join_all().await;
    assert!(locks.table().is_empty());
}
