//! How hooks are put around work: what every holder of hooks calls.

use std::{future::Future, sync::Arc};

use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use tracing::Instrument;

use super::guard::{Guards, Held};
use crate::{Error, Operation, OperationHook, Result};

/// So many entries of a listing at most are fetched under one guard.
const BATCH: usize = 128;

/// The hooks of one holder, outermost first.
pub(crate) type Hooks = Arc<[Arc<dyn OperationHook>]>;

/// Runs `work` inside of all `hooks`, the first of them outermost, as one operation.
///
/// The guards are dropped in the reverse order when the work is done or dropped, and what it began and others
/// wait for, too.
pub(crate) async fn within<T>(
    hooks: &[Arc<dyn OperationHook>],
    operation: impl FnOnce() -> Operation,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    if hooks.is_empty() {
        return work.await;
    }
    let operation = operation();
    let held = Held::inside(operation.chain().held().cloned());
    // Not the chain of `operation`: a guard that keeps it must not keep itself.
    let chain = operation.chain().clone().holding(Arc::clone(&held));
    let guarded = async move {
        let answer = match enter(hooks, &operation, &held).await {
            Ok(()) => work.instrument(held.span()).await,
            Err(refused) => Err(refused),
        };
        held.end(&answer);
        answer
    };
    chain.scope(guarded).await
}

async fn enter(hooks: &[Arc<dyn OperationHook>], operation: &Operation, held: &Held) -> Result<()> {
    for hook in hooks {
        let entered = hook.enter(operation).instrument(held.span()).await;
        held.push(operation.explain(entered)?);
    }
    Ok(())
}

/// [`within`] for work that does not wait; `None` as well if a hook would have to.
pub(crate) fn try_within<T>(
    hooks: &[Arc<dyn OperationHook>],
    operation: impl FnOnce() -> Operation,
    work: impl FnOnce() -> Option<T>,
) -> Option<T> {
    if hooks.is_empty() {
        return work();
    }
    let operation = operation();
    operation.chain().clone().scope_now(|| {
        let mut guards = Guards::default();
        for hook in hooks {
            let guard = guards.span().in_scope(|| hook.try_enter(&operation))?;
            guards.push(guard);
        }
        let answer = guards.span().in_scope(work);
        guards.end(&Ok(()));
        answer
    })
}

/// Puts `hooks` around each pull of a listing, and around nothing between the pulls, so that whoever
/// lists may change what is listed. A pull fetches what is ready, up to [`BATCH`] entries.
pub(crate) fn pulled<T: Send + 'static>(
    hooks: Hooks,
    operation: impl Fn() -> Operation + Send + Sync + 'static,
    listing: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    if hooks.is_empty() {
        return listing;
    }
    let around = Arc::new((hooks, operation));
    let batches = stream::unfold(Some(Listing { rest: listing, ended: None }), move |listing| {
        let around = Arc::clone(&around);
        async move {
            let mut listing = listing?;
            let (hooks, operation) = &*around;
            let pulled = within(hooks, operation, listing.pull()).await;
            let (batch, rest) = match pulled {
                Ok(batch) if listing.is_over() => (batch.into_iter().map(Ok).collect(), None),
                Ok(batch) => (batch.into_iter().map(Ok).collect(), Some(listing)),
                Err(error) => (vec![Err(error)], None),
            };
            Some((stream::iter(batch), rest))
        }
    });
    batches.flatten().boxed()
}

struct Listing<T> {
    rest: BoxStream<'static, Result<T>>,
    /// How it ended, seen after the last entry of a batch.
    ended: Option<Result<(), Error>>,
}

impl<T> Listing<T> {
    async fn pull(&mut self) -> Result<Vec<T>> {
        if let Some(Err(error)) = self.ended.take() {
            return Err(error);
        }
        let mut batch = Vec::new();
        let mut next = self.rest.next().await;
        loop {
            match next {
                Some(Ok(entry)) => batch.push(entry),
                Some(Err(error)) if batch.is_empty() => return Err(error),
                Some(Err(error)) => {
                    self.ended = Some(Err(error));
                    break;
                }
                None => {
                    self.ended = Some(Ok(()));
                    break;
                }
            }
            if batch.len() == BATCH {
                break;
            }
            match self.rest.next().now_or_never() {
                Some(ready) => next = ready,
                None => break,
            }
        }
        Ok(batch)
    }

    fn is_over(&self) -> bool {
        matches!(self.ended, Some(Ok(())))
    }
}
