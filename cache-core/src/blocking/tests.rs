use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::*;

/// Work that is under way until the sender is dropped.
fn stalled() -> (mpsc::Sender<()>, impl FnOnce() -> Result<()> + Send + 'static) {
    let (go, wait) = mpsc::channel();
    (go, move || {
        _ = wait.recv();
        Ok(())
    })
}

#[test]
fn outside_of_a_runtime_work_is_refused_and_what_nobody_waits_for_is_done_at_once() {
    let tasks = BlockingTasks::new("tape");
    let refused = tasks.run("get", || Ok(())).now_or_never().unwrap().unwrap_err();
    assert_eq!(
        (refused.kind(), refused.store(), refused.operation()),
        (ErrorKind::Unsupported, "tape", "get")
    );
    assert_eq!(tasks.close(None).now_or_never().unwrap().unwrap_err().kind(), ErrorKind::Unsupported);
    let done = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&done);
    tasks.spawn(move || set.store(true, Ordering::SeqCst));
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn errors_name_the_store_once_and_a_panic_is_one() {
    let tasks = BlockingTasks::new("tape");
    let failed = tasks.run("get", || Err::<(), _>(Error::corrupt("a block"))).await.unwrap_err();
    assert_eq!((failed.store(), failed.operation()), ("tape", "get"));
    let named = || Err::<(), _>(Error::new(ErrorKind::Denied, "drive", "seek"));
    let failed = tasks.run("get", named).await.unwrap_err();
    assert_eq!((failed.store(), failed.operation()), ("drive", "seek"));
    let failed = tasks.run("get", || -> Result<()> { panic!("torn") }).await.unwrap_err();
    assert_eq!((failed.kind(), failed.store(), failed.operation()), (ErrorKind::Internal, "tape", "get"));
}

#[test]
fn dropped_work_ends_if_it_has_begun_and_never_begins_otherwise() {
    let one_thread = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    one_thread.block_on(async {
        let (tasks, begun) = (BlockingTasks::new("tape"), Arc::new(AtomicUsize::new(0)));
        let (go, stall) = stalled();
        let (ended, first) = (Arc::clone(&begun), Arc::clone(&begun));
        let mut under_way = Box::pin(tasks.run("get", move || {
            first.fetch_add(1, Ordering::SeqCst);
            stall()?;
            ended.fetch_add(10, Ordering::SeqCst);
            Ok(())
        }));
        assert!(futures::poll!(under_way.as_mut()).is_pending());
        while begun.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let second = Arc::clone(&begun);
        let mut queued = Box::pin(tasks.run("get", move || {
            second.fetch_add(100, Ordering::SeqCst);
            Ok(())
        }));
        assert!(futures::poll!(queued.as_mut()).is_pending());
        drop(queued);
        drop(under_way);
        drop(go);
        assert_eq!(tasks.close(None).await.unwrap().left, 0);
        assert_eq!(begun.load(Ordering::SeqCst), 11);
    });
}

#[test]
fn close_waits_until_its_deadline_without_a_timer_of_the_runtime() {
    let no_timer = tokio::runtime::Builder::new_current_thread().build().unwrap();
    no_timer.block_on(async {
        let tasks = BlockingTasks::new("tape");
        let (go, stall) = stalled();
        tasks.spawn(move || _ = stall());
        for deadline in [Duration::ZERO, Duration::from_millis(20)] {
            assert_eq!(tasks.close(Some(deadline)).await.unwrap().left, 1);
        }
        drop(go);
        assert_eq!(tasks.close(Some(Duration::from_secs(60))).await.unwrap().left, 0);
        assert_eq!(tasks.close(Some(Duration::ZERO)).await.unwrap().left, 0);
    });
}

#[tokio::test]
async fn dropped_write_keeps_its_turn_until_it_is_done() {
    let engine = BlockingEngine::new("tape", Mutex::new(Vec::new()));
    let ((go, stall), (begun, has_begun)) = (stalled(), mpsc::channel());
    let mut first = Box::pin(engine.write("put", move |tape: &Mutex<Vec<u8>>| {
        begun.send(()).unwrap();
        stall()?;
        tape.lock().unwrap().push(1);
        Ok(())
    }));
    assert!(futures::poll!(first.as_mut()).is_pending());
    has_begun.recv().unwrap();
    drop(first);
    let mut second = Box::pin(engine.write("put", |tape| {
        tape.lock().unwrap().push(2);
        Ok(())
    }));
    for _ in 0..20 {
        assert!(futures::poll!(second.as_mut()).is_pending());
        thread::sleep(Duration::from_millis(1));
    }
    drop(go);
    second.await.unwrap();
    assert_eq!(engine.read("get", |tape| Ok(tape.lock().unwrap().clone())).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn closed_engine_is_given_up_when_the_last_work_has_ended() {
    let engine = BlockingEngine::new("tape", ());
    let watched = Arc::downgrade(&engine.get().unwrap());
    let ((go, stall), (begun, has_begun)) = (stalled(), mpsc::channel());
    let mut under_way = Box::pin(engine.read("get", move |()| {
        begun.send(()).unwrap();
        stall()
    }));
    assert!(futures::poll!(under_way.as_mut()).is_pending());
    has_begun.recv().unwrap();
    // The engine's own share of it is dropped on another thread, in that one's time.
    let only_it_is_left =
        async { while engine.close(Some(Duration::from_millis(20))).await.unwrap().left != 1 {} };
    tokio::time::timeout(Duration::from_secs(20), only_it_is_left).await.expect("the rest has ended");
    assert!(watched.upgrade().is_some() && engine.get().is_none());
    let closed = engine.write("put", |()| Ok(())).await.unwrap_err();
    assert_eq!((closed.kind(), closed.store(), closed.operation()), (ErrorKind::Closed, "tape", "put"));
    drop(go);
    assert_eq!(engine.close(None).await.unwrap().left, 0);
    assert!(watched.upgrade().is_none());
}
