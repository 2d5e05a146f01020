//! What time it is, at the price of a hit.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache_core::{Clock, SystemClock};

use crate::ticker::Ticks;

/// The time of day as the store reads it.
#[derive(Debug)]
pub(crate) enum Time {
    /// The machine's: exact for writes, as of the last tick for hits.
    Machine(Ticks),
    /// Another one, asked each time.
    Given(Arc<dyn Clock>),
}

impl Time {
    pub(crate) fn now(&self) -> SystemTime {
        match self {
            Self::Machine(_) => SystemClock.now(),
            Self::Given(clock) => clock.now(),
        }
    }

    /// For a hit, in nanoseconds since 1970.
    #[inline]
    pub(crate) fn of_hit(&self) -> u64 {
        match self {
            Self::Machine(ticks) => ticks.last().unwrap_or_else(|| ticks.start()),
            Self::Given(clock) => nanos(clock.now()),
        }
    }
}

/// Nanoseconds since 1970, up to the year 2554; 0 before.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)).unwrap_or(SystemTime::UNIX_EPOCH)
}
