//! How many computations may be under way at once, and for how many bytes.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, ErrorKind, Result};

/// What one permit for bytes stands for.
const UNIT: u64 = 64 << 10;

/// Bounds on the computations under way at once; none by default.
///
/// A computation from inside of another one runs under the outer one's permit, so that nested computations
/// cannot wait for each other.
///
/// ```
/// use std::time::Duration;
/// use cache_core::ComputeLimits;
///
/// let limits = ComputeLimits::default()
///     .with_max_concurrent(8)
///     .with_max_bytes(2 << 30)
///     .with_deadline(Duration::from_secs(600));
/// # let _ = limits;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComputeLimits {
    /// How many computations run at once; the others wait in the order in which they came. At least 1.
    pub max_concurrent: Option<usize>,
    /// How many bytes the computations that run at once are expected to yield, see
    /// [`ComputeOptions::expected_bytes`]. One that expects more than all of it runs alone.
    pub max_bytes: Option<u64>,
    /// How long a computation may run, the wait for its turn not included.
    pub deadline: Option<Duration>,
}

impl ComputeLimits {
    /// Sets how many computations run at once; 0 counts as 1.
    #[must_use]
    pub fn with_max_concurrent(mut self, computations: usize) -> Self {
        self.max_concurrent = Some(computations);
        self
    }

    /// Sets how many bytes are expected at once.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets how long a computation may run.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// How to compute one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComputeOptions {
    /// How many bytes the value is expected to have: what it takes of [`ComputeLimits::max_bytes`]. 1 MiB
    /// if absent.
    pub expected_bytes: Option<u64>,
    /// How long this computation may run, instead of [`ComputeLimits::deadline`].
    pub deadline: Option<Duration>,
}

impl ComputeOptions {
    /// What a value is expected to have if nobody says: 1 MiB.
    pub const DEFAULT_EXPECTED_BYTES: u64 = 1 << 20;

    /// Sets the expected bytes.
    #[must_use]
    pub fn with_expected_bytes(mut self, bytes: u64) -> Self {
        self.expected_bytes = Some(bytes);
        self
    }

    /// Sets how long it may run.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// The permits behind [`ComputeLimits`].
#[derive(Debug)]
pub(crate) struct Gate {
    computations: Option<Arc<Semaphore>>,
    bytes: Option<(Arc<Semaphore>, u32)>,
    deadline: Option<Duration>,
}

/// Held while a computation runs.
#[derive(Debug)]
#[expect(dead_code, reason = "held to be dropped")]
pub(crate) struct Permit(Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

impl Gate {
    pub(crate) fn new(limits: ComputeLimits) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS)));
        let units = |bytes| u32::try_from(units(bytes)).unwrap_or(u32::MAX).min(MAX_UNITS);
        Self {
            computations: limits.max_concurrent.map(semaphore),
            bytes: limits.max_bytes.map(units).map(|units| (semaphore(units as usize), units)),
            deadline: limits.deadline,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Waits for a turn.
    pub(crate) async fn admit(&self, options: &ComputeOptions) -> Result<Permit> {
        let closed = |error| Error::new(ErrorKind::Internal, "", "get_or_compute").with_source(error);
        // Bytes first: whoever waits for them keeps no computation from its turn.
        let bytes = match &self.bytes {
            Some((semaphore, all)) => {
                let expected = options.expected_bytes.unwrap_or(ComputeOptions::DEFAULT_EXPECTED_BYTES);
                let wanted = u32::try_from(units(expected)).unwrap_or(u32::MAX).min(*all);
                Some(Arc::clone(semaphore).acquire_many_owned(wanted).await.map_err(closed)?)
            }
            None => None,
        };
        let computation = match &self.computations {
            Some(semaphore) => Some(Arc::clone(semaphore).acquire_owned().await.map_err(closed)?),
            None => None,
        };
        Ok(Permit(bytes, computation))
    }
}

/// 64 TiB of bytes: more permits than that one semaphore need not have.
const MAX_UNITS: u32 = 1 << 30;

fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT).max(1)
}

#[cfg(test)]
mod tests;
