//! A budget in stored bytes, which only a listing can tell.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::EntryMeta;

/// How many processes may fill one budget before any of them looks.
const SHARERS: u64 = 8;
/// The part of the budget that is free after an eviction, so that not every put has to look.
const ROOM: u64 = 10;

/// How much there may be, and how much there is as far as this process knows.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) max: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// What the last listing told, less what was evicted.
    known: Option<u64>,
    /// What was put since it began, without what that has replaced.
    put: u64,
    /// Whether somebody is about to look.
    is_looked_after: bool,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self { max, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry of so many bytes was put. Whether somebody has to look now who is not on the way yet: however full it
    /// is, not at every put.
    pub(crate) fn put(&self, bytes: u64) -> bool {
        let mut held = self.held();
        held.put = held.put.saturating_add(bytes);
        let is_due = held.put > self.max / ROOM / SHARERS;
        is_due && !std::mem::replace(&mut held.is_looked_after, true)
    }

    /// Whether a flush has to look: this process has taken its share of the room that there was, of a tenth of the budget
    /// at most. So processes that share it exceed it by no more.
    pub(crate) fn may_be_over(&self) -> bool {
        let held = self.held();
        held.known
            .is_none_or(|known| held.put > self.max.saturating_sub(known).min(self.max / ROOM) / SHARERS)
    }

    /// A listing begins: what is put from now on may be in it, or not. Nothing is known until it has ended.
    pub(crate) fn begin(&self) {
        *self.held() = Held::default();
    }

    /// What there is after all, if that is no more than there may be.
    pub(crate) fn know(&self, bytes: u64) {
        self.held().known = Some(bytes).filter(|bytes| *bytes <= self.max);
    }

    /// Who of the entries, which hold so many bytes together, has to go so that the others fit, the least recent first: down
    /// to nine tenths. What is as large as that room is left alone if it fits.
    pub(crate) fn victims(&self, mut entries: Vec<EntryMeta>, mut held: u64) -> Vec<EntryMeta> {
        let room = self.max / ROOM;
        if held <= self.max {
            return Vec::new();
        }
        entries.sort_by(|a, b| (a.recency(), &a.key).cmp(&(b.recency(), &b.key)));
        let mut victims = Vec::new();
        for entry in entries {
            let bytes = entry.counted_bytes();
            if held <= self.max - room || (held <= self.max && bytes > room) {
                break;
            }
            held = held.saturating_sub(bytes);
            victims.push(entry);
        }
        victims
    }
}

#[cfg(test)]
mod tests;
