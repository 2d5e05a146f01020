//! Which entry of all shards goes next, and how it goes.

use std::sync::atomic::Ordering;

use cache_core::{EntryRead, Handover, Key};

use super::{Engine, Lane};
use crate::{eviction::Ranked, shard::Shard, slot::Slot};

impl Engine {
    /// Removes the entry that goes next, other than that of `spared`.
    pub(crate) fn evict_next(&self, spared: &Key) -> Option<Slot> {
        self.choose(spared, |shard, index| {
            let hash = self.seeds.hash(shard.slot(index)?.view());
            let gone = shard.evict(self.writing(hash), index);
            self.leave_behind(shard, gone)
        })
    }

    /// Has the entry that goes next be handed on: it stays, and is nobody else's victim.
    pub(crate) fn leave_next(&self, spared: &Key) -> Option<Leaving<'_>> {
        self.choose(spared, |shard, index| {
            let slot = shard.slot(index)?;
            let (key, version, bytes) = (slot.key(), slot.version(), slot.size().bytes);
            let victim = slot.read();
            // Before the shard tells that it has no victim: whoever finds none knows why.
            self.in_handover.fetch_add(1, Ordering::AcqRel);
            shard.leave(index);
            self.publish(&key.digest, shard);
            Some((key, version, bytes, victim))
        })
        .map(|(key, version, bytes, victim)| Leaving {
            engine: self,
            key,
            version,
            bytes,
            victim: Some(victim),
            answered: false,
        })
    }

    /// Whether others hand entries on, so that there may be room soon; a store that is closed needs none.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.in_handover.load(Ordering::Acquire) > 0 && !self.is_closed()
    }

    /// Waits until one of them was answered, or the store is closed. To be made before the question whether there are any.
    pub(crate) fn handed_over(&self) -> tokio::sync::futures::Notified<'_> {
        self.handed_over.notified()
    }

    /// Lets the puts end that are about to show an entry for which there is room.
    pub(crate) fn wait_for_puts(&self) {
        for lane in &self.lanes {
            drop(lane.read());
        }
    }

    /// Has `take` remove the entry that goes next, whose shard it gets.
    ///
    /// Each shard tells what its next victim is worth at least. The one that tells least is asked; if its
    /// victim turns out to be worth more, others may come first.
    fn choose<T>(&self, spared: &Key, take: impl FnOnce(&mut Shard, u32) -> Option<T>) -> Option<T> {
        let hash = self.seeds.hash(spared.view());
        let mut barred = None;
        // Reads go on meanwhile, and could make every victim worth more each time.
        let mut patience = 2 * self.lanes.len();
        loop {
            let (at, second) = self.least(barred)?;
            let mut shard = self.lanes.get(at).map(Lane::write)?;
            let spared = shard.find(hash, spared.view());
            let next = shard.next_victim(spared, &self.clock, self.account.entries());
            let told = self.ranks.get(at)?;
            match next {
                None => {
                    told.store(shard.rank(), Ordering::Relaxed);
                    barred = Some(at);
                }
                Some(Ranked { rank, .. }) if rank > second && patience > 0 => {
                    told.store(rank, Ordering::Relaxed);
                    patience -= 1;
                }
                Some(Ranked { index, .. }) => return take(&mut shard, index),
            }
        }
    }

    /// The shard that tells least, other than the one that is barred, and what the next one tells.
    fn least(&self, barred: Option<usize>) -> Option<(usize, u64)> {
        let (mut least, mut second) = ((None, u64::MAX), u64::MAX);
        for (at, rank) in self.ranks.iter().enumerate() {
            let rank = rank.load(Ordering::Relaxed);
            if rank < least.1 && barred != Some(at) {
                second = least.1;
                least = (Some(at), rank);
            } else if rank < second && barred != Some(at) {
                second = rank;
            }
        }
        least.0.map(|at| (at, second))
    }
}

/// An entry that is handed on. Dropped without an answer, it stays.
#[derive(Debug)]
#[must_use]
pub(crate) struct Leaving<'a> {
    engine: &'a Engine,
    key: Key,
    version: u64,
    pub(crate) bytes: u64,
    victim: Option<EntryRead>,
    answered: bool,
}

impl Leaving<'_> {
    /// What is handed on.
    pub(crate) fn victim(&mut self) -> Option<EntryRead> {
        self.victim.take()
    }

    #[cfg(test)]
    pub(crate) fn key(&self) -> Key {
        self.key.clone()
    }

    /// The entry stays; others need not wait for it.
    pub(crate) fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.engine.in_handover.fetch_sub(1, Ordering::AcqRel);
            self.engine.handed_over.notify_waiters();
        }
    }

    /// The entry goes, if the answer says so and it was not replaced meanwhile.
    pub(crate) fn settle(self, handover: Handover) -> Option<Slot> {
        let is_it = |slot: &Slot| slot.leaving && slot.version() == self.version;
        if handover.leaves() { self.engine.remove(&self.key, is_it) } else { None }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let engine = self.engine;
        let hash = engine.seeds.hash(self.key.view());
        let mut shard = engine.write(&self.key.digest);
        if let Some(index) = shard.find(hash, self.key.view())
            && shard.slot(index).is_some_and(|slot| slot.leaving && slot.version() == self.version)
        {
            shard.stay(engine.writing(hash), index);
            engine.publish(&self.key.digest, &shard);
        }
        drop(shard);
        self.answered();
    }
}
