//! Leaves a sick tier alone: after failures in a row for a while, and then until one call has found it well.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cache_core::{BreakerState, Result};
use tokio::time::Instant;

use crate::{
    BreakerOptions,
    tally::{Tally, is_sickness},
};

/// The gate through which calls pass freely.
const CLOSED: u64 = 0;
/// The bit of a gate that tells of a probe.
const PROBED: u64 = 1;
/// The bits of a row that count its failures.
const FAILURES: u64 = u32::MAX as u64;

/// Counts what ails a tier, and opens by it if it has limits. Without a lock, as every call passes here.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: Option<BreakerOptions>,
    /// After how long a probe is not waited for any more.
    patience: Duration,
    tally: Arc<Tally>,
    epoch: Instant,
    /// [`CLOSED`], or a time in nanoseconds since `epoch`, above the bit [`PROBED`]. Without a probe it is when one may
    /// begin; with one, when that has been silent for so long that another may.
    gate: AtomicU64,
    /// The failures in a row, and above them the number of the row. A new row begins when the breaker opens and when
    /// it closes, so that calls from before it do not count after it.
    row: AtomicU64,
}

impl Breaker {
    /// A call takes no longer than `deadline`, as a rule: a flush, a put whose source is slow, and where there is none
    /// any call may. So that a lost one does not keep the tier shut, another may probe when it has had that and a pause.
    pub(crate) fn new(limits: Option<BreakerOptions>, deadline: Option<Duration>, tally: Arc<Tally>) -> Self {
        let pause = limits.as_ref().map_or(Duration::ZERO, |limits| limits.pause);
        let patience = pause.saturating_add(deadline.unwrap_or_default());
        let (gate, row) = (AtomicU64::new(CLOSED), AtomicU64::new(0));
        Self { limits, patience, tally, epoch: Instant::now(), gate, row }
    }

    /// Whether it can open at all.
    pub(crate) fn can_open(&self) -> bool {
        self.limits.is_some()
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.gate.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            gate if gate & PROBED == 0 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// The right to make a call.
    pub(crate) fn admit(&self) -> Result<Pass<'_>, Refused> {
        loop {
            let gate = self.gate.load(Ordering::Acquire);
            if gate == CLOSED {
                return Ok(Pass { breaker: self, right: Right::Row(self.row()) });
            }
            let (now, opens) = (self.now(), gate >> 1);
            if now < opens {
                self.tally.skipped();
                let left = (gate & PROBED == 0).then(|| Duration::from_nanos(opens - now));
                return Err(Refused { failures: self.limits.as_ref().map_or(0, |it| it.failures), left });
            }
            let probe = (after(now, self.patience) << 1) | PROBED;
            if self.gate.compare_exchange(gate, probe, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Ok(Pass { breaker: self, right: Right::Probe(probe) });
            }
        }
    }

    /// The row that a call which begins now belongs to.
    pub(crate) fn row(&self) -> u64 {
        self.row.load(Ordering::Acquire) & !FAILURES
    }

    /// What came of a call that belongs to `row`.
    pub(crate) fn count<T>(&self, row: u64, answer: &Result<T>) {
        match answer {
            Err(error) if is_sickness(error) => {
                self.tally.failed(error);
                self.failed(row);
            }
            _ => self.answered(row),
        }
    }

    fn answered(&self, row: u64) {
        let seen = self.row.load(Ordering::Acquire);
        if seen != row && seen & !FAILURES == row {
            // If another one was faster, it ended at the same time, and either order is true.
            _ = self.row.compare_exchange(seen, row, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    fn failed(&self, row: u64) {
        let Some(limits) = &self.limits else { return };
        let is_last = |seen: u64| (seen & FAILURES) + 1 >= u64::from(limits.failures);
        let counted = self.row.fetch_update(Ordering::AcqRel, Ordering::Acquire, |seen| {
            let next = if is_last(seen) { next_row(seen) } else { seen + 1 };
            (seen & !FAILURES == row).then_some(next)
        });
        if counted.is_ok_and(is_last) {
            self.open(CLOSED);
        }
    }

    fn open(&self, from: u64) {
        let Some(limits) = &self.limits else { return };
        let gate = after(self.now(), limits.pause) << 1;
        if self.gate.compare_exchange(from, gate, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.tally.opened();
        }
    }

    /// Ends a probe; one that was silent for too long has no say any more.
    fn close(&self, probe: u64) {
        if self.gate.load(Ordering::Acquire) == probe {
            // First: streams that were under way may have counted failures in this one.
            _ = self.row.fetch_update(Ordering::AcqRel, Ordering::Acquire, |row| Some(next_row(row)));
            _ = self.gate.compare_exchange(probe, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Ends a probe of which nothing came.
    fn give_back(&self, probe: u64) {
        let gate = self.now() << 1;
        _ = self.gate.compare_exchange(probe, gate, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Never 0, so that no time looks [`CLOSED`].
    fn now(&self) -> u64 {
        nanos(self.epoch.elapsed()).saturating_add(1)
    }
}

/// A time that can be shifted by one bit.
fn after(now: u64, pause: Duration) -> u64 {
    now.saturating_add(nanos(pause)).min(u64::MAX >> 1)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn next_row(row: u64) -> u64 {
    (row | FAILURES).wrapping_add(1)
}

/// The right to make one call. Dropped, nothing is learnt, and another one may probe.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    right: Right,
}

#[derive(Clone, Copy, Debug)]
enum Right {
    /// One of many, in this row.
    Row(u64),
    /// The only one, while the gate is this.
    Probe(u64),
    Spent,
}

impl Pass<'_> {
    /// Tells what came of the call.
    pub(crate) fn end<T>(mut self, answer: &Result<T>) {
        match (std::mem::replace(&mut self.right, Right::Spent), answer) {
            (Right::Row(row), answer) => self.breaker.count(row, answer),
            (Right::Probe(probe), Err(error)) if is_sickness(error) => {
                self.breaker.tally.failed(error);
                self.breaker.open(probe);
            }
            (Right::Probe(probe), _) => self.breaker.close(probe),
            (Right::Spent, _) => {}
        }
    }

    /// Tells that a stream has begun. It is for its pieces to end a row of failures; but a probe has its answer, as
    /// nobody has to read on.
    pub(crate) fn begun(mut self) {
        if let Right::Probe(probe) = std::mem::replace(&mut self.right, Right::Spent) {
            self.breaker.close(probe);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Right::Probe(probe) = self.right {
            self.breaker.give_back(probe);
        }
    }
}

/// Why a call was not made.
#[derive(Debug)]
pub(crate) struct Refused {
    failures: u32,
    /// How much of the pause is left; `None` while a probe is under way.
    left: Option<Duration>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left alone after {} failures in a row, ", self.failures)?;
        match self.left {
            Some(left) => write!(f, "for {:.1} s more", left.as_secs_f64()),
            None => f.write_str("until one call has found it well"),
        }
    }
}

#[cfg(test)]
mod tests;
