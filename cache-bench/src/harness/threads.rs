//! Work on several threads that begins at one instant.

use std::{sync::Barrier, thread};

use tokio::runtime::{Builder, Runtime};

use crate::failure::Result;

/// A runtime for one thread: what a call costs, and no hop to another thread.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// One thread per share of the work, each with a runtime of its own; they begin when all of them are ready, and
/// know their number.
pub(crate) fn on_threads<W: Sync, T: Send>(
    shares: &[W],
    work: impl AsyncFn(usize, &W) -> T + Sync,
) -> Result<Vec<T>> {
    let ready = Barrier::new(shares.len());
    let worked = |thread: usize, share: &W| -> Result<T> {
        let runtime = runtime();
        ready.wait();
        Ok(runtime?.block_on(work(thread, share)))
    };
    let threads: Vec<_> = thread::scope(|scope| {
        let worked = &worked;
        let threads: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(thread, share)| scope.spawn(move || worked(thread, share)))
            .collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    threads.into_iter().map(|thread| thread.map_err(|_| "a thread panicked")?).collect()
}
