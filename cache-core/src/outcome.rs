use std::sync::Arc;

/// Whether a put was stored, by policy. A failure is an [`Error`](crate::Error) instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PutStatus {
    /// The entry is visible.
    Stored,
    /// The entry was refused, and an older value under its key was removed (a [`Fill`] removes nothing).
    ///
    /// [`Fill`]: crate::PutMode::Fill
    Refused(Refusal),
}

/// Why a put was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The budget is zero: a disabled cache.
    #[error("the cache is disabled")]
    Disabled,
    /// The entry is larger than the store's whole budget.
    #[error("the entry is over the store's budget")]
    OverBudget,
    /// The budget is taken by puts that are still under way.
    #[error("the budget is taken by other puts under way")]
    NoRoom,
    /// This tier was passed over: another one holds the entry's truth.
    #[error("the tier was passed over")]
    PassedOver,
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOutcome {
    /// Stored if any tier stored it.
    pub status: PutStatus,
    /// What each tier did, fastest first; empty for a store without tiers.
    pub tiers: Vec<(Arc<str>, PutStatus)>,
}

impl PutOutcome {
    /// The entry is visible.
    #[must_use]
    pub fn stored() -> Self {
        Self { status: PutStatus::Stored, tiers: Vec::new() }
    }

    /// The entry was refused.
    #[must_use]
    pub fn refused(reason: Refusal) -> Self {
        Self { status: PutStatus::Refused(reason), tiers: Vec::new() }
    }

    /// Whether the entry is visible.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.status == PutStatus::Stored
    }
}
