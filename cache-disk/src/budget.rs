//! How full the store is: a running estimate, corrected by each scan.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process believes that the store holds. All that it writes and removes is in it; what other
/// processes do is seen by the next scan.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    estimate: Option<u64>,
    /// All that ever came in.
    added: u64,
}

/// How much had come in when a scan began.
#[derive(Debug)]
pub(crate) struct ScanBegun(u64);

impl Budget {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn estimate(&self) -> Option<u64> {
        self.held().estimate
    }

    /// An entry of `before` bytes has `after` bytes now; none has 0.
    pub(crate) fn change(&self, before: u64, after: u64) {
        let mut held = self.held();
        held.added = held.added.saturating_add(after.saturating_sub(before));
        if let Some(estimate) = &mut held.estimate {
            *estimate = estimate.saturating_add(after).saturating_sub(before);
        }
    }

    pub(crate) fn begin_scan(&self) -> ScanBegun {
        ScanBegun(self.held().added)
    }

    /// Sets what a scan found. What came in meanwhile may or may not be among it and counts in full: an
    /// estimate that is too high costs a scan, one that is too low breaks the limit.
    pub(crate) fn correct(&self, scanned: u64, begun: &ScanBegun) {
        let mut held = self.held();
        held.estimate = Some(scanned.saturating_add(held.added.saturating_sub(begun.0)));
    }

    /// Whether the limit may be passed, as far as is known.
    pub(crate) fn is_over(&self, max: u64) -> bool {
        self.estimate().is_none_or(|held| held > max)
    }

    /// Whether so much is held that a put has to wait for an eviction.
    pub(crate) fn is_far_over(&self, max: u64) -> bool {
        self.estimate().is_some_and(|held| held > max.saturating_add(max / 20))
    }
}

/// An eviction goes on down to this, so that it does not start again with the next put.
pub(crate) fn low_watermark(max: u64) -> u64 {
    max - max / 10
}

#[cfg(test)]
mod tests;
