//! Work that waits for a disk or another device, and what `close` owes to it.

mod engine;

use std::{sync::mpsc, thread, time::Duration};

use futures::future::{Either, FutureExt, select};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{AbortHandle, JoinError},
};
use tokio_util::task::TaskTracker;

pub use engine::BlockingEngine;

use crate::{CloseReport, Error, ErrorKind, Result};

/// The blocking work of a store, on the threads that the tokio runtime keeps for that. Clones share it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use cache_core::BlockingTasks;
///
/// let tasks = BlockingTasks::new("tape");
/// assert_eq!(tasks.run("get", || Ok(2 + 2)).await?, 4);
/// tasks.spawn(|| println!("rewound"));
/// assert_eq!(tasks.close(None).await?.left, 0);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct BlockingTasks {
    store: &'static str,
    tasks: TaskTracker,
}

impl BlockingTasks {
    /// Nothing under way yet. Errors name `store`.
    #[must_use]
    pub fn new(store: &'static str) -> Self {
        Self { store, tasks: TaskTracker::new() }
    }

    /// Does some work, and gives its answer. An error that names no store is given this one and
    /// `operation`.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) outside of a tokio runtime; [`Internal`](ErrorKind::Internal)
    /// if the work panics; else what the work fails with.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, work that has begun goes on to its end, and other work never begins.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let task = self.tasks.spawn_blocking_on(work, &self.runtime(operation)?);
        let _abort = AbortOnDrop(task.abort_handle());
        let done = task.await.unwrap_or_else(|lost| Err(self.lost(operation, lost)));
        done.map_err(|error| if error.store().is_empty() { error.at(self.store, operation) } else { error })
    }

    /// Does some work that nobody waits for but [`close`](Self::close); outside of a runtime here and now.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        match Handle::try_current() {
            Ok(runtime) => drop(self.tasks.spawn_blocking_on(work, &runtime)),
            Err(_) => work(),
        }
    }

    /// Waits until all work has ended, or until the deadline, and tells how much is left then. It is for the
    /// store to begin no more. Needs no timer of the runtime.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Waits only.
    pub async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.runtime("close")?;
        self.tasks.close();
        let Some(deadline) = deadline else {
            self.tasks.wait().await;
            return Ok(CloseReport::left(0));
        };
        if self.tasks.wait().now_or_never().is_some() {
            return Ok(CloseReport::left(0));
        }
        let (late, is_late) = oneshot::channel::<()>();
        // The thread ends with this future.
        let (_alive, dead) = mpsc::channel::<()>();
        let timer = thread::Builder::new().name("cache close".into()).spawn(move || {
            if dead.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
                _ = late.send(());
            }
        });
        // Without a thread the deadline counts as passed: `late` is dropped with the closure.
        drop(timer);
        Ok(CloseReport::left(match select(Box::pin(self.tasks.wait()), is_late).await {
            Either::Left(_) => 0,
            Either::Right(_) => self.tasks.len() as u64,
        }))
    }

    fn runtime(&self, operation: &'static str) -> Result<Handle> {
        Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Unsupported, self.store, operation)
                .with_detail("this runs only inside a tokio runtime")
                .with_source(error)
        })
    }

    fn lost(&self, operation: &'static str, lost: JoinError) -> Error {
        let kind = if lost.is_panic() { ErrorKind::Internal } else { ErrorKind::Unavailable };
        Error::new(kind, self.store, operation).with_source(lost)
    }
}

/// Keeps work from beginning when nobody waits for it any more.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
