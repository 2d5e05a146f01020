use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    task::Waker,
};

use slab::Slab;

/// The wakers of the callers that wait for a flight, each in a place of its own. Those that are given out are
/// dropped and woken outside of its lock.
#[derive(Default)]
pub(crate) struct Wakers(Slab<Option<Waker>>);

impl Wakers {
    /// Keeps the waker of the caller in this place, or of one who gets a place, and gives out its older one.
    pub(crate) fn keep(&mut self, place: &mut Option<usize>, waker: Waker) -> Option<Waker> {
        if let Some(kept) = place.and_then(|place| self.0.get_mut(place)) {
            return kept.replace(waker);
        }
        *place = Some(self.0.insert(Some(waker)));
        None
    }

    /// Gives up a place.
    pub(crate) fn forget(&mut self, place: Option<usize>) -> Option<Waker> {
        self.0.try_remove(place?)?
    }

    /// Takes them all. The callers keep their places.
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        self.0.iter_mut().filter_map(|(_, waker)| waker.take()).collect()
    }

    /// All of them, where no caller comes back.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Waker> {
        self.0.into_iter().filter_map(|(_, waker)| waker)
    }
}

/// Wakes them all, also if a waker panics.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
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
