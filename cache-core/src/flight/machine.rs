//! One piece of work with any number of callers.
//!
//! The first caller polls the work itself, so that a call nobody else makes costs no task. When a second
//! one joins, it moves the work into a task of its own ([`Drive`]), so that no caller depends on another one
//! being polled; without such a task, and while it has not been polled yet, the callers poll it in turn.
//! When the last caller is gone, the work is dropped, by its task if it has one.
//!
//! States of the work: resting (in the slot), being polled (taken out of it), gone. It is polled and
//! dropped outside the lock, as wakers are cloned, woken and dropped.

use std::{
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::future::BoxFuture;

use super::{
    state::{Driver, Share, State, Work},
    sync::{Mutex, MutexGuard, PoisonError},
    waits::Computation,
    wakers::wake_all,
};

/// Work that several callers may share.
pub(crate) struct Flight<T> {
    id: u64,
    computation: Option<Arc<Computation>>,
    state: Mutex<State<T>>,
}

/// One caller's share in a flight: resolves to its outcome. Dropped, it gives the share up.
pub(crate) struct Ticket<T> {
    flight: Arc<Flight<T>>,
    share: Share,
    /// Whether it joined work that had no task.
    undriven: bool,
    /// Whether the task came from this caller.
    drives: bool,
    /// Whether this caller has let the task go first.
    stood_back: bool,
}

/// Polls the work of a flight to its end, or until nobody waits for it.
pub(crate) struct Drive<T>(Arc<Flight<T>>);

impl<T: Clone> Flight<T> {
    /// A flight and its first caller. A `computation` may be asked for by its callers.
    pub(crate) fn begin(
        id: u64,
        computation: Option<Arc<Computation>>,
        work: BoxFuture<'static, T>,
    ) -> (Arc<Self>, Ticket<T>) {
        let flight = Arc::new(Self { id, computation, state: Mutex::new(State::new(work)) });
        let ticket = Ticket::new(Arc::clone(&flight), false);
        (flight, ticket)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    #[cfg(test)]
    pub(crate) fn callers(&self) -> usize {
        self.lock().callers
    }

    /// Whether it is being polled although all callers left: what it does in that it still does.
    pub(crate) fn is_abandoned(&self) -> bool {
        let state = self.lock();
        state.callers == 0 && matches!(state.work, Work::Polled)
    }

    /// One more caller; `None` if all callers left before. Work that is about to be given up goes on.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Ticket<T>> {
        let mut state = self.lock();
        if matches!(state.work, Work::Gone) && state.outcome.is_none() {
            return None;
        }
        state.callers += 1;
        let undriven = matches!(state.driver, Driver::Callers);
        drop(state);
        Some(Ticket::new(Arc::clone(self), undriven))
    }

    /// Polls work that was taken out of the slot, and publishes its outcome or puts it back. `caller` is
    /// the share of who polls, unless it is the task.
    fn poll_work(
        &self,
        mut work: BoxFuture<'static, T>,
        caller: Option<(&mut Share, Waker)>,
        cx: &mut Context<'_>,
    ) -> Poll<T> {
        if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
            // Gone, with all that it holds, before anybody learns of the outcome.
            _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
            let mut state = self.lock();
            if let Some((share, _)) = caller {
                state.end(share);
            }
            if state.callers > 0 {
                state.outcome = Some(outcome.clone());
            }
            state.work = Work::Gone;
            let wakers = mem::take(&mut state.wakers);
            let driver = state.take_driver();
            drop(state);
            wake_all(wakers.into_iter().chain(driver));
            return Poll::Ready(outcome);
        }
        let mut state = self.lock();
        if state.callers == 0 {
            state.work = Work::Gone;
            let driver = state.take_driver();
            drop(state);
            // First, as the drop may panic.
            wake_all(driver);
            drop(work);
            return Poll::Pending;
        }
        state.work = Work::Resting(work);
        let (mut driver, mut replaced, mut others) = (None, None, Vec::new());
        match caller {
            Some((share, waker)) => {
                replaced = state.wakers.keep(&mut share.place, waker);
                driver = state.take_driver();
            }
            // Whoever brought this task left while it polled: its runtime may stand still from now on.
            None if matches!(state.driver, Driver::Task(None)) => others = state.wakers.take(),
            None => {}
        }
        drop(state);
        drop(replaced);
        wake_all(others.into_iter().chain(driver));
        Poll::Pending
    }
}

impl<T> Ticket<T> {
    fn new(flight: Arc<Flight<T>>, undriven: bool) -> Self {
        Self { flight, share: Share::default(), undriven, drives: false, stood_back: false }
    }

    /// The computation that it is a share in, if it is one.
    pub(crate) fn computation(&self) -> Option<&Arc<Computation>> {
        self.flight.computation.as_ref()
    }

    /// Whether it joined work that had no task. Whoever begins one leaves that to the second.
    pub(crate) fn undriven(&self) -> bool {
        self.undriven
    }
}

impl<T: Clone> Ticket<T> {
    /// Moves the work into a task of its own, if several wait for it or it has to be `apart`, and it has none.
    pub(crate) fn drive(&mut self, apart: bool) -> Option<Drive<T>> {
        let mut state = self.flight.lock();
        let wanted = apart || state.callers > 1;
        if !wanted || matches!(state.driver, Driver::Task(_)) || matches!(state.work, Work::Gone) {
            return None;
        }
        state.driver = Driver::Task(None);
        drop(state);
        self.drives = true;
        Some(Drive(Arc::clone(&self.flight)))
    }
}

impl<T> Flight<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> bool {
        matches!(self.lock().work, Work::Gone)
    }
}

impl<T: Clone> Future for Ticket<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        // Whoever is woken is so for the outcome, most of the time.
        if this.share.has_waited()
            && let Some(outcome) = this.flight.lock().answer(&mut this.share)
        {
            return Poll::Ready(outcome);
        }
        // Cloned and dropped outside the lock: what a waker does then is its own business.
        let waker = cx.waker().clone();
        let mut state = this.flight.lock();
        if let Some(outcome) = state.answer(&mut this.share) {
            drop(state);
            return Poll::Ready(outcome);
        }
        let polls = match state.driver {
            Driver::Callers => true,
            // One that has not been polled yet may never be, as its runtime may stand still.
            Driver::Task(None) => mem::replace(&mut this.stood_back, true),
            Driver::Task(Some(_)) => false,
        };
        let again = matches!(state.driver, Driver::Task(None)) && !polls;
        if polls && let Some(work) = state.take_work() {
            drop(state);
            return this.flight.poll_work(work, Some((&mut this.share, waker)), cx);
        }
        let replaced = state.wakers.keep(&mut this.share.place, waker);
        drop(state);
        drop(replaced);
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        if self.share.over {
            return;
        }
        let mut state = self.flight.lock();
        let own = state.wakers.forget(self.share.place);
        state.callers -= 1;
        if state.outcome.is_some() {
            drop(state);
        } else if state.callers > 0 {
            // The work knows this caller's waker, or the task is in this caller's runtime, which may stand
            // still from now on: the others have to poll it again.
            let driver = if self.drives { state.take_driver() } else { None };
            let others = match state.driver {
                Driver::Callers | Driver::Task(None) => state.wakers.take(),
                Driver::Task(_) => Vec::new(),
            };
            drop(state);
            wake_all(others.into_iter().chain(driver));
        } else if let Some(driver) = state.take_driver() {
            // The task drops the work: that may hold more of the kind, and they must not nest without end.
            drop(state);
            driver.wake();
        } else if let Some(work) = state.take_work() {
            state.work = Work::Gone;
            drop(state);
            drop(work);
        } else {
            // It is being polled, and who polls it finds that nobody waits.
            drop(state);
        }
        drop(own);
    }
}

impl<T: Clone> Future for Drive<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if matches!(state.work, Work::Gone) {
            return Poll::Ready(());
        }
        // Kept, so that the caller who polls right now can hand over, and the last one who leaves end this.
        let replaced = mem::replace(&mut state.driver, Driver::Task(Some(waker)));
        let work = state.take_work();
        if state.callers == 0 && work.is_some() {
            state.work = Work::Gone;
            drop(state);
            return Poll::Ready(());
        }
        drop(state);
        drop(replaced);
        let Some(work) = work else { return Poll::Pending };
        if self.0.poll_work(work, None, cx).is_ready() || self.0.gone() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl<T> Drop for Drive<T> {
    /// A task that ends early, or never begins, leaves the work to the callers.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(state.work, Work::Gone) {
            return;
        }
        state.driver = Driver::Callers;
        let callers = state.wakers.take();
        let work = if state.callers == 0 { state.take_work() } else { None };
        if work.is_some() {
            state.work = Work::Gone;
        }
        drop(state);
        drop(work);
        wake_all(callers);
    }
}
