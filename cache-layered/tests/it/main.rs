//! Tiers against the conformance suite, and what only they promise.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

mod conformance;
mod degraded;
mod failures;
mod fetch;
mod newest;
mod outcomes;
mod promotion;
mod quorum;
mod repair;
mod roles;
mod spill;
mod streams;
mod tiers;
mod verify;
mod writes;
