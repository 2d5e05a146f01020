//! What the caller who leads has done, on behalf of all.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{Either, select},
};
use tokio::time::Instant;

use super::{Accept, Compute, OPERATION};
use crate::{
    Cache, Error, ErrorKind, GetOptions, PutEntry, PutOptions, Result,
    cache::{
        gate::{ComputeOptions, Gate},
        shared_work::{contained, timer},
    },
    chain::Chain,
    flight::{Computation, Computed, ComputedBytes, Entered},
};

/// One computation, as its leader wants it.
pub(super) struct Lead {
    pub(super) cache: Cache,
    pub(super) entered: Entered,
    pub(super) computation: Arc<Computation>,
    pub(super) accept: Accept,
    pub(super) options: ComputeOptions,
}

impl Lead {
    /// Looks once more, and else runs `f` and stores what it makes.
    pub(super) async fn run(&self, f: Option<Compute>) -> Computed {
        if let Some(bytes) = self.look_up().await? {
            return Ok(ComputedBytes { bytes, hit: true });
        }
        let Some(f) = f else {
            return Err(Error::new(ErrorKind::Internal, "", "").with_detail("nothing to compute with"));
        };
        let entry = self.compute(f).await;
        self.cache.counters().compute(entry.is_ok());
        let entry = entry?;
        let bytes = self.value(&entry)?;
        if self.entered.begin_store() {
            let size = entry.known_bytes().unwrap_or(0);
            let key = &self.computation.key;
            let put = async { self.cache.store().put(key, entry, PutOptions::default()).await };
            // A value that cannot be kept is a value all the same.
            self.cache.counters().put(&contained(ErrorKind::Internal, put).await, size);
        }
        Ok(ComputedBytes { bytes, hit: false })
    }

    /// Says where it failed, if the error does not.
    pub(super) fn explain(&self, error: Error) -> Error {
        let error =
            if error.store().is_empty() { error.at(self.cache.info().kind, OPERATION) } else { error };
        if error.key().is_none() { error.with_key(&self.computation.key) } else { error }
    }

    /// The value, if it is there by now. A store that fails is passed over: the value can be computed.
    async fn look_up(&self) -> Result<Option<Bytes>> {
        let Computation { key, blob, .. } = &*self.computation;
        let found = match self.cache.store().get(key, blob, GetOptions::default()).await {
            // Boxed: it is large, and most values are in hand.
            Ok(Some(blob)) => blob.collect(self.cache.cap()).boxed().await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok(found.filter(|bytes| self.accept.takes(bytes))),
            Err(error) => match error.kind() {
                ErrorKind::Closed | ErrorKind::Invalid | ErrorKind::Unsupported => Err(error),
                ErrorKind::Corrupt => {
                    self.cache.counters().corrupt();
                    Ok(None)
                }
                _ => {
                    self.cache.counters().degraded();
                    Ok(None)
                }
            },
        }
    }

    /// Waits for a turn and runs `f` within its deadline.
    async fn compute(&self, f: Compute) -> Result<PutEntry> {
        let work = contained(ErrorKind::Compute, f);
        let work = match self.cache.gate() {
            Some(gate) => Either::Left(self.admitted(gate).boxed().await?.scope(work)),
            None => Either::Right(work),
        };
        let begun = Instant::now();
        let deadline = self.options.deadline.or(self.cache.gate().and_then(|gate| gate.deadline()));
        let entry = match deadline {
            Some(deadline) => in_time(deadline, work).boxed().await,
            None => work.await,
        };
        self.cache.counters().compute_took(begun.elapsed());
        entry
    }

    /// Waits for a turn, and gives the chain as seen from below its permit.
    async fn admitted(&self, gate: &Gate) -> Result<Chain> {
        let chain = Chain::current_or_new();
        if let Some(permit) = chain.permit() {
            return Ok(chain.admit(permit));
        }
        // Whoever waits for this and has a permit lends it: else they would wait for each other.
        let turn = pin!(gate.admit(&self.options));
        let permit = match select(turn, pin!(self.computation.sponsor.given())).await {
            Either::Left((permit, _)) => Arc::new(permit?),
            Either::Right((permit, _)) => permit,
        };
        Ok(chain.admit(permit))
    }

    fn value(&self, entry: &PutEntry) -> Result<Bytes> {
        entry
            .in_hand(&self.computation.blob)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "", "").with_detail("it computed no such blob"))
    }
}

async fn in_time<T>(deadline: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(end) = timer(deadline) else {
        return Err(Error::new(ErrorKind::Unsupported, "", "")
            .with_detail("a deadline runs only inside a tokio runtime with time enabled"));
    };
    match select(pin!(work), pin!(end)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => {
            Err(Error::new(ErrorKind::Timeout, "", "")
                .with_detail(format!("not computed within {deadline:?}")))
        }
    }
}
