//! How full the store is: a running estimate, corrected by each scan.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What this process believes that the store holds. Puts add to it; what they replace and what other
/// processes do is seen by the next scan, which the estimate brings about when it passes the limit.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    held: Mutex<Option<u64>>,
    /// At most one eviction at a time.
    evicting: Mutex<()>,
    scheduled: AtomicBool,
}

impl Budget {
    fn held(&self) -> MutexGuard<'_, Option<u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other eviction runs.
    pub(crate) fn evicting(&self) -> MutexGuard<'_, ()> {
        self.evicting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn estimate(&self) -> Option<u64> {
        *self.held()
    }

    pub(crate) fn add(&self, bytes: u64) {
        if let Some(held) = &mut *self.held() {
            *held = held.saturating_add(bytes);
        }
    }

    pub(crate) fn subtract(&self, bytes: u64) {
        if let Some(held) = &mut *self.held() {
            *held = held.saturating_sub(bytes);
        }
    }

    /// Sets what a scan found. Puts that came meanwhile may be missing until the next one.
    pub(crate) fn correct(&self, bytes: u64) {
        *self.held() = Some(bytes);
    }

    /// Whether the limit may be passed, as far as is known.
    pub(crate) fn is_over(&self, max: u64) -> bool {
        self.held().is_none_or(|held| held > max)
    }

    /// Claims the one background eviction; false if one is on its way.
    pub(crate) fn schedule(&self) -> bool {
        !self.scheduled.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn unschedule(&self) {
        self.scheduled.store(false, Ordering::Release);
    }
}

/// A background eviction goes on down to this, so that it does not start again with the next put.
pub(crate) fn low_watermark(max: u64) -> u64 {
    max - max / 10
}

/// A put beyond this evicts by itself instead of leaving it to the background.
pub(crate) fn hard_limit(max: u64) -> u64 {
    max.saturating_add(max / 20)
}
