//! Tiers against the conformance suite, and what only they promise.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod conformance;
mod degraded;
mod spill;
mod tiers;
mod verify;
mod writes;
