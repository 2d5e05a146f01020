//! The clauses, by group.
//!
//! Each function opens a store and panics where it breaks the requirement in the function's doc
//! comment. It runs inside a multi-thread tokio runtime with time enabled, which
//! [`Clause::run`](crate::Clause::run) provides.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a clause is a test: it fails by panicking, as the module says"
)]

pub mod atomic;
pub mod cancel;
pub mod cleaning;
pub mod concurrent;
pub mod corruption;
pub mod counting;
pub mod crash;
pub mod ending;
pub mod faults;
pub mod heap;
pub mod keys;
pub mod limits;
pub mod list;
pub mod model;
pub mod names;
pub mod pages;
pub mod powers;
pub mod read;
pub mod recency;
pub mod short;
pub mod sizes;
pub mod spill;
pub mod streams;
pub mod write;
