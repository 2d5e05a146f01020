use std::sync::Arc;

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
    /// What each tier did, fastest first; empty for a store without tiers.
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
