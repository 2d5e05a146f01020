use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::Either;

use crate::{cache::Permit, flight::Computation, hook::Held};

tokio::task_local! {
    static CHAIN: Chain;
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no other chain or flight of this process has.
pub(crate) fn fresh_id() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An operation and all that is called from inside of it: what tells a nested call from a stranger's.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    id: u64,
    operations: Arc<[u64]>,
    computation: Option<Arc<Computation>>,
    permit: Option<Arc<Permit>>,
    held: Option<Arc<Held>>,
}

impl Chain {
    /// The chain that this task is in.
    pub(crate) fn current() -> Option<Self> {
        CHAIN.try_with(Clone::clone).ok()
    }

    /// The chain that this task is in, or the first link of a new one.
    pub(crate) fn current_or_new() -> Self {
        Self::current().unwrap_or_else(|| Self {
            id: fresh_id(),
            operations: Arc::default(),
            computation: None,
            permit: None,
            held: None,
        })
    }

    /// What the links of one chain have in common.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The operations under a hook that this chain is inside of, outermost first.
    pub(crate) fn operations(&self) -> &Arc<[u64]> {
        &self.operations
    }

    /// The innermost computation that this chain is inside of.
    pub(crate) fn computation(&self) -> Option<&Arc<Computation>> {
        self.computation.as_ref()
    }

    /// The permit to compute that this chain runs under: its own, or that of a chain that waits for it.
    pub(crate) fn permit(&self) -> Option<Arc<Permit>> {
        self.permit.clone().or_else(|| self.computation.as_ref()?.sponsor.permit())
    }

    /// What the hooks of the operations hold that this chain is inside of.
    pub(crate) fn held(&self) -> Option<&Arc<Held>> {
        self.held.as_ref()
    }

    /// The chain as seen from inside one more operation under a hook.
    pub(crate) fn enter(mut self) -> Self {
        self.operations = self.operations.iter().copied().chain([fresh_id()]).collect();
        self
    }

    /// The chain as seen from inside this computation.
    pub(crate) fn inside(mut self, computation: Arc<Computation>) -> Self {
        self.computation = Some(computation);
        self
    }

    /// The chain as seen below a permit to compute.
    pub(crate) fn admit(mut self, permit: Arc<Permit>) -> Self {
        self.permit = Some(permit);
        self
    }

    /// The chain as seen from inside the hooks of an operation. What they hold is held as long as any work is
    /// part of it, also if the caller has left.
    pub(crate) fn holding(mut self, held: Arc<Held>) -> Self {
        self.held = Some(held);
        self
    }

    /// Runs `work` as a part of this chain.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        // No async block: that would keep `work` twice, and twice again in every computation around.
        CHAIN.scope(self, work)
    }

    /// Runs `work`, which does not wait, as a part of this chain.
    pub(crate) fn scope_now<T>(self, work: impl FnOnce() -> T) -> T {
        CHAIN.sync_scope(self, work)
    }
}

/// Carries the operation that is under way into a task of its own.
///
/// Locks that nest and computations that ask for themselves are recognised by the task they run in. A
/// computation that spawns tasks which use the cache again wraps their futures in this; otherwise they
/// count as strangers, and may wait for what waits for them. What the hooks of the operation hold is held
/// until the task has ended, too.
///
/// ```
/// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
/// use cache_core::{Digest, carried};
///
/// let part = tokio::spawn(carried(async move { cache.get(Digest::of("part")).await }));
/// # let _ = part.await;
/// # Ok(())
/// # }
/// # let _ = run;
/// ```
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    match Chain::current() {
        Some(chain) => Either::Left(chain.scope(work)),
        None => Either::Right(work),
    }
}
