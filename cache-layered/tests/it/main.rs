//! Tiers against the conformance suite, and what only they promise.

mod conformance;
mod degraded;
mod tiers;
