//! Computing what is not there, once for all who ask.

use std::{error::Error as StdError, future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    BlobName, Cache, Digest, Error, ErrorKind, GetOptions, Key, Operation, PutEntry, PutOptions, Result,
    cache::{
        gate::ComputeOptions,
        shared_work::{contained, settle, timer},
    },
    chain::Chain,
    flight::{Computation, Computed, ComputedBytes, Entered, WaitGuard},
    hook::within,
};

const OPERATION: &str = "get_or_compute";

/// Every eighth of nested computations has a task of its own.
const APART: usize = 8;

/// Which values will do.
#[derive(Clone, Default)]
pub(crate) struct Accept {
    /// Callers of other forms compute apart: what is an error to one is none to the other.
    pub(crate) form: u64,
    /// Whether a value that was found will do; all do if absent.
    pub(crate) will_do: Option<WillDo>,
}

type WillDo = Arc<dyn Fn(&Bytes) -> bool + Send + Sync>;
type Compute = Box<dyn FnOnce() -> BoxFuture<'static, Result<PutEntry>> + Send>;

impl Cache {
    /// The value of `digest`, computed by `f` if it is not there.
    ///
    /// However many callers ask at the same time, `f` of one of them runs, in its own time: it goes on when
    /// its caller is dropped as long as another one waits, and is dropped with the last. All get its value or
    /// its error; errors are not kept, so the next call computes again. A put or an eviction of the key that
    /// happens meanwhile wins: what was computed is answered but not stored. It is answered, too, if the
    /// store cannot be read or written.
    ///
    /// `f` may use the cache for other keys. If it asks for its own, also by way of others, that call is an
    /// error; in tasks that it spawns only if they are [`carried`](crate::carried).
    ///
    /// ```
    /// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
    /// use cache_core::Digest;
    ///
    /// let digest = Digest::of("the inputs");
    /// let value = cache.get_or_compute(digest, || async { Ok::<_, std::io::Error>("the output") }).await?;
    /// assert_eq!(value, "the output");
    /// # Ok(())
    /// # }
    /// # let _ = run;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Compute`](ErrorKind::Compute) if `f` fails, with its error as the source, or panics;
    /// [`Timeout`](ErrorKind::Timeout) if it takes longer than its deadline; [`Invalid`](ErrorKind::Invalid)
    /// if it asks for its own key; [`Closed`](ErrorKind::Closed) if the store is. Nothing is stored then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops `f` if no other caller waits for it.
    pub async fn get_or_compute<F, Fut, B, E>(&self, digest: Digest, f: F) -> Result<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.get_or_compute_with(digest, ComputeOptions::default(), f).await
    }

    /// [`get_or_compute`](Self::get_or_compute) with a deadline of its own and a word on the size.
    ///
    /// # Errors
    ///
    /// As [`get_or_compute`](Self::get_or_compute).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_compute`](Self::get_or_compute).
    pub async fn get_or_compute_with<F, Fut, B, E>(
        &self,
        digest: Digest,
        options: ComputeOptions,
        f: F,
    ) -> Result<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let entry = || async { f().await.map(PutEntry::data).map_err(compute_failed) };
        let computed = self.compute_entry(digest, &BlobName::DATA, Accept::default(), options, entry).await;
        self.count_computed(&computed);
        computed.map(|computed| computed.bytes)
    }

    pub(crate) fn count_computed(&self, computed: &Result<ComputedBytes>) {
        match computed {
            Ok(ComputedBytes { bytes, hit: true }) => self.counters().hit(bytes.len() as u64),
            Ok(_) => self.counters().miss(),
            Err(error) => self.counters().read::<()>(&Err(error.clone()), |()| 0),
        }
    }

    /// The blob of an entry that `f` makes if there is none, or none that `accept` takes. `f` puts all blobs in
    /// hand. Not counted yet: its reader knows whether it is a hit.
    pub(crate) async fn compute_entry<F, Fut>(
        &self,
        digest: Digest,
        blob: &BlobName,
        accept: Accept,
        options: ComputeOptions,
        f: F,
    ) -> Computed
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<PutEntry>> + Send + 'static,
    {
        let key = self.key(digest);
        let operation = || Operation::write(OPERATION, &key);
        let accepted = |bytes: &Bytes| accept.will_do.as_ref().is_none_or(|will_do| will_do(bytes));
        if self.hooks().is_empty()
            && let Some(bytes) = self.store().get_now(&key, blob).filter(accepted)
        {
            return Ok(ComputedBytes { bytes, hit: true });
        }
        // Boxed: computations nest, and each would hold all that are inside of it several times over.
        let f: Compute = Box::new(|| Box::pin(async { f().await }));
        let compute = self.share_compute(&key, blob, accept, options, f);
        within(self.hooks(), operation, compute).await
    }

    async fn share_compute(
        &self,
        key: &Key,
        blob: &BlobName,
        accept: Accept,
        options: ComputeOptions,
        f: Compute,
    ) -> Computed {
        let accepted = |bytes: &Bytes| accept.will_do.as_ref().is_none_or(|will_do| will_do(bytes));
        let of = (Arc::as_ptr(self.flights()).addr(), key.clone(), blob.clone());
        let mut f = Some(f);
        // Callers that disagree on what the value has to look like take turns: each time one of them has led.
        loop {
            let chain = Chain::current();
            let inside = chain.as_ref().and_then(Chain::computation);
            if inside.is_some_and(|computation| computation.is_of(&of)) {
                return Err(self.recursion(key));
            }
            let depth = inside.map_or(0, |inside| inside.depth + 1);
            let boarded = self.flights().compute(key, blob, accept.form, |entered, sponsor| {
                let (id, outer, of) = (entered.id(), inside.cloned(), of.clone());
                let computation = Arc::new(Computation { id, of, depth, sponsor, outer });
                let wanted = Wanted { computation, accept: accept.clone(), options };
                let chain = Chain::current_or_new().inside(Arc::clone(&wanted.computation));
                chain.scope(self.clone().lead_compute(entered, wanted, f.take())).in_current_span().boxed()
            });
            let _waiting = match (inside, &chain) {
                (Some(inside), Some(chain)) => {
                    let waiting =
                        WaitGuard::begin(inside.id, boarded.id, &boarded.sponsor, || chain.permit());
                    Some(waiting.ok_or_else(|| self.recursion(key))?)
                }
                _ => None,
            };
            // Computations nest, and so do the stacks of those that are polled by their callers.
            let apart = boarded.led && depth % APART == APART - 1;
            let computed = settle(self.tasks(), boarded.ticket, apart).await;
            if !boarded.led {
                if computed.as_ref().is_ok_and(|computed| !accepted(&computed.bytes)) {
                    continue;
                }
                self.counters().coalesced();
            }
            return computed;
        }
    }

    fn recursion(&self, key: &Key) -> Error {
        Error::new(ErrorKind::Invalid, self.info().kind, OPERATION)
            .with_key(key)
            .with_detail("its computation asks for itself")
    }

    async fn lead_compute(self, entered: Entered, wanted: Wanted, f: Option<Compute>) -> Computed {
        let (_, key, blob) = &wanted.computation.of;
        let work = async {
            if let Some(bytes) = self.look_up(&wanted).await? {
                return Ok(ComputedBytes { bytes, hit: true });
            }
            let Some(f) = f else {
                return Err(Error::new(ErrorKind::Internal, "", "").with_detail("nothing to compute with"));
            };
            let entry = self.run(&wanted, f).await;
            self.counters().compute(entry.is_ok());
            let entry = entry?;
            let bytes = self.value(&entry, blob)?;
            if entered.begin_store() {
                let size = entry.known_bytes().unwrap_or(0);
                let put = async { self.store().put(key, entry, PutOptions::default()).await };
                // A value that cannot be kept is a value all the same.
                self.counters().put(&contained(ErrorKind::Internal, put).await, size);
            }
            Ok(ComputedBytes { bytes, hit: false })
        };
        contained(ErrorKind::Internal, work).await.map_err(|error| {
            let error = if error.store().is_empty() { error.at(self.info().kind, OPERATION) } else { error };
            if error.key().is_none() { error.with_key(key) } else { error }
        })
    }

    /// The value, if it is there by now. A store that fails is passed over: the value can be computed.
    async fn look_up(&self, wanted: &Wanted) -> Result<Option<Bytes>> {
        let (_, key, blob) = &wanted.computation.of;
        let found = match self.store().get(key, blob, GetOptions::default()).await {
            Ok(Some(blob)) => blob.collect(self.cap()).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok(found.filter(|bytes| wanted.will_do(bytes))),
            Err(error) => match error.kind() {
                ErrorKind::Closed | ErrorKind::Invalid | ErrorKind::Unsupported => Err(error),
                ErrorKind::Corrupt => {
                    self.counters().corrupt();
                    Ok(None)
                }
                _ => {
                    self.counters().degraded();
                    Ok(None)
                }
            },
        }
    }

    /// Waits for a turn and runs `f` within its deadline.
    async fn run(&self, wanted: &Wanted, f: Compute) -> Result<PutEntry> {
        let mut chain = Chain::current_or_new();
        let permit = match (chain.permit(), self.gate()) {
            (Some(permit), _) => Some(permit),
            (None, Some(gate)) => {
                // Whoever waits for this and has a permit lends it: else they would wait for each other.
                let turn = pin!(gate.admit(&wanted.options));
                match select(turn, pin!(wanted.computation.sponsor().given())).await {
                    Either::Left((permit, _)) => Some(Arc::new(permit?)),
                    Either::Right((permit, _)) => Some(permit),
                }
            }
            (None, None) => None,
        };
        if let Some(permit) = permit {
            chain = chain.admit(permit);
        }
        let work = chain.scope(contained(ErrorKind::Compute, f()));
        let begun = Instant::now();
        let deadline = wanted.options.deadline.or(self.gate().and_then(|gate| gate.deadline()));
        let entry = match deadline {
            Some(deadline) => in_time(deadline, work).await,
            None => work.await,
        };
        self.counters().compute_took(begun.elapsed());
        entry
    }

    fn value(&self, entry: &PutEntry, blob: &BlobName) -> Result<Bytes> {
        entry
            .in_hand(blob)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Internal, "", "").with_detail("it computed no such blob"))
    }
}

/// What a computation is for.
struct Wanted {
    computation: Arc<Computation>,
    accept: Accept,
    options: ComputeOptions,
}

impl Wanted {
    fn will_do(&self, bytes: &Bytes) -> bool {
        self.accept.will_do.as_ref().is_none_or(|will_do| will_do(bytes))
    }
}

pub(crate) fn compute_failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Compute, "", "").with_source(error)
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

#[cfg(test)]
mod tests;
