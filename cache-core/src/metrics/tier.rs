use std::fmt;

use serde::Serialize;

use crate::ByteSize;

/// Whether a stack asks a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BreakerState {
    /// It does; also where there is no breaker.
    #[default]
    Closed,
    /// It does not: the tier failed too often in a row.
    Open,
    /// One call is under way that finds out whether the tier is well again; all others are not made.
    HalfOpen,
}

impl BreakerState {
    /// As it is written: `closed`, `open` or `half-open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a stack has to say of one of its tiers, beside what that counts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TierMetrics {
    /// Whether the tier is asked now.
    pub breaker: BreakerState,
    /// How often the breaker opened.
    pub opened: u64,
    /// Calls that failed because the tier is sick: it could not be reached, or did not answer in time.
    pub failures: u64,
    /// Those of them that did not answer in time.
    pub timeouts: u64,
    /// Calls that were not made because the breaker was open.
    pub skipped: u64,
    /// Entries that were copied into this tier from a slower one.
    pub promotions: u64,
    /// Such copies that failed, or were given up. The reads did not.
    pub promotion_errors: u64,
    /// Entries that wait to be written to this tier now.
    pub queued_entries: u64,
    /// Their bytes in memory, as the bound of the queue counts them.
    pub queued_bytes: u64,
    /// Entries that were to be written to this tier and never will be. A flush has said so, or the next one will; but
    /// for those that the tier refused by its own limits.
    pub dropped: u64,
}

impl TierMetrics {
    /// What was counted since `baseline`. What is so now stays as it is.
    #[must_use]
    pub(super) fn since(self, baseline: Option<Self>) -> Self {
        let before = baseline.unwrap_or_default();
        Self {
            opened: self.opened.saturating_sub(before.opened),
            failures: self.failures.saturating_sub(before.failures),
            timeouts: self.timeouts.saturating_sub(before.timeouts),
            skipped: self.skipped.saturating_sub(before.skipped),
            promotions: self.promotions.saturating_sub(before.promotions),
            promotion_errors: self.promotion_errors.saturating_sub(before.promotion_errors),
            dropped: self.dropped.saturating_sub(before.dropped),
            ..self
        }
    }

    /// The counters with the names that they have outside of this process.
    #[cfg(feature = "metrics")]
    pub(super) fn totals(&self) -> [(&'static str, u64); 7] {
        [
            ("cache_tier_opened_total", self.opened),
            ("cache_tier_failures_total", self.failures),
            ("cache_tier_timeouts_total", self.timeouts),
            ("cache_tier_skipped_total", self.skipped),
            ("cache_tier_promotions_total", self.promotions),
            ("cache_tier_promotion_errors_total", self.promotion_errors),
            ("cache_tier_dropped_total", self.dropped),
        ]
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, pad: &str) -> fmt::Result {
        writeln!(
            f,
            "{pad}{:<16} breaker {} (opened {} times), {} failures ({} timeouts), {} calls skipped",
            "as a tier:", self.breaker, self.opened, self.failures, self.timeouts, self.skipped
        )?;
        writeln!(f, "{pad}{:<16} {} ({} failed)", "promoted here:", self.promotions, self.promotion_errors)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({}), {} dropped",
            "queued:",
            self.queued_entries,
            ByteSize::new(self.queued_bytes),
            self.dropped
        )
    }
}
