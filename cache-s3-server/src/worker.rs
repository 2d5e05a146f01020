use std::{future::Future, io, thread};

use tokio_util::sync::CancellationToken;

/// A thread with a runtime of its own, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    /// Runs a future that ends soon after the token is cancelled.
    pub(crate) fn spawn<F>(
        name: &str,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()>,
    {
        let stop = CancellationToken::new();
        let token = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread =
            thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work(token)))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Worker {
    /// Waits until it has ended by itself.
    pub(crate) fn join(mut self) {
        self.await_end();
    }

    fn await_end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // What it panicked with, it has printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.cancel();
        self.await_end();
    }
}
