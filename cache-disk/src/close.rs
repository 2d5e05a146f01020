//! Waiting with a deadline, whether or not the runtime has a timer.

use std::{sync::mpsc, thread, time::Duration};

use futures::future::{Either, FutureExt, select};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Waits until all tasks have ended. Answers how many are left at the deadline.
pub(crate) async fn drain(tasks: &TaskTracker, deadline: Option<Duration>) -> u64 {
    tasks.close();
    let Some(deadline) = deadline else {
        tasks.wait().await;
        return 0;
    };
    if tasks.wait().now_or_never().is_some() {
        return 0;
    }
    let (late, is_late) = oneshot::channel::<()>();
    // The thread ends with this future.
    let (_alive, dead) = mpsc::channel::<()>();
    let timer = thread::Builder::new().name("cache-disk close".into()).spawn(move || {
        if dead.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
            _ = late.send(());
        }
    });
    // Without a thread the deadline counts as passed: `late` is dropped with the closure.
    drop(timer);
    match select(Box::pin(tasks.wait()), is_late).await {
        Either::Left(_) => 0,
        Either::Right(_) => tasks.len() as u64,
    }
}
