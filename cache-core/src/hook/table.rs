//! Fair, re-entrant locks by node. A wait that would never end is refused.
//!
//! The owner of a hold is the operation that took it; what is nested in it takes the node for the same
//! owner. An owner may ask for what it holds again, and for more of it before anybody who holds nothing
//! of the node. All others are served in the order of their coming, also operations side by side in one
//! that does not hold the node itself.

mod deadlock;
mod mode;
mod node;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

pub(super) use self::mode::Mode;
use self::node::{Node, Waiter};
use crate::{Error, ErrorKind, Operation, Result};

pub(super) struct Table<N>(Arc<Mutex<State<N>>>);

struct State<N> {
    /// Those that somebody holds or waits for.
    nodes: HashMap<N, Node>,
    /// What each operation took itself, by its number: what it gives back only when it ends.
    taken: HashMap<u64, Vec<(N, Mode)>>,
    last_ticket: u64,
}

enum Asked {
    /// For this owner.
    Granted(u64),
    /// The owner, the ticket, and who calls it.
    Waits(u64, u64, oneshot::Receiver<()>),
    Deadlock,
}

impl<N: Clone + Eq + Hash> Table<N> {
    fn state(&self) -> MutexGuard<'_, State<N>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, operation: u64, owner: u64, node: N, mode: Mode, ticket: Option<u64>) -> Claim<N> {
        Claim { table: Self(Arc::clone(&self.0)), operation, owner, node, mode, ticket }
    }

    /// Takes `node` for `operation`, and waits for its turn.
    pub(super) async fn lock(&self, operation: &Operation, node: N, mode: Mode) -> Result<Claim<N>> {
        let asker = Asker::of(operation);
        let asked = self.state().ask(&asker, &node, mode);
        match asked {
            Asked::Granted(owner) => Ok(self.claim(asker.operation(), owner, node, mode, None)),
            Asked::Waits(owner, ticket, turn) => {
                let claim = self.claim(asker.operation(), owner, node, mode, Some(ticket));
                match turn.await {
                    Ok(()) => Ok(claim),
                    Err(lost) => Err(Error::new(ErrorKind::Internal, "", "").with_source(lost)),
                }
            }
            Asked::Deadlock => {
                let detail = "deadlock: this operation would wait for one that waits for it";
                Err(Error::invalid(detail))
            }
        }
    }

    /// Takes `node` if that needs no wait.
    pub(super) fn try_lock(&self, operation: &Operation, node: N, mode: Mode) -> Option<Claim<N>> {
        let asker = Asker::of(operation);
        let owner = self.state().take(&asker, &node, mode)?;
        Some(self.claim(asker.operation(), owner, node, mode, None))
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().nodes.values().map(Node::waiting).sum()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state();
        state.nodes.is_empty() && state.taken.is_empty()
    }
}

impl<N: Clone + Eq + Hash> State<N> {
    /// For whom `asker` takes the node.
    fn owner(&self, asker: &Asker, node: &N) -> u64 {
        self.nodes.get(node).map_or(asker.operation(), |at| at.owner(asker))
    }

    /// Takes the node if nobody is in the way, and answers for whom.
    fn take(&mut self, asker: &Asker, node: &N, mode: Mode) -> Option<u64> {
        let owner = self.owner(asker, node);
        if self.nodes.get(node).is_some_and(|at| !at.admits(owner, mode)) {
            return None;
        }
        self.nodes.entry(node.clone()).or_default().hold(owner, mode);
        self.note(asker.operation(), node, mode);
        Some(owner)
    }

    fn ask(&mut self, asker: &Asker, node: &N, mode: Mode) -> Asked {
        if let Some(owner) = self.take(asker, node, mode) {
            return Asked::Granted(owner);
        }
        let owner = self.owner(asker, node);
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let (call, turn) = oneshot::channel();
        let at = self.nodes.entry(node.clone()).or_default();
        at.enqueue(ticket, Waiter { asker: asker.clone(), owner, mode, call });
        if self.waits_for_itself(node, ticket) {
            if let Some(at) = self.nodes.get_mut(node) {
                at.leave(ticket);
            }
            return Asked::Deadlock;
        }
        Asked::Waits(owner, ticket, turn)
    }

    fn note(&mut self, operation: u64, node: &N, mode: Mode) {
        self.taken.entry(operation).or_default().push((node.clone(), mode));
    }

    fn forget(&mut self, operation: u64, node: &N, mode: Mode) {
        let Some(taken) = self.taken.get_mut(&operation) else { return };
        if let Some(at) = taken.iter().position(|(other, as_mode)| other == node && *as_mode == mode) {
            taken.swap_remove(at);
        }
        if taken.is_empty() {
            self.taken.remove(&operation);
        }
    }

    /// Ends a wait or a hold. Answers who left the queue and whose turn it is, to be called or dropped
    /// when the lock is not held any more.
    fn release(&mut self, claim: &Claim<N>) -> (Option<Waiter>, Vec<Waiter>) {
        let Some(at) = self.nodes.get_mut(&claim.node) else { return (None, Vec::new()) };
        let left = claim.ticket.and_then(|ticket| at.leave(ticket));
        if left.is_none() {
            at.release(claim.owner, claim.mode);
        }
        let called = at.call_next();
        if at.is_unused() {
            self.nodes.remove(&claim.node);
        }
        if left.is_none() {
            self.forget(claim.operation, &claim.node, claim.mode);
        }
        for waiter in &called {
            self.note(waiter.asker.operation(), &claim.node, waiter.mode);
        }
        (left, called)
    }
}

impl<N> Default for Table<N> {
    fn default() -> Self {
        let state = State { nodes: HashMap::new(), taken: HashMap::new(), last_ticket: 0 };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl<N> fmt::Debug for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Table").field("nodes", &state.nodes.len()).finish_non_exhaustive()
    }
}

/// Who asks: an operation and those that it is nested in.
#[derive(Clone)]
struct Asker {
    /// Outermost first; the last is the operation itself.
    operations: Arc<[u64]>,
}

impl Asker {
    fn of(operation: &Operation) -> Self {
        Self { operations: Arc::clone(operation.chain().operations()) }
    }

    /// Its number. There is one, as whoever makes an operation enters it.
    fn operation(&self) -> u64 {
        self.operations.last().copied().unwrap_or_default()
    }
}

/// A place in the queue of a node, then the node itself; given back when it is dropped.
pub(super) struct Claim<N: Clone + Eq + Hash> {
    table: Table<N>,
    operation: u64,
    owner: u64,
    node: N,
    mode: Mode,
    ticket: Option<u64>,
}

impl<N: Clone + Eq + Hash> Drop for Claim<N> {
    fn drop(&mut self) {
        let (_left, called) = self.table.state().release(self);
        for waiter in called {
            // A waiter that is gone by now gives the node back itself.
            _ = waiter.call.send(());
        }
    }
}
