//! Which computation waits for which: those that ask for each other end in an error, and those that others
//! need do not wait for a turn which those others have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{BlobName, Key, cache::Permit};

/// A computation under way, as those inside of it know it.
#[derive(Debug)]
pub(crate) struct Computation {
    pub(crate) id: u64,
    /// Which table of flights it is in.
    pub(crate) table: usize,
    pub(crate) key: Key,
    pub(crate) blob: BlobName,
    /// How many it is inside of.
    pub(crate) depth: usize,
    pub(crate) sponsor: Sponsor,
    pub(crate) outer: Option<Arc<Computation>>,
}

impl Computation {
    /// Whether this is, or is inside of, a computation of the same blob.
    pub(crate) fn is_of(&self, table: usize, key: &Key, blob: &BlobName) -> bool {
        let mut next = Some(self);
        while let Some(computation) = next {
            if computation.table == table && computation.key == *key && computation.blob == *blob {
                return true;
            }
            next = computation.outer.as_deref();
        }
        false
    }
}

/// Lets a computation run under the permit of one that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Sponsor {
    permit: Mutex<Option<Arc<Permit>>>,
    given: Notify,
}

impl Sponsor {
    pub(crate) fn permit(&self) -> Option<Arc<Permit>> {
        self.lock().clone()
    }

    /// Waits until there is one.
    pub(crate) async fn given(&self) -> Arc<Permit> {
        loop {
            if let Some(permit) = self.permit() {
                return permit;
            }
            self.given.notified().await;
        }
    }

    fn give(&self, permit: &Arc<Permit>) {
        self.lock().get_or_insert_with(|| Arc::clone(permit));
        self.given.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Permit>>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One for each call from inside of a computation that waits for another one. Those of all caches stand here: a
/// cycle may go through several.
static WAITS: Mutex<Vec<Wait>> = Mutex::new(Vec::new());

struct Wait {
    waiter: u64,
    target: Arc<Computation>,
}

/// While it lives, one computation waits for another.
#[derive(Debug)]
pub(crate) struct WaitGuard {
    waiter: u64,
    target: u64,
}

impl WaitGuard {
    /// Has `waiter` wait for `target`, unless `target` waits for `waiter`, by itself or through others.
    /// `permit` tells what the waiter runs under: `target` and all that it waits for may run under it, too.
    pub(crate) fn begin(
        waiter: u64,
        target: &Arc<Computation>,
        permit: impl FnOnce() -> Option<Arc<Permit>>,
    ) -> Option<Self> {
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = vec![target];
        let mut next = 0;
        while let Some(computation) = reached.get(next).map(|reached| reached.id) {
            if computation == waiter {
                return None;
            }
            for wait in waits.iter().filter(|wait| wait.waiter == computation) {
                if !reached.iter().any(|reached| reached.id == wait.target.id) {
                    reached.push(&wait.target);
                }
            }
            next += 1;
        }
        // Still under the lock: a wait that is added later finds the permit with its waiter.
        if let Some(permit) = permit() {
            reached.iter().for_each(|reached| reached.sponsor.give(&permit));
        }
        waits.push(Wait { waiter, target: Arc::clone(target) });
        Some(Self { waiter, target: target.id })
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waits.iter().position(|wait| wait.waiter == self.waiter && wait.target.id == self.target);
        let wait = at.map(|at| waits.swap_remove(at));
        drop(waits);
        // It may hold the last of a permit.
        drop(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, chain::fresh_id};

    fn begin(waiter: u64, target: u64) -> Option<WaitGuard> {
        let (key, blob) = (Key::from(Digest::of("k")), BlobName::DATA);
        let sponsor = Sponsor::default();
        let target = Computation { id: target, table: 0, key, blob, depth: 0, sponsor, outer: None };
        WaitGuard::begin(waiter, &Arc::new(target), || None)
    }

    #[test]
    fn a_wait_that_closes_a_cycle_is_refused() {
        let (a, b, c) = (fresh_id(), fresh_id(), fresh_id());
        assert!(begin(a, a).is_none());
        let first = begin(a, b).unwrap();
        let _second = begin(b, c).unwrap();
        assert!(begin(c, a).is_none());
        assert!(begin(c, b).is_none());
        drop(first);
        assert!(begin(c, a).is_some(), "nobody waits for c's waiter any more");
    }

    #[test]
    fn two_waits_of_one_pair_are_two() {
        let (a, b) = (fresh_id(), fresh_id());
        let _first = begin(a, b).unwrap();
        drop(begin(a, b));
        assert!(begin(b, a).is_none());
    }
}
