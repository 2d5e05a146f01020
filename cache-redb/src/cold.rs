//! Whether the file's pages are in memory, as far as the reads so far tell.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// So many reads in a row that did not wait make the file count as warm again.
const WARM_AFTER: u32 = 64;
/// After so long without any read of the file, what was known of it is worth nothing.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// What reads of a file had to wait for.
///
/// One read that waits for the device makes the file cold: the next reads may wait as well, and are better done
/// where that holds up nobody else. It is warm again when a number of them did not wait, or when there were none for a
/// while, as those that never get to the file cannot wait. So at most one read in a row waits where it should not.
#[derive(Debug)]
pub(crate) struct Coldness {
    /// How many reads without a wait are missing; 0 is warm.
    missing: AtomicU32,
    /// When the last read was, in nanoseconds since `start`.
    last: AtomicU64,
    start: Instant,
}

impl Coldness {
    pub(crate) fn new() -> Self {
        Self { missing: AtomicU32::new(0), last: AtomicU64::new(0), start: Instant::now() }
    }

    /// Whether the next read may well have to wait.
    pub(crate) fn is_cold(&self) -> bool {
        self.missing.load(Ordering::Relaxed) > 0 && self.is_cold_at(self.start.elapsed())
    }

    /// Notes a read of the file that had to wait, or had not to.
    pub(crate) fn note(&self, waited: bool) {
        if UNCOUNTED.get() || !waited && self.missing.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.note_at(waited, self.start.elapsed());
    }

    fn is_cold_at(&self, now: Duration) -> bool {
        let last = Duration::from_nanos(self.last.load(Ordering::Relaxed));
        self.missing.load(Ordering::Relaxed) > 0 && now.saturating_sub(last) < FORGOTTEN_AFTER
    }

    fn note_at(&self, waited: bool, now: Duration) {
        let is_forgotten = !self.is_cold_at(now);
        self.last.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if waited {
            self.missing.store(WARM_AFTER, Ordering::Relaxed);
        } else if is_forgotten {
            self.missing.store(0, Ordering::Relaxed);
        } else {
            let less = |missing: u32| missing.checked_sub(1);
            _ = self.missing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

thread_local! {
    static UNCOUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Does work whose reads tell nothing about those of others: a writer reads what nobody asked for.
pub(crate) fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            UNCOUNTED.set(self.0);
        }
    }
    let _restore = Restore(UNCOUNTED.replace(true));
    work()
}

#[cfg(test)]
mod tests;
