use std::{future::Future, sync::Arc};

use bytes::Bytes;
use cache_core::{Blob, BlobName, GetOptions, Key, KeyView, Result, Store};
use futures::StreamExt;
use tokio::sync::watch;

use super::{Call, call::Only, inject::Fault, stream::restream};

/// Answers no call while it hangs.
///
/// A file server that is gone blocks its clients for minutes, and an endpoint behind a broken link accepts
/// a request and stays silent. Between [`hang`](Self::hang) and [`release`](Self::release) each call waits
/// before the store is asked, and each piece of a streamed read before it is handed out. A call that is
/// dropped meanwhile never reaches the store. With [held replies](Self::with_held_replies) the store
/// carries out the call, and its answer waits.
///
/// `get_now` never waits: it answers `None` while a `get` would hang. Clones share store and state: keep one
/// to switch, and hand the other one out.
#[derive(Debug)]
pub struct Hanging<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Gate,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    state: watch::Sender<State>,
    holds_replies: bool,
    only: Only,
}

#[derive(Debug, Default)]
struct State {
    hangs: bool,
    releases: u64,
    waiting: usize,
}

impl<S: Store> Hanging<S> {
    /// Hangs only these calls; pieces of streams hang with [`Call::Get`].
    #[must_use]
    pub fn with_only(mut self, calls: &[Call]) -> Self {
        self.fault.only = calls.into();
        self
    }

    /// Has the store carry out calls, and holds back the answers.
    #[must_use]
    pub fn with_held_replies(mut self) -> Self {
        self.fault.holds_replies = true;
        self
    }

    /// Calls hang from now on.
    pub fn hang(&self) {
        self.fault.state.send_modify(|state| state.hangs = true);
    }

    /// Lets all calls go on, those that hang and those to come.
    pub fn release(&self) {
        self.fault.state.send_modify(|state| {
            state.hangs = false;
            state.releases += 1;
        });
    }

    /// How many calls and pieces hang now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fault.state.borrow().waiting
    }

    /// Waits until at least so many calls and pieces hang.
    ///
    /// # Cancel safety
    ///
    /// Watches only.
    pub async fn until_waiting(&self, calls: usize) {
        // Ends in an error only if there is no sender left, and here is one.
        _ = self.fault.state.subscribe().wait_for(|state| state.waiting >= calls).await;
    }
}

/// One who hangs, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<State>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.waiting -= 1);
    }
}

impl Gate {
    fn hangs(&self, call: Call) -> bool {
        self.only.has(call) && self.state.borrow().hangs
    }

    async fn pass(&self, call: Call) {
        if self.hangs(call) {
            let mut releases = 0;
            self.state.send_modify(|state| {
                state.waiting += 1;
                releases = state.releases;
            });
            let _waiting = Waiting(&self.state);
            // By their number: it may hang again before this one has seen that it was released.
            _ = self.state.subscribe().wait_for(|state| !state.hangs || state.releases != releases).await;
        }
    }
}

impl Fault for Gate {
    async fn around<T: Send>(
        &self,
        call: Call,
        _key: Option<&Key>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if !self.holds_replies {
            self.pass(call).await;
            return work.await;
        }
        let answer = work.await;
        self.pass(call).await;
        answer
    }

    fn get_now(&self, store: &impl Store, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        if self.hangs(Call::Get) { None } else { store.get_now(key, name) }
    }

    async fn blob(
        &self,
        _store: &impl Store,
        _key: &Key,
        _name: &BlobName,
        _options: &GetOptions,
        blob: Blob,
    ) -> Blob {
        let gate = self.clone();
        let late = move |piece| {
            let gate = gate.clone();
            async move {
                gate.pass(Call::Get).await;
                piece
            }
        };
        restream(blob, |stream| stream.then(late).boxed())
    }
}
