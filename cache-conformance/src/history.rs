//! What tasks did to one entry at the same time, and whether any order explains what they saw.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What an operation did to the entry, or saw of it. Each put writes a version of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Put(u64),
    Evict,
    /// The version that was read, if any.
    Read(Option<u64>),
    /// Whether the entry was there.
    Exists(bool),
}

/// An operation from its call to its answer, in the order of both among all calls and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) task: usize,
    pub(crate) name: &'static str,
    pub(crate) event: Event,
    pub(crate) called: u64,
    pub(crate) answered: u64,
}

/// Records the operations on one entry.
#[derive(Debug, Default)]
pub(crate) struct History {
    order: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl History {
    /// An operation that is called now.
    pub(crate) async fn record(
        &self,
        task: usize,
        name: &'static str,
        operation: impl Future<Output = Option<Event>>,
    ) {
        let called = self.order.fetch_add(1, Ordering::SeqCst);
        let event = operation.await;
        let answered = self.order.fetch_add(1, Ordering::SeqCst);
        if let Some(event) = event {
            let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
            operations.push(Operation { task, name, event, called, answered });
        }
    }

    /// All of them, by their calls.
    pub(crate) fn into_operations(self) -> Vec<Operation> {
        let mut operations = self.operations.into_inner().unwrap_or_else(PoisonError::into_inner);
        operations.sort_by_key(|operation| operation.called);
        operations
    }
}

/// Whether there is an order of the operations, each somewhere between its call and its answer, in which
/// every one sees what the last put or evict before it has left; at first there is nothing.
///
/// Tries all orders, but from no situation twice. At most 128 operations.
pub(crate) fn is_legal(operations: &[Operation]) -> bool {
    let mut tried = HashSet::new();
    let mut open = vec![(0_u128, None)];
    while let Some((done, state)) = open.pop() {
        let left = || operations.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        let Some(first_answer) = left().map(|(_, operation)| operation.answered).min() else { return true };
        if !tried.insert((done, state)) {
            continue;
        }
        // What was called after another one was answered comes after it.
        for (at, operation) in left().filter(|(_, operation)| operation.called < first_answer) {
            let next = match operation.event {
                Event::Put(version) => Some(Some(version)),
                Event::Evict => Some(None),
                Event::Read(seen) => (seen == state).then_some(state),
                Event::Exists(seen) => (seen == state.is_some()).then_some(state),
            };
            open.extend(next.map(|state| (done | 1 << at, state)));
        }
    }
    false
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, name, event, called, answered } = self;
        write!(f, "{called:4} to {answered:4}  task {task}  {name}")?;
        match event {
            Event::Put(version) => write!(f, " of version {version}"),
            Event::Evict => Ok(()),
            Event::Read(Some(version)) => write!(f, ": version {version}"),
            Event::Read(None) => f.write_str(": nothing"),
            Event::Exists(seen) => write!(f, ": {seen}"),
        }
    }
}

#[cfg(test)]
mod tests;
