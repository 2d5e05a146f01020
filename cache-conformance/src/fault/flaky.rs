use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cache_core::{BlobName, Error, ErrorKind, Key, KeyView, Result, Store};

use super::{Call, When, call::Only, inject::Fault, when::Schedule};
use crate::Failures;

/// Fails calls: the n-th, every k-th, or some by chance.
///
/// A network drops one request in a thousand, and the branch that handles it runs first in production. A
/// call that fails does so before the store is asked, or, with [lost replies](Self::with_lost_replies),
/// after the store has carried it out. A listing fails instead of its first entry.
///
/// `get_now` cannot fail and is not counted. It answers `None` while a `get` may fail, so that the `get`
/// that follows is the call that counts.
///
/// Clones share store, counts and what is armed: keep one to arm, and hand the other one out.
#[derive(Debug)]
pub struct Flaky<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Flakiness,
}

#[derive(Clone, Debug)]
pub(super) struct Flakiness {
    schedule: Arc<Schedule>,
    kind: Arc<Mutex<ErrorKind>>,
    loses_replies: bool,
    only: Only,
}

impl Default for Flakiness {
    fn default() -> Self {
        let kind = Arc::new(Mutex::new(ErrorKind::Unavailable));
        Self { schedule: Arc::default(), kind, loses_replies: false, only: Only::default() }
    }
}

impl<S: Store> Flaky<S> {
    /// Arms it from the start.
    #[must_use]
    pub fn with_faults(self, when: When) -> Self {
        self.arm(when);
        self
    }

    /// Sets what calls fail with, [`Unavailable`](ErrorKind::Unavailable) by default.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.set_kind(kind);
        self
    }

    /// Sets where [`When::Chance`] begins, 0 by default.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.fault.schedule.seed(seed);
        self
    }

    /// Counts and fails only these calls.
    #[must_use]
    pub fn with_only(mut self, calls: &[Call]) -> Self {
        self.fault.only = calls.into();
        self
    }

    /// Has the store carry out what then fails: only the reply is lost. A call that the store itself fails
    /// keeps the store's error.
    #[must_use]
    pub fn with_lost_replies(mut self) -> Self {
        self.fault.loses_replies = true;
        self
    }

    /// Fails calls from now on, counted anew; [`When::Never`] ends it.
    pub fn arm(&self, when: When) {
        self.fault.schedule.arm(when);
    }

    /// Sets what calls fail with from now on.
    pub fn set_kind(&self, kind: ErrorKind) {
        *self.fault.kind.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    /// The same faults around another store, counted and armed together with these: for several tiers, or
    /// for the next store over the same place.
    #[must_use]
    pub fn also<T: Store>(&self, store: T) -> Flaky<T> {
        Flaky { inner: Arc::new(store), fault: self.fault.clone() }
    }

    /// How many calls were made, those that failed included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.fault.schedule.counted()
    }

    /// How many calls failed here.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.fault.schedule.struck()
    }
}

/// For a [`Factory`](crate::Factory) of what is built on a store: a decorator, or a store with tiers.
impl<S: Store> Failures for Flaky<S> {
    fn operations(&self) -> u64 {
        self.calls()
    }

    fn fail(&self, nth: u64) {
        self.arm(if nth == 0 { When::Never } else { When::Nth(nth) });
    }
}

impl Fault for Flakiness {
    async fn around<T: Send>(
        &self,
        call: Call,
        key: Option<&Key>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if !self.only.has(call) || !self.schedule.strikes() {
            return work.await;
        }
        if self.loses_replies {
            work.await?;
        }
        let kind = *self.kind.lock().unwrap_or_else(PoisonError::into_inner);
        let what = if self.loses_replies { "the reply is lost" } else { "the call fails" };
        let error = Error::new(kind, "flaky", call.as_str()).with_detail(format!("{what}, as armed"));
        Err(match key {
            Some(key) => error.with_key(key),
            None => error,
        })
    }

    fn get_now(&self, store: &impl Store, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        if self.only.has(Call::Get) && self.schedule.is_armed() {
            return None;
        }
        store.get_now(key, name)
    }
}
