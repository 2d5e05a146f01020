//! How shared work is run: in a task where callers wait for it together, its panics contained.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{
    Error, ErrorKind, Result,
    chain::Chain,
    flight::{Ahead, Flight, Ticket},
};

/// Gives shared work a task of its own if several wait for it (or now, if it has to be `apart`), for a caller
/// who waits for it from here on. Outside a runtime the callers poll it themselves.
pub(crate) fn settle<T: Clone + Send + 'static>(
    tasks: &TaskTracker,
    mut ticket: Ticket<T>,
    apart: bool,
) -> Ticket<T> {
    if (apart || ticket.undriven())
        && let Ok(runtime) = Handle::try_current()
        && let Some(drive) = ticket.drive(apart)
    {
        tasks.spawn_on(drive, &runtime);
    }
    ticket
}

/// Waits until what is ahead of a write has ended, however it ends.
pub(crate) async fn settle_ahead(tasks: &TaskTracker, ahead: Ahead) {
    settle_all(tasks, ahead.storing).await;
    settle_all(tasks, ahead.abandoned).await;
}

async fn settle_all<T: Clone + Send + 'static>(tasks: &TaskTracker, flights: Vec<Arc<Flight<T>>>) {
    for flight in flights {
        if let Some(ticket) = flight.join() {
            _ = settle(tasks, ticket, false).await;
        }
    }
}

/// Shared work that is part of the operation which begins it, whoever polls it first.
pub(crate) fn in_this_chain<T>(work: impl Future<Output = T> + Send + 'static) -> BoxFuture<'static, T> {
    Chain::current_or_new().scope(work).in_current_span().boxed()
}

/// A timer, where there is a runtime that has time; tokio panics where there is none, and cannot be asked.
pub(crate) fn timer(deadline: Duration) -> Option<Sleep> {
    Handle::try_current().ok()?;
    catch_unwind(|| sleep(deadline)).ok()
}

/// Turns a panic of `work` into an error of this kind, so that nobody who waits for it hangs.
pub(crate) fn contained<T>(
    kind: ErrorKind,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    // No async block: that would keep `work` twice.
    AssertUnwindSafe(work).catch_unwind().map(move |done| {
        done.unwrap_or_else(|panic| {
            Err(Error::new(kind, "", "").with_detail(format!("it panicked: {}", panic_message(&*panic))))
        })
    })
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
