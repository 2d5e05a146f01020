//! What a stack counts of each of its tiers.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{Error, ErrorKind, TierMetrics};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    opened: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    skipped: AtomicU64,
    promotions: AtomicU64,
    promotion_errors: AtomicU64,
    dropped: AtomicU64,
}

/// Whether a call failed because the tier is sick.
pub(crate) fn is_sickness(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

impl Tally {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that failed by sickness.
    pub(crate) fn failed(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if error.kind() == ErrorKind::Timeout {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call that was not made.
    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// A copy into this tier.
    pub(crate) fn promotion(&self, succeeded: bool) {
        let counter = if succeeded { &self.promotions } else { &self.promotion_errors };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry that was to be written to this tier and never will be.
    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Without the state of the breaker and of the queue, which are told by those.
    pub(crate) fn snapshot(&self) -> TierMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut metrics = TierMetrics::default();
        metrics.opened = read(&self.opened);
        metrics.failures = read(&self.failures);
        metrics.timeouts = read(&self.timeouts);
        metrics.skipped = read(&self.skipped);
        metrics.promotions = read(&self.promotions);
        metrics.promotion_errors = read(&self.promotion_errors);
        metrics.dropped = read(&self.dropped);
        metrics
    }
}
