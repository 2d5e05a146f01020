//! Writes go through a queue and are answered by the batch; what is queued is written although nobody
//! waits for it any more.

use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    CleanPolicy, CleanReport, Error, ErrorKind, FlushReport, Key, KeyManagement, Namespace, PutEntry,
    PutOptions, PutOutcome, Result,
};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{
    ReferenceStore,
    mutant::twist::{Twist, twist, twisted},
};

type Queue = mpsc::UnboundedSender<BoxFuture<'static, ()>>;

fn queue(batch: Duration) -> Queue {
    let (queue, mut jobs) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
    TaskTracker::new().spawn(async move {
        while let Some(first) = jobs.recv().await {
            tokio::time::sleep(batch).await;
            first.await;
            while let Ok(next) = jobs.try_recv() {
                next.await;
            }
        }
    });
    queue
}

impl Queued {
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(ReferenceStore) -> BoxFuture<'static, Result<T>>,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let work = work(self.0.clone());
        let closed = || Error::new(ErrorKind::Closed, "queue", "write");
        let job = Box::pin(async move { _ = answer.send(work.await) });
        self.1.send(job).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

twist! { Queued(Queue) {
    async fn evict(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.in_turn(|store| Box::pin(async move { store.evict(&key).await })).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let entry = in_hand(entry, self.0.info().max_blob_bytes).await;
        let key = key.clone();
        self.in_turn(|store| Box::pin(async move { store.put(&key, entry, options).await })).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let (scope, policy) = (scope.clone(), *policy);
        self.in_turn(|store| Box::pin(async move { store.clean(&scope, &policy).await })).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.in_turn(|store| Box::pin(async move { store.flush().await })).await
    }
} }

/// A database that one process has open.
mod database {
    use super::*;

    fn database() -> Odd<()> {
        let mut powers = Powers::default();
        (powers.durable, powers.bounded, powers.recency, powers.dated) = (true, true, true, true);
        Odd {
            reference: Reference::with_powers(powers),
            given: (),
            open: |reference, setup, ()| {
                twisted(Queued(reference.store(setup)?, queue(Duration::from_millis(1))))
            },
        }
    }

    crate::suite! { database(), handles: [damage, failures, crash] }
}

/// In memory, and as fast as it goes.
mod eager {
    use super::*;

    fn eager() -> Odd<()> {
        Odd {
            reference: Reference::volatile(),
            given: (),
            open: |reference, setup, ()| twisted(Queued(reference.store(setup)?, queue(Duration::ZERO))),
        }
    }

    crate::suite! { eager() }
}
