use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use super::{
    Asker,
    mode::{Counts, Mode},
};

/// One thing that can be held, who holds it, and who waits for it.
#[derive(Default)]
pub(super) struct Node {
    /// By owner, how often it holds which mode.
    holders: HashMap<u64, Counts>,
    /// How many owners hold which mode.
    held: Counts,
    /// Owners that hold the node and need more of it, by ticket. They wait for holders only: all
    /// others in the queue may be waiting for them.
    upgrades: BTreeMap<u64, Waiter>,
    /// The others, by ticket. The first waits for holders and upgrades, the rest for those before.
    queue: BTreeMap<u64, Waiter>,
}

pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) owner: u64,
    pub(super) mode: Mode,
    pub(super) call: oneshot::Sender<()>,
}

impl Node {
    /// For whom `asker` takes this node: the outermost operation around it that has it, or itself.
    pub(super) fn owner(&self, asker: &Asker) -> u64 {
        let mut operations = asker.operations.iter().copied();
        operations.find(|operation| self.holders.contains_key(operation)).unwrap_or(asker.operation())
    }

    /// Whether `owner` may have `mode` at once.
    pub(super) fn admits(&self, owner: u64, mode: Mode) -> bool {
        match self.holders.get(&owner) {
            Some(own) => own.covers(mode) || self.held.leave_room(own, mode),
            None => {
                self.upgrades.is_empty()
                    && self.queue.is_empty()
                    && self.held.leave_room(&Counts::default(), mode)
            }
        }
    }

    pub(super) fn hold(&mut self, owner: u64, mode: Mode) {
        let count = self.holders.entry(owner).or_default().of_mut(mode);
        *count += 1;
        if *count == 1 {
            *self.held.of_mut(mode) += 1;
        }
    }

    pub(super) fn release(&mut self, owner: u64, mode: Mode) {
        let Some(own) = self.holders.get_mut(&owner) else { return };
        let count = own.of_mut(mode);
        *count = count.saturating_sub(1);
        if *count == 0 {
            let held = self.held.of_mut(mode);
            *held = held.saturating_sub(1);
        }
        if own.is_none() {
            self.holders.remove(&owner);
        }
    }

    pub(super) fn enqueue(&mut self, ticket: u64, waiter: Waiter) {
        let holds = self.holders.contains_key(&waiter.owner);
        let queue = if holds { &mut self.upgrades } else { &mut self.queue };
        queue.insert(ticket, waiter);
    }

    /// Takes a waiter out of the queue; `None` if its turn has come already.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waiter> {
        self.upgrades.remove(&ticket).or_else(|| self.queue.remove(&ticket))
    }

    /// Lets those in whose turn it is. They hold the node from now on.
    pub(super) fn call_next(&mut self) -> Vec<Waiter> {
        let mut called = Vec::new();
        while let Some(waiter) = self.next() {
            self.hold(waiter.owner, waiter.mode);
            called.push(waiter);
        }
        called
    }

    fn next(&mut self) -> Option<Waiter> {
        let fits = |waiter: &Waiter| {
            let own = self.holders.get(&waiter.owner).copied().unwrap_or_default();
            own.covers(waiter.mode) || self.held.leave_room(&own, waiter.mode)
        };
        if self.upgrades.is_empty() {
            let first = self.queue.first_entry()?;
            return fits(first.get()).then(|| first.remove());
        }
        let ticket = self.upgrades.iter().find(|(_, waiter)| fits(waiter)).map(|(ticket, _)| *ticket)?;
        self.upgrades.remove(&ticket)
    }

    /// All who wait, with their tickets.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (u64, &Waiter)> {
        self.upgrades.iter().chain(&self.queue).map(|(ticket, waiter)| (*ticket, waiter))
    }

    pub(super) fn waiter(&self, ticket: u64) -> Option<&Waiter> {
        self.upgrades.get(&ticket).or_else(|| self.queue.get(&ticket))
    }

    /// Those who are let in only after the waiter with this ticket, and before the ticket `until`.
    pub(super) fn behind(&self, ticket: u64, until: u64) -> impl Iterator<Item = (u64, &Waiter)> {
        let from = if self.upgrades.contains_key(&ticket) { 0 } else { ticket.saturating_add(1) };
        let from = from.min(until);
        self.queue.range(from..until).map(|(ticket, waiter)| (*ticket, waiter))
    }

    pub(super) fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.upgrades.is_empty() && self.queue.is_empty()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.upgrades.len() + self.queue.len()
    }
}
