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
    collections::BTreeMap,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::future::BoxFuture;

use super::sync::{Mutex, MutexGuard, PoisonError};

/// Work that several callers may share.
pub(crate) struct Flight<T> {
    id: u64,
    state: Mutex<State<T>>,
}

struct State<T> {
    work: Work<T>,
    outcome: Option<T>,
    callers: usize,
    next_caller: u64,
    wakers: BTreeMap<u64, Waker>,
    driver: Driver,
}

enum Work<T> {
    Resting(BoxFuture<'static, T>),
    Polled,
    Gone,
}

/// Who polls the work.
enum Driver {
    /// Whichever caller is polled.
    Callers,
    /// A task of its own; its waker while it waits for the first caller to let go of the work.
    Task(Option<Waker>),
}

/// One caller's share in a flight: resolves to its outcome. Dropped, it gives the share up.
pub(crate) struct Ticket<T> {
    flight: Arc<Flight<T>>,
    number: u64,
    /// Whether the task came from this caller.
    drives: bool,
    /// Whether this caller has let the task go first.
    stood_back: bool,
}

/// Polls the work of a flight to its end, or until nobody waits for it.
pub(crate) struct Drive<T>(Arc<Flight<T>>);

impl<T: Clone> Flight<T> {
    /// A flight and its first caller.
    pub(crate) fn begin(id: u64, work: BoxFuture<'static, T>) -> (Arc<Self>, Ticket<T>) {
        let flight = Arc::new(Self {
            id,
            state: Mutex::new(State {
                work: Work::Resting(work),
                outcome: None,
                callers: 1,
                next_caller: 1,
                wakers: BTreeMap::new(),
                driver: Driver::Callers,
            }),
        });
        let ticket = Ticket { flight: Arc::clone(&flight), number: 0, drives: false, stood_back: false };
        (flight, ticket)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    #[cfg(test)]
    pub(crate) fn callers(&self) -> usize {
        self.lock().callers
    }

    /// One more caller; `None` if the work was given up before. Work that is about to be given up goes on.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Ticket<T>> {
        let mut state = self.lock();
        if matches!(state.work, Work::Gone) && state.outcome.is_none() {
            return None;
        }
        state.callers += 1;
        let number = state.next_caller;
        state.next_caller += 1;
        Some(Ticket { flight: Arc::clone(self), number, drives: false, stood_back: false })
    }

    /// Polls work that was taken out of the slot, and publishes its outcome or puts it back. `caller` is
    /// the caller's number, if it is one that polls.
    fn poll_work(
        &self,
        mut work: BoxFuture<'static, T>,
        caller: Option<(u64, Waker)>,
        cx: &mut Context<'_>,
    ) -> Poll<T> {
        if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
            // Gone, with all that it holds, before anybody learns of the outcome.
            _ = catch_unwind(AssertUnwindSafe(|| drop(work)));
            let mut state = self.lock();
            state.outcome = Some(outcome.clone());
            state.work = Work::Gone;
            let wakers = mem::take(&mut state.wakers);
            let driver = state.take_driver();
            drop(state);
            wake_all(wakers.into_values().chain(driver));
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
        let (mut driver, mut replaced, mut others) = (None, None, BTreeMap::new());
        match caller {
            Some((number, waker)) => {
                replaced = state.wakers.insert(number, waker);
                driver = state.take_driver();
            }
            // Whoever brought this task left while it polled: its runtime may stand still from now on.
            None if matches!(state.driver, Driver::Task(None)) => others = mem::take(&mut state.wakers),
            None => {}
        }
        drop(state);
        drop(replaced);
        wake_all(others.into_values().chain(driver));
        Poll::Pending
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

impl<T> State<T> {
    /// The work, if it rests; whoever takes it polls it and puts it back, or drops it.
    fn take_work(&mut self) -> Option<BoxFuture<'static, T>> {
        match mem::replace(&mut self.work, Work::Polled) {
            Work::Resting(work) => Some(work),
            other => {
                self.work = other;
                None
            }
        }
    }

    fn take_driver(&mut self) -> Option<Waker> {
        match &mut self.driver {
            Driver::Task(waker) => waker.take(),
            Driver::Callers => None,
        }
    }
}

impl<T: Clone> Future for Ticket<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Cloned and dropped outside the lock: what a waker does then is its own business.
        let waker = cx.waker().clone();
        let this = self.get_mut();
        let mut state = this.flight.lock();
        if let Some(outcome) = state.outcome.clone() {
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
            return this.flight.poll_work(work, Some((this.number, waker)), cx);
        }
        let replaced = state.wakers.insert(this.number, waker);
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
        let mut state = self.flight.lock();
        let own = state.wakers.remove(&self.number);
        state.callers -= 1;
        if state.outcome.is_some() {
            drop(state);
            drop(own);
            return;
        }
        if state.callers > 0 {
            // The work knows this caller's waker, or the task is in this caller's runtime, which may stand
            // still from now on: the others have to poll it again.
            let driver = if self.drives { state.take_driver() } else { None };
            let others = match state.driver {
                Driver::Callers | Driver::Task(None) => mem::take(&mut state.wakers),
                Driver::Task(_) => BTreeMap::new(),
            };
            drop(state);
            wake_all(others.into_values().chain(driver));
        } else if let Some(driver) = state.take_driver() {
            // The task drops the work: that may hold more of the kind, and they must not nest without end.
            drop(state);
            driver.wake();
        } else if let Some(work) = state.take_work() {
            state.work = Work::Gone;
            drop(state);
            drop(work);
        }
        // Else it is being polled, and who polls it finds that nobody waits.
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
        let callers = mem::take(&mut state.wakers);
        let work = if state.callers == 0 { state.take_work() } else { None };
        if work.is_some() {
            state.work = Work::Gone;
        }
        drop(state);
        drop(work);
        wake_all(callers.into_values());
    }
}

/// Wakes them all, also if a waker panics.
fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut panicked = None;
    for waker in wakers {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            panicked = Some(panic);
        }
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
}
