use std::sync::{Mutex, PoisonError};

use crate::Metrics;

/// Where a view of counters starts from, so that it can be reset while the counters go on.
///
/// ```
/// use cache_core::{Baseline, Counters};
///
/// let (counters, view) = (Counters::default(), Baseline::default());
/// counters.miss();
/// view.reset(counters.snapshot());
/// counters.hit(10);
/// let metrics = view.apply(&counters.snapshot());
/// assert_eq!((metrics.hits, metrics.misses), (1, 0));
/// ```
#[derive(Debug, Default)]
pub struct Baseline(Mutex<Metrics>);

impl Baseline {
    /// Starts the view again from `now`.
    pub fn reset(&self, now: Metrics) {
        let before = {
            let mut start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *start, now)
        };
        drop(before);
    }

    /// What was counted since the last reset. A snapshot taken before it counts nothing.
    #[must_use]
    pub fn apply(&self, now: &Metrics) -> Metrics {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.since(&start)
    }
}
