//! Which entries go next: the least recently used ones, as far as the logs tell.

use std::{cmp::Reverse, collections::BinaryHeap};

use cache_core::{Digest, Key, Namespace};

use crate::index::{Held, Used};

/// An entry that may go. Those that fit nowhere go first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Victim {
    pub(crate) fits: bool,
    pub(crate) used: Used,
    pub(crate) key: Key,
    /// By its record.
    pub(crate) bytes: u64,
}

/// The first so and so many of all entries, in the making.
#[derive(Debug)]
pub(crate) struct Oldest {
    max: u64,
    room: usize,
    heap: BinaryHeap<Victim>,
    is_all: bool,
}

impl Oldest {
    /// Of the entries of a store that may hold `max` bytes, `room` at most.
    pub(crate) fn new(max: u64, room: usize) -> Self {
        Self { max, room, heap: BinaryHeap::new(), is_all: true }
    }

    pub(crate) fn see(&mut self, namespace: &Namespace, digest: Digest, held: Held) {
        let fits = held.bytes <= self.max;
        let victim = || {
            let key = Key::new(namespace.clone(), digest);
            Victim { fits, used: held.used, key, bytes: held.bytes }
        };
        if self.heap.len() < self.room {
            self.heap.push(victim());
            return;
        }
        self.is_all = false;
        let goes_before = |last: &Victim| (fits, held.used) < (last.fits, last.used);
        if let Some(mut last) = self.heap.peek_mut()
            && goes_before(&last)
        {
            *last = victim();
        }
    }

    pub(crate) fn into_queue(self) -> Queue {
        let last = self.heap.peek().map(|last| (last.fits, last.used));
        Queue { victims: self.heap.into_iter().map(Reverse).collect(), last, is_all: self.is_all }
    }
}

/// Victims, the one that goes next first. All entries that are not among them were used after the last
/// of them.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    victims: BinaryHeap<Reverse<Victim>>,
    last: Option<(bool, Used)>,
    /// Whether no entry was left out when it was made, nor since.
    is_all: bool,
}

impl Queue {
    pub(crate) fn pop(&mut self) -> Option<Victim> {
        self.victims.pop().map(|Reverse(victim)| victim)
    }

    pub(crate) fn put_back(&mut self, victim: Victim) {
        self.victims.push(Reverse(victim));
    }

    /// Puts a victim back that was used meanwhile, at `used`. Behind the last one it has no place: there
    /// may be others before it.
    pub(crate) fn defer(&mut self, victim: Victim, used: Used) {
        if self.last.is_some_and(|last| (victim.fits, used) <= last) {
            self.put_back(Victim { used, ..victim });
        } else {
            self.is_all = false;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.victims.is_empty()
    }

    /// Whether what was popped last was the entry that was used last of all.
    pub(crate) fn was_newest(&self) -> bool {
        self.is_all && self.victims.is_empty()
    }
}

#[cfg(test)]
mod tests;
