//! Computing what is not there, once for all who ask.

mod lead;

use std::{error::Error as StdError, future::Future, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tracing::Instrument;

use self::lead::Lead;
use crate::{
    BlobName, Cache, Digest, Error, ErrorKind, Key, Operation, PutEntry, Result,
    cache::{
        gate::ComputeOptions,
        shared_work::{contained, settle},
    },
    chain::Chain,
    flight::{Boarded, Computation, Computed, ComputedBytes, Sponsor, Ticket, WaitGuard},
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

impl Accept {
    fn takes(&self, bytes: &Bytes) -> bool {
        self.will_do.as_ref().is_none_or(|will_do| will_do(bytes))
    }
}

type WillDo = Arc<dyn Fn(&Bytes) -> bool + Send + Sync>;

/// What a caller asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) key: Key,
    pub(crate) blob: &'a BlobName,
    pub(crate) accept: Accept,
    pub(crate) options: ComputeOptions,
}

/// Makes an entry; it puts all blobs in hand. Boxed: computations nest, and each would hold all that are inside
/// of it several times over.
pub(crate) type Compute = BoxFuture<'static, Result<PutEntry>>;

/// Gives the computation of a caller to whoever leads: once, and to nobody if the caller does not.
pub(crate) type Computes<'a> = &'a mut (dyn FnMut() -> Option<Compute> + Send);

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
        let wanted = self.wanted(digest, ComputeOptions::default());
        let mut f = value_of(f);
        self.counted(self.compute_entry(&wanted, &mut f).await)
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
        let wanted = self.wanted(digest, options);
        let mut f = value_of(f);
        self.counted(self.compute_entry(&wanted, &mut f).await)
    }

    fn wanted(&self, digest: Digest, options: ComputeOptions) -> Wanted<'static> {
        Wanted { key: self.key(digest), blob: &BlobName::DATA, accept: Accept::default(), options }
    }

    fn counted(&self, computed: Computed) -> Result<Bytes> {
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

    /// What is wanted, or what `f` makes if it is not there. Not counted yet: its reader knows whether it is a
    /// hit.
    pub(crate) async fn compute_entry(&self, wanted: &Wanted<'_>, f: Computes<'_>) -> Computed {
        if !self.hooks().is_empty() {
            let operation = || Operation::write(OPERATION, &wanted.key);
            let compute = self.share_compute(wanted, f);
            // Boxed: it is large, and most handles have no hooks.
            return within(self.hooks(), operation, compute).boxed().await;
        }
        let found = self.store().get_now(wanted.key.view(), wanted.blob);
        if let Some(bytes) = found.filter(|bytes| wanted.accept.takes(bytes)) {
            return Ok(ComputedBytes { bytes, hit: true });
        }
        self.share_compute(wanted, f).await
    }

    async fn share_compute(&self, wanted: &Wanted<'_>, f: Computes<'_>) -> Computed {
        // Callers that disagree on what the value has to look like take turns: each time one of them has led.
        loop {
            let (led, ticket, _waiting) = self.board_compute(wanted, f)?;
            let computed = ticket.await;
            if !led {
                if computed.as_ref().is_ok_and(|computed| !wanted.accept.takes(&computed.bytes)) {
                    continue;
                }
                self.counters().coalesced();
            }
            return computed;
        }
    }

    /// A share in the computation, and whether it is a new one. Held in the place of the call, the guard tells
    /// who waits for whom.
    fn board_compute(
        &self,
        wanted: &Wanted<'_>,
        f: Computes<'_>,
    ) -> Result<(bool, Ticket<Computed>, Option<WaitGuard>)> {
        let Wanted { key, blob, accept, options } = wanted;
        let table = Arc::as_ptr(self.flights()).addr();
        let chain = Chain::current();
        let inside = chain.as_ref().and_then(Chain::computation);
        if inside.is_some_and(|computation| computation.is_of(table, key, blob)) {
            return Err(self.recursion(key));
        }
        let depth = inside.map_or(0, |inside| inside.depth + 1);
        let Boarded { led, ticket } = self.flights().compute(key, blob, accept.form, |entered| {
            let computation = Arc::new(Computation {
                id: entered.id(),
                table,
                key: key.clone(),
                blob: (*blob).clone(),
                depth,
                sponsor: Sponsor::default(),
                outer: inside.cloned(),
            });
            let chain = Chain::current_or_new().inside(Arc::clone(&computation));
            let lead = Lead {
                cache: self.clone(),
                entered,
                computation: Arc::clone(&computation),
                accept: accept.clone(),
                options: *options,
            };
            let f = f();
            let work = async move {
                contained(ErrorKind::Internal, lead.run(f)).await.map_err(|error| lead.explain(error))
            };
            (Some(computation), chain.scope(work).in_current_span().boxed())
        });
        let waiting = match (inside, &chain, ticket.computation()) {
            (Some(inside), Some(chain), Some(computation)) => {
                let waiting = WaitGuard::begin(inside.id, computation, || chain.permit());
                Some(waiting.ok_or_else(|| self.recursion(key))?)
            }
            _ => None,
        };
        // Computations nest, and so do the stacks of those that are polled by their callers.
        let apart = led && depth % APART == APART - 1;
        Ok((led, settle(self.tasks(), ticket, apart), waiting))
    }

    fn recursion(&self, key: &Key) -> Error {
        Error::new(ErrorKind::Invalid, self.info().kind, OPERATION)
            .with_key(key)
            .with_detail("its computation asks for itself")
    }
}

/// Boxes `f` for whoever leads; a caller who does not pays nothing for it.
fn value_of<F, Fut, B, E>(f: F) -> impl FnMut() -> Option<Compute> + Send
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<B, E>> + Send + 'static,
    B: Into<Bytes>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut f = Some(f);
    move || {
        let f = f.take()?;
        Some(async { f().await.map(PutEntry::data).map_err(compute_failed) }.boxed())
    }
}

pub(crate) fn compute_failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Compute, "", "").with_source(error)
}

#[cfg(test)]
mod tests;
