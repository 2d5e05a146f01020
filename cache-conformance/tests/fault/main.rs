//! The fault stores: nothing while they are not armed, and what they promise when they are.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod corrupting;
mod flaky;
mod full;
mod hanging;
mod sample;
mod slow;
mod suites;
mod torn;
