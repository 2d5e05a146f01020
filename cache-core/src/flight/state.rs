//! What the callers of a flight share under its lock.

use std::{mem, task::Waker};

use futures::future::BoxFuture;

use super::wakers::Wakers;

pub(super) struct State<T> {
    pub(super) work: Work<T>,
    /// What came of the work, while callers wait for it.
    pub(super) outcome: Option<T>,
    pub(super) callers: usize,
    pub(super) wakers: Wakers,
    pub(super) driver: Driver,
}

pub(super) enum Work<T> {
    Resting(BoxFuture<'static, T>),
    Polled,
    Gone,
}

/// Who polls the work.
pub(super) enum Driver {
    /// Whichever caller is polled.
    Callers,
    /// A task of its own; its waker while it waits for the first caller to let go of the work.
    Task(Option<Waker>),
}

/// What a caller is to the state.
#[derive(Default)]
pub(super) struct Share {
    /// Where its waker is, if it has waited.
    pub(super) place: Option<usize>,
    /// Whether it was given up for the outcome.
    pub(super) over: bool,
}

impl Share {
    pub(super) fn has_waited(&self) -> bool {
        self.place.is_some()
    }
}

impl<T> State<T> {
    pub(super) fn new(work: BoxFuture<'static, T>) -> Self {
        Self {
            work: Work::Resting(work),
            outcome: None,
            callers: 1,
            wakers: Wakers::default(),
            driver: Driver::Callers,
        }
    }

    /// The outcome, if there is one by now; it ends the share.
    pub(super) fn answer(&mut self, share: &mut Share) -> Option<T>
    where
        T: Clone,
    {
        let outcome = self.outcome.clone()?;
        self.end(share);
        Some(outcome)
    }

    /// The work, if it rests; whoever takes it polls it and puts it back, or drops it.
    pub(super) fn take_work(&mut self) -> Option<BoxFuture<'static, T>> {
        match mem::replace(&mut self.work, Work::Polled) {
            Work::Resting(work) => Some(work),
            other => {
                self.work = other;
                None
            }
        }
    }

    /// A caller has the outcome.
    pub(super) fn end(&mut self, share: &mut Share) {
        if !mem::replace(&mut share.over, true) {
            self.callers -= 1;
        }
    }

    pub(super) fn take_driver(&mut self) -> Option<Waker> {
        match &mut self.driver {
            Driver::Task(waker) => waker.take(),
            Driver::Callers => None,
        }
    }
}
