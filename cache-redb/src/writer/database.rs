//! The database as the writer has it: opened, written to in transactions, and healed.

use std::collections::HashSet;

use cache_core::{Error, ErrorKind};
use redb::Durability;

use super::Writer;
use crate::{
    batch::{Batch, Changed},
    contain::{Fault, contain_fault},
    engine::Engine,
    opening::{Opened, open, set_aside},
    rows::{RowKey, Use},
    snapshot::Snapshot,
};

/// How a transaction is to be committed.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    pub(super) durable: bool,
    /// Whether reads that were noted are written down with it.
    pub(super) noting: bool,
}

impl Writer {
    /// Opens the database. An error leaves it closed.
    pub(crate) fn open(&mut self, engine: &Engine) -> Result<(), Fault> {
        let (opened, anew) = open(&*engine.medium)?;
        self.take(engine, opened)?;
        if anew {
            engine.counters.corrupt();
        }
        Ok(())
    }

    pub(super) fn take(&mut self, engine: &Engine, opened: Opened) -> Result<(), Fault> {
        engine.go_on_after(opened.stamp);
        engine.ids.opened(opened.id).map_err(Fault::Damaged)?;
        self.generation += 1;
        (self.sum, self.loose) = (opened.sum, opened.loose);
        (self.unflushed, self.unflushed_bytes, self.is_dirty) = (0, 0, false);
        let (snapshot, written) = contain_fault(|| {
            let snapshot = Snapshot::of(&*opened.db, self.generation)?;
            let written = notes_written(engine, &snapshot)?;
            Ok((snapshot, written))
        })?;
        engine.recency.keep(&written);
        engine.publish(Some(snapshot), self.sum, false);
        self.db = Some(opened.db);
        self.may_have_giants = engine.options.max_bytes.is_some_and(|max| self.sum.bytes > max);
        Ok(())
    }

    /// Opens the database again if it is not open.
    pub(super) fn ensure_open(&mut self, engine: &Engine) -> Result<(), Fault> {
        if self.db.is_some() { Ok(()) } else { self.open(engine) }
    }

    /// Closes the database, with what was not flushed if that can be.
    pub(super) fn shut(&mut self, engine: &Engine) {
        engine.publish(None, self.sum, false);
        self.db = None;
    }

    /// Brings the database back after a fault. What was in no durable commit may be lost, which the next flush tells.
    pub(super) fn heal(&mut self, engine: &Engine, fault: &Fault) {
        let error = match fault {
            Fault::Refused(_) => return,
            Fault::Failed(error) | Fault::Damaged(error) => error,
        };
        self.lost += self.unflushed;
        if self.unflushed > 0 {
            let told = format!("{} puts that were not flushed are lost: {}", self.lost, error.to_line());
            self.owed = Some(Error::new(ErrorKind::Unavailable, "redb", "flush").with_detail(told));
        } else {
            self.owed.get_or_insert_with(|| error.clone().at("redb", "flush"));
        }
        self.reopen(engine, fault);
    }

    /// As [`heal`](Self::heal), of a fault that a read met: that has cost nothing if all was durable.
    pub(super) fn heal_read(&mut self, engine: &Engine, fault: &Fault) {
        match fault {
            Fault::Failed(_) if !self.is_dirty => self.reopen(engine, fault),
            _ => self.heal(engine, fault),
        }
    }

    fn reopen(&mut self, engine: &Engine, fault: &Fault) {
        self.shut(engine);
        (self.unflushed, self.unflushed_bytes, self.is_dirty) = (0, 0, false);
        if let Fault::Damaged(error) = fault {
            engine.counters.corrupt();
            // If it cannot be moved it is tried again when it is opened.
            _ = set_aside(&*engine.medium, error);
        }
        // What fails now is tried again by who needs it next.
        _ = self.open(engine);
    }

    /// So many changes failed, as those who asked for them were told. The next flush tells it, too.
    pub(super) fn owe(&mut self, changes: usize, error: &Error) {
        if changes > 0 {
            let told = format!("a commit of {changes} changes failed: {}", error.to_line());
            let owed =
                || Error::new(error.kind(), "redb", "flush").with_detail(told).with_source(error.clone());
            self.owed.get_or_insert_with(owed);
        }
    }

    /// Does something in one transaction, and lets reads see it.
    pub(super) fn transact<T>(
        &mut self,
        engine: &Engine,
        how: How,
        work: impl FnOnce(&mut Batch<'_, '_>) -> Result<T, redb::Error>,
    ) -> Result<T, Fault> {
        self.ensure_open(engine)?;
        let Some(db) = &self.db else { return Err(Fault::refused(ErrorKind::Unavailable, "it is not open")) };
        let (sum, generation, now) = (self.sum, self.generation, engine.clock.now());
        let notes = if how.noting { engine.recency.take() } else { Vec::new() };
        let done = contain_fault(|| {
            let mut tx = db.begin_write()?;
            if how.durable {
                tx.set_quick_repair(true);
            } else {
                tx.set_durability(Durability::None)?;
            }
            let mut batch = Batch::begin(engine, &tx, sum, now)?;
            for note in &notes {
                batch.note(note)?;
            }
            let answer = work(&mut batch)?;
            let changed = batch.finish()?;
            tx.commit()?;
            Ok((answer, changed, Snapshot::of(&**db, generation)?))
        });
        // If it failed, what became of the notes is seen when the database is opened again.
        let (answer, changed, snapshot) = done?;
        self.committed(how, &changed);
        engine.publish(Some(snapshot), self.sum, how.noting);
        for key in &changed.gone {
            engine.recency.forget(key);
        }
        self.loose.extend(changed.loose);
        Ok(answer)
    }

    pub(super) fn committed(&mut self, how: How, changed: &Changed) {
        self.sum = changed.sum;
        self.is_dirty = !how.durable;
        if how.durable {
            (self.unflushed, self.unflushed_bytes) = (0, 0);
        } else {
            self.unflushed += changed.puts;
            self.unflushed_bytes = self.unflushed_bytes.saturating_add(changed.bytes);
        }
    }
}

/// The stamps of notes in rows, of those that were on their way when the database failed: a commit may fail when all of
/// it is there.
fn notes_written(engine: &Engine, snapshot: &Snapshot) -> Result<HashSet<u64>, Fault> {
    let mut written = HashSet::new();
    for note in engine.recency.leaving() {
        let key = RowKey::entry(note.key.view());
        let row = snapshot.entries.get(key.as_bytes())?;
        let last = row.and_then(|row| Use::of_row(key.as_bytes(), row.value()));
        written.extend(last.map(|last| last.stamp).filter(|stamp| *stamp == note.reads.stamp));
    }
    Ok(written)
}

#[cfg(test)]
impl Writer {
    /// Changes rows behind the store's back, which reads see at once; `None` if the database is not open.
    pub(crate) fn tamper<T>(
        &self,
        engine: &Engine,
        change: impl FnOnce(&redb::WriteTransaction) -> T,
    ) -> Option<T> {
        let db = self.db.as_ref()?;
        let mut tx = db.begin_write().ok()?;
        tx.set_durability(Durability::None).ok()?;
        let answer = change(&tx);
        tx.commit().ok()?;
        engine.publish(Some(Snapshot::of(&**db, self.generation).ok()?), self.sum, false);
        Some(answer)
    }
}
