//! Keeps the budget, off the write path. The callers see to it that one eviction runs at a time in this
//! process; the index, that one does in all of them.

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, SystemTime},
};

use cache_core::{Error, Result};

use crate::{
    budget::{hard_limit, low_watermark},
    cancel::Cancel,
    disk::Inner,
    index::{Findings, Held, Replay, Turn, Wait, is_missing, review},
    pass::pass,
    queue::{Queue, Victim},
    remove::{Only, Removed, remove},
};

/// How many passes may follow each other without a byte that goes: entries may be used while they run.
const IDLE: u32 = 3;

/// How often entries whose shard others hold are tried again; the pauses double from 1 ms.
const ROUNDS: u32 = 7;

/// Brings the store within its budget if it is over: down to the low watermark, but never takes the entry
/// that was used last for that. Before anything else it heals a suspect index.
pub(crate) fn enforce(inner: &Inner, operation: &'static str, wait: Wait) -> Result<()> {
    let Some(max) = inner.options.max_bytes else { return Ok(()) };
    let totals = inner.budget.look(|| inner.index.totals(&inner.root, operation))?;
    // What a flush could not heal, puts do not try again and again.
    let to_heal = totals.suspect && (operation == "flush" || !inner.index.is_hopeless(totals.asked));
    if totals.sound && !to_heal && totals.bytes <= max {
        return Ok(());
    }
    let Some(turn) = inner.index.take_turn(&inner.root, wait, operation)? else {
        inner.budget.look(|| inner.index.totals(&inner.root, operation))?;
        return Ok(());
    };
    inner.write_recency();
    let mut eviction = Eviction::begin(inner, max, operation, &turn);
    let outcome = eviction.run();
    inner.keep_queue(eviction.queue);
    outcome
}

struct Eviction<'a> {
    inner: &'a Inner,
    operation: &'static str,
    max: u64,
    /// Evicts down to this.
    goal: u64,
    queue: Queue,
    /// Entries of which there was nothing but a record.
    ghosts: Vec<Victim>,
    ghost_bytes: u64,
    evicted: u64,
    /// How many records of entries that are not there were dropped.
    buried: u64,
    outcome: Result<()>,
}

impl<'a> Eviction<'a> {
    fn begin(inner: &'a Inner, max: u64, operation: &'static str, turn: &Turn) -> Self {
        // What others have evicted since is in the old queue still.
        let queue = if turn.again { inner.take_queue() } else { Queue::default() };
        Self {
            inner,
            operation,
            max,
            goal: max,
            queue,
            ghosts: Vec::new(),
            ghost_bytes: 0,
            evicted: 0,
            buried: 0,
            outcome: Ok(()),
        }
    }

    fn is_stopped(&self) -> bool {
        self.inner.closed.load(Ordering::Acquire)
    }

    fn run(&mut self) -> Result<()> {
        let mut idle = 0;
        let mut healing = self.operation == "flush";
        while !self.is_stopped() {
            let inner = self.inner;
            let totals = inner.budget.look(|| inner.index.totals(&inner.root, self.operation))?;
            let to_heal = totals.suspect && (healing || !self.inner.index.is_hopeless(totals.asked));
            let is_sure = totals.sound && !to_heal;
            if is_sure && totals.bytes <= self.goal {
                break;
            }
            if !is_sure || self.queue.is_empty() {
                if idle == IDLE {
                    break;
                }
                idle += 1;
                let stop = || inner.closed.load(Ordering::Acquire);
                let (queue, passed) = pass(inner, self.max, self.operation, &stop)?;
                if passed.is_err() {
                    healing = false;
                    inner.index.give_up(totals.asked);
                }
                (self.queue, self.outcome) = (queue, passed);
                continue;
            }
            self.goal = low_watermark(self.max);
            let before = (self.evicted, self.buried);
            self.evict();
            if (self.evicted, self.buried) != before {
                idle = 0;
            }
        }
        std::mem::replace(&mut self.outcome, Ok(()))
    }

    /// What is held at this moment. What a put has seen may be older than what went since.
    fn held(&self) -> u64 {
        let budget = &self.inner.budget;
        budget.look(|| self.inner.index.glance()).map_or_else(|_| budget.held(), |totals| totals.bytes)
    }

    /// Whether the next victim is to go.
    fn wants(&self, is_newest: bool) -> bool {
        let held = self.held().saturating_sub(self.ghost_bytes);
        held > self.goal && !(is_newest && held <= self.max) && !self.is_stopped()
    }

    /// Takes victims until enough is gone, or none is left.
    fn evict(&mut self) {
        let mut busy = Vec::new();
        while let Some(victim) = self.queue.pop() {
            if !self.wants(self.queue.was_newest()) {
                self.queue.put_back(victim);
                break;
            }
            match self.take(&victim) {
                Some(Removed::Busy) => busy.push(victim),
                Some(Removed::Used(used)) => self.queue.defer(victim, used),
                _ => {}
            }
        }
        self.bury();
        for round in 0..ROUNDS {
            if busy.is_empty() || self.held() <= self.max || !self.queue.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(1 << round));
            for victim in std::mem::take(&mut busy) {
                match self.wants(false).then(|| self.take(&victim)) {
                    None | Some(Some(Removed::Busy)) => busy.push(victim),
                    Some(Some(Removed::Used(used))) => self.queue.defer(victim, used),
                    Some(_) => {}
                }
            }
        }
        for victim in busy {
            self.queue.put_back(victim);
        }
        if self.held() <= self.max {
            // What is left is spared, or busy. That is enough.
            self.goal = self.max;
        }
    }

    fn take(&mut self, victim: &Victim) -> Option<Removed> {
        let inner = self.inner;
        let read = inner.recency.last(&victim.key).is_some_and(|last: SystemTime| victim.used < last.into());
        if read {
            inner.write_recency();
        }
        let only = Only::Unused(Held { bytes: victim.bytes, used: victim.used });
        match remove(inner, &victim.key, only, self.operation, &Cancel::default()) {
            Ok(removed) => {
                match removed {
                    Removed::Entry(bytes) => {
                        inner.counters.eviction(bytes);
                        self.evicted += 1;
                        if self.evicted.is_multiple_of(64) {
                            inner.index.beat(self.evicted | 1 << 32);
                        }
                        if inner.budget.held() <= hard_limit(self.max) {
                            inner.budget.relieved.notify_waiters();
                        }
                    }
                    // What is no directory is no entry.
                    Removed::Nothing | Removed::Other => {
                        self.ghost_bytes = self.ghost_bytes.saturating_add(victim.bytes);
                        self.ghosts.push(victim.clone());
                    }
                    Removed::Used(_) | Removed::Busy => {}
                }
                Some(removed)
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.outcome = std::mem::replace(&mut self.outcome, Ok(())).and(Err(error));
    }

    /// Drops the records of entries that are not there, one shard after the other.
    fn bury(&mut self) {
        let mut ghosts = std::mem::take(&mut self.ghosts);
        self.ghost_bytes = 0;
        let shard = |ghost: &Victim| ghost.key.digest.as_bytes().first().copied().unwrap_or(0);
        ghosts.sort_by_key(shard);
        let (inner, operation) = (self.inner, self.operation);
        for dead in ghosts.chunk_by(|a, b| shard(a) == shard(b)) {
            let look = |log: &Replay| {
                let missing = dead
                    .iter()
                    .filter(|one| log.get(&one.key).is_some() && is_missing(&inner.root, &one.key));
                Ok(Findings { keys: missing.map(|one| (one.key.clone(), None)).collect() })
            };
            let shard = dead.first().map_or(0, shard);
            match review(&inner.index, &inner.root, &inner.session(), shard, operation, Some(&look)) {
                Ok((_, Ok(()))) => self.buried += dead.len() as u64,
                Ok((_, Err(error))) => self.fail(error),
                Err(error) => self.fail(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
