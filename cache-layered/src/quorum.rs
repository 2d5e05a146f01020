//! Which failures of tiers a write may have.

use std::sync::atomic::{AtomicUsize, Ordering};

use cache_core::{Error, ErrorKind};

use crate::{Quorum, WritePolicy, tier::Tier};

/// How many tiers may still fail one write.
#[derive(Debug)]
pub(crate) struct Spare(AtomicUsize);

impl Spare {
    pub(crate) fn of(tiers: &[Tier], quorum: Quorum) -> Self {
        let Quorum::AtLeast(least) = quorum else { return Self(AtomicUsize::new(0)) };
        let through = tiers.iter().filter(|tier| tier.options.write == WritePolicy::Through).count();
        Self(AtomicUsize::new(through.saturating_sub(least)))
    }

    /// Whether the write goes on although this tier failed: it is owed the write then.
    pub(crate) fn covers(&self, tier: &Tier, error: &Error) -> bool {
        // What the caller is at fault for, or its source, fails everywhere.
        tier.options.write == WritePolicy::Through
            && !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::TooLarge)
            && self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }
}
