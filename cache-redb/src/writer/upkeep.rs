//! What is seen to beside the queue: durability, the budget, space.

use cache_core::Result;

use super::{Writer, database::How};
use crate::{
    compact::compact,
    contain::{Contained, Fault, contain_fault},
    engine::Engine,
    opening::{held, mend},
    rows::Totals,
    snapshot::Snapshot,
};

/// Entries that go in one transaction.
const VICTIMS: usize = 64;
/// Rows of large blobs that go in one transaction: 16 MiB.
const SWEPT: usize = 64;

impl Writer {
    /// Makes all durable that was written before. Answers how many puts that were.
    pub(super) fn flush(&mut self, engine: &Engine) -> Result<u64> {
        let flushed = self.try_flush(engine);
        if let Err(fault) = &flushed {
            self.heal(engine, fault);
        }
        self.lost = 0;
        match self.owed.take() {
            Some(owed) => Err(owed),
            None => flushed.map_err(|fault| fault.error().clone()),
        }
    }

    pub(super) fn try_flush(&mut self, engine: &Engine) -> Result<u64, Fault> {
        while self.evict(engine)? {}
        let puts = self.unflushed;
        if self.is_dirty || !engine.recency.is_empty() || self.db.is_none() {
            self.transact(engine, How { durable: true, noting: true }, |_| Ok(()))?;
        }
        Ok(puts)
    }

    /// Removes some of what was used least recently, if too much is held. Answers whether there may be more to do.
    pub(super) fn evict(&mut self, engine: &Engine) -> Result<bool, Fault> {
        let excess = self.excess(engine, 0);
        if excess == Totals::default() {
            return Ok(false);
        }
        let giants = if self.may_have_giants { engine.options.max_bytes } else { None };
        self.may_have_giants = false;
        let how = How { durable: false, noting: !engine.recency.is_empty() };
        let (any, evicted) = self.transact(engine, how, |batch| {
            let mut evicted = Vec::new();
            let victims = match giants {
                Some(max) => batch.giants(max)?,
                None => batch.victims(VICTIMS, excess)?,
            };
            for (stamp, key) in &victims {
                evicted.extend(batch.evict(key, *stamp)?);
            }
            Ok((!victims.is_empty(), evicted))
        })?;
        evicted.iter().for_each(|bytes| engine.counters.eviction(*bytes));
        // After damage stamps may lead nowhere: those are gone now. Or there are none.
        Ok(any || giants.is_some() || self.mend(engine)?)
    }

    /// Puts the order of uses and the counts right. Answers whether they were not.
    fn mend(&mut self, engine: &Engine) -> Result<bool, Fault> {
        let Some(db) = &self.db else { return Ok(false) };
        let generation = self.generation;
        let mended = contain_fault(|| match mend(db)? {
            true => Ok(Some((held(&**db)?, Snapshot::of(&**db, generation)?))),
            false => Ok(None),
        })?;
        let Some((sum, snapshot)) = mended else { return Ok(false) };
        self.sum = sum;
        engine.publish(Some(snapshot), sum, false);
        Ok(true)
    }

    /// As [`evict`](Self::evict), in the background.
    pub(super) fn evict_some(&mut self, engine: &Engine) -> bool {
        self.evict(engine).unwrap_or_else(|fault| {
            self.heal(engine, &fault);
            false
        })
    }

    /// Evicts as long as much too much is held.
    pub(super) fn keep_near_budget(&mut self, engine: &Engine) {
        while self.excess(engine, 20) != Totals::default() && self.evict_some(engine) {}
    }

    /// What is held beyond the budget and a part of it more, which is one in so many; 0 is none.
    pub(super) fn excess(&self, engine: &Engine, part: u64) -> Totals {
        let beyond = |held: u64, max: Option<u64>| {
            let max = max.unwrap_or(u64::MAX);
            held.saturating_sub(max.saturating_add(max.checked_div(part).unwrap_or(0)))
        };
        let (bytes, entries) = (engine.options.max_bytes, engine.options.max_entries);
        Totals { entries: beyond(self.sum.entries, entries), bytes: beyond(self.sum.bytes, bytes), stored: 0 }
    }

    /// Removes some rows of a large blob that belongs to no entry and that nobody reads. Answers whether it did.
    pub(super) fn sweep(&mut self, engine: &Engine) -> bool {
        // Who reads it tells when that has ended.
        while let Some(id) = self.loose.pop_front() {
            if !engine.readings.may_remove(id) {
                continue;
            }
            match self.transact(engine, How::default(), |batch| batch.sweep(id, SWEPT)) {
                Ok(true) => {}
                Ok(false) => self.loose.push_front(id),
                // It stays loose, and is found when the database is opened: it is tried again after the next operation.
                Err(fault) => {
                    self.heal(engine, &fault);
                    return false;
                }
            }
            return true;
        }
        false
    }

    /// Writes the database anew if that makes its file much smaller. Nobody else writes meanwhile; reads go on.
    pub(super) fn compact(&mut self, engine: &Engine) -> Result<()> {
        // What is to go need not be copied.
        while self.sweep(engine) {}
        // What is only in memory takes up nothing yet.
        let flushed = self.ensure_open(engine).and_then(|()| self.try_flush(engine));
        let compacted = flushed.and_then(|_| self.try_compact(engine));
        match compacted {
            Ok(()) => Ok(()),
            Err(Fault::Refused(error)) => {
                // There is no room for two, for example: the old one does as well.
                tracing::warn!(database = engine.medium.location(), error = error.to_line(), "not compacted");
                Ok(())
            }
            Err(fault) => {
                self.heal(engine, &fault);
                Err(fault.error().clone())
            }
        }
    }

    pub(super) fn try_compact(&mut self, engine: &Engine) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Ok(()) };
        let Some(new) = compact(&*engine.medium, db)? else { return Ok(()) };
        let new = Contained::new(new);
        (self.unflushed, self.unflushed_bytes, self.is_dirty) = (0, 0, false);
        // The same rows under the same numbers: streams go on. The old database is nowhere any more, so whatever
        // fails now, it is the new one that is opened again.
        let snapshot = contain_fault(|| Snapshot::of(&*new, self.generation));
        let snapshot = snapshot.map_err(|fault| Fault::Failed(fault.error().clone()))?;
        let old = self.db.replace(new);
        engine.publish(Some(snapshot), self.sum, false);
        drop(old);
        Ok(())
    }

    pub(super) fn close(&mut self, engine: &Engine) -> Result<()> {
        let closed = match &self.db {
            Some(_) if self.is_dirty || !engine.recency.is_empty() => {
                self.transact(engine, How { durable: true, noting: true }, |_| Ok(()))
            }
            _ => Ok(()),
        };
        self.shut(engine);
        closed.map_err(|fault| fault.error().clone())
    }
}
