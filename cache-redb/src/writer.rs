//! The one that writes: it works off the queue in batches, keeps the budget, and heals the database.

mod batches;
mod database;
mod upkeep;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cache_core::{Error, ErrorKind};
use redb::Database;

use crate::{
    cold::uncounted,
    contain::{Contained, Fault},
    engine::Engine,
    queue::{Next, Op},
    rows::Totals,
};

#[derive(Default)]
pub(crate) struct Writer {
    db: Option<Contained<Database>>,
    generation: u64,
    sum: Totals,
    /// Puts, and their bytes, that are in no durable commit yet.
    unflushed: u64,
    unflushed_bytes: u64,
    /// Whether anything at all is.
    is_dirty: bool,
    /// What the next flush has to tell, and how many puts are lost by that.
    owed: Option<Error>,
    lost: u64,
    /// Large blobs that are to be removed.
    loose: VecDeque<u64>,
    /// Whether there may be entries over the whole budget, which was larger once: they go first, for of those that
    /// were used least recently all others would.
    may_have_giants: bool,
}

/// Works until there is nothing to do. What it waits for tells nothing of the reads of others.
pub(crate) fn work(engine: &Arc<Engine>) {
    uncounted(|| work_off(engine));
}

fn work_off(engine: &Arc<Engine>) {
    while let Some(mut writer) = engine.unpark() {
        let worked = catch_unwind(AssertUnwindSafe(|| while writer.step(engine) {}));
        if worked.is_err() {
            // Not of the database: of what a caller handed in, for example. Whoever waited for that learns it.
            let panicked = Error::new(ErrorKind::Internal, "", "").with_detail("the writer panicked");
            writer.heal(engine, &Fault::Failed(panicked));
        }
        engine.park(writer);
        if engine.queue.rest() {
            return;
        }
    }
}

impl Writer {
    /// Does what comes next. Answers whether there was anything to do.
    fn step(&mut self, engine: &Engine) -> bool {
        match engine.queue.next() {
            Some(Next::Batch(batch)) => {
                self.batch(engine, batch);
                self.keep_near_budget(engine);
                self.sweep(engine);
                true
            }
            Some(Next::Alone(queued)) => {
                self.alone(engine, queued.op);
                true
            }
            None => self.evict_some(engine) || self.sweep(engine),
        }
    }

    fn alone(&mut self, engine: &Engine, op: Op) {
        match op {
            Op::Flush { reply } => {
                let others = engine.queue.next_flushes();
                let flushed = self.flush(engine);
                for queued in others {
                    if let Op::Flush { reply } = queued.op {
                        _ = reply.send(flushed.clone());
                    }
                }
                _ = reply.send(flushed);
            }
            Op::Heal { generation, fault, reply } => {
                if let (Some(generation), Some(fault)) = (generation, fault)
                    && generation == self.generation
                    && self.db.is_some()
                {
                    self.heal_read(engine, &fault);
                }
                _ = reply.send(self.ensure_open(engine).map_err(|fault| fault.error().clone()));
            }
            Op::Compact { reply } => _ = reply.send(self.compact(engine)),
            Op::Close { reply } => {
                let closed = self.close(engine);
                _ = reply.send(closed);
            }
            // All others are done in batches.
            other => other.fail(&Error::new(ErrorKind::Internal, "", "")),
        }
    }
}
