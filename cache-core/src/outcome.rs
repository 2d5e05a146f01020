use std::sync::Arc;

use crate::ErrorKind;

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
    /// The entry is visible, and waits in memory to be written to this tier. The next flush writes it, or says
    /// that it could not be.
    Queued,
    /// This tier failed so. The put succeeded all the same, because enough others took it; what the tier had under
    /// the key is not read any more.
    Failed(ErrorKind),
}

impl PutStatus {
    /// Whether the entry is visible: stored, or queued.
    #[must_use]
    pub fn is_visible(self) -> bool {
        matches!(self, Self::Stored | Self::Queued)
    }
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
    /// Stored if any tier stored it, else queued if it waits for one.
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
        self.status.is_visible()
    }
}
