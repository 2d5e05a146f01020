use std::{fmt, sync::Arc};

use crate::{ByteSize, Error};

/// What a flush made durable. A flush that could not is an error instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Whether everything that the store accepted before the flush now survives a crash; `false` on
    /// volatile stores. Of a stack: whether that holds in some tier, for what that tier accepted, which the
    /// outcome of each put tells.
    pub durable: bool,
    /// How many entries this flush made durable, where the store counts them.
    pub entries: u64,
    /// What each tier did, fastest first; empty for a store without tiers. Tiers that are never written are not in
    /// it.
    pub tiers: Vec<(Arc<str>, FlushReport)>,
}

impl FlushReport {
    /// Nothing to do: the store is volatile.
    #[must_use]
    pub fn volatile() -> Self {
        Self::default()
    }

    /// All that was accepted is durable, `entries` of it since the last flush.
    #[must_use]
    pub fn durable(entries: u64) -> Self {
        Self { durable: true, entries, tiers: Vec::new() }
    }

    /// What the tiers did.
    #[must_use]
    pub fn of_tiers(tiers: Vec<(Arc<str>, FlushReport)>) -> Self {
        Self {
            durable: tiers.iter().any(|(_, report)| report.durable),
            entries: tiers.iter().map(|(_, report)| report.entries).max().unwrap_or(0),
            tiers,
        }
    }
}

/// What a clear did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClearReport {
    /// Entries that went.
    pub evicted_entries: u64,
    /// Their bytes, as budgets count them.
    pub evicted_bytes: u64,
    /// Entries that could not be evicted and may still be there.
    pub failed_entries: u64,
    /// The first failure: of an eviction, or of the listing, which ended there.
    pub first_error: Option<Error>,
}

impl ClearReport {
    /// Whether all that was there is gone.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first_error.is_none()
    }

    pub(crate) fn evict(&mut self, bytes: u64) {
        self.evicted_entries += 1;
        self.evicted_bytes = self.evicted_bytes.saturating_add(bytes);
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.failed_entries += 1;
        self.end(error);
    }

    pub(crate) fn end(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }
}

impl fmt::Display for ClearReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = |count| if count == 1 { "entry" } else { "entries" };
        write!(
            f,
            "{} {} evicted, {}",
            self.evicted_entries,
            entries(self.evicted_entries),
            ByteSize::new(self.evicted_bytes)
        )?;
        match &self.first_error {
            None => Ok(()),
            Some(error) => write!(
                f,
                "; {} {} failed; {}",
                self.failed_entries,
                entries(self.failed_entries),
                error.to_line()
            ),
        }
    }
}

/// What a close left undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Background operations that were still under way at the deadline.
    pub left: u64,
    /// What each tier left, fastest first; empty for a store without tiers.
    pub tiers: Vec<(Arc<str>, CloseReport)>,
}

impl CloseReport {
    /// So many operations were still under way.
    #[must_use]
    pub fn left(left: u64) -> Self {
        Self { left, tiers: Vec::new() }
    }

    /// What the tiers left.
    #[must_use]
    pub fn of_tiers(tiers: Vec<(Arc<str>, CloseReport)>) -> Self {
        Self { left: tiers.iter().map(|(_, report)| report.left).fold(0, u64::saturating_add), tiers }
    }
}
