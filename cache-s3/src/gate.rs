//! What a store has under way, and the end of it.

use std::{
    future::Future,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache_core::{CloseReport, Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Lets work in until the store is closed, and has all of it awaited.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_closed: AtomicBool,
    /// Held while work is let in, so that none is after the gate was closed.
    entering: Mutex<()>,
    tasks: TaskTracker,
}

impl Gate {
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after [`close`](Self::close), [`Unsupported`](ErrorKind::Unsupported) outside of a
    /// tokio runtime.
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "s3", operation));
        }
        runtime(operation).map(drop)
    }

    /// Runs work that goes on if nobody waits for it any more: a request that is half sent may be carried out, and what
    /// comes after it has to know.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), else those of the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = {
            let _entering = self.entering.lock().unwrap_or_else(PoisonError::into_inner);
            self.check(operation)?;
            self.tasks.spawn_on(work, &runtime(operation)?)
        };
        task.await.unwrap_or_else(|lost| {
            let kind = if lost.is_panic() { ErrorKind::Internal } else { ErrorKind::Unavailable };
            Err(Error::new(kind, "s3", operation).with_source(lost))
        })
    }

    /// Does some work that nobody waits for but [`close`](Self::close); nothing outside of a tokio runtime.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            drop(self.tasks.spawn_on(work, &runtime));
        }
    }

    /// Lets nothing in any more and waits until all has ended, or until the deadline. Tells how much is left then.
    pub(crate) async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        runtime("close")?;
        {
            let _entering = self.entering.lock().unwrap_or_else(PoisonError::into_inner);
            self.is_closed.store(true, Ordering::Release);
        }
        self.tasks.close();
        let ended = self.tasks.wait();
        let Some(deadline) = deadline else {
            ended.await;
            return Ok(CloseReport::left(0));
        };
        let in_time = tokio::time::timeout(deadline, ended).await.is_ok();
        Ok(CloseReport::left(if in_time { 0 } else { self.tasks.len() as u64 }))
    }
}

fn runtime(operation: &'static str) -> Result<Handle> {
    Handle::try_current().map_err(|error| {
        Error::new(ErrorKind::Unsupported, "s3", operation)
            .with_detail("this runs only inside a tokio runtime")
            .with_source(error)
    })
}
