//! The store in buckets of servers in this process, which fail, die and lose bytes as a test wants it.
#![cfg(any(feature = "s3", feature = "gcs"))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod conformance;
#[cfg(feature = "s3")]
mod damage;
#[cfg(feature = "s3")]
mod faults;
#[cfg(feature = "s3")]
mod merges;
#[cfg(feature = "s3")]
mod place;
#[cfg(feature = "s3")]
mod requests;
#[cfg(feature = "s3")]
mod secrets;
#[cfg(feature = "s3")]
mod sharing;
#[cfg(feature = "s3")]
mod uploads;
