//! The binary as a user runs it: every test starts it in directories of its own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod bad_input;
mod conformance;
mod copy;
mod damage;
mod directory;
mod listing;
mod pipe;
mod redb;
mod reports;
mod round_trip;
mod s3;
mod sandbox;
mod serve;
mod verify;
