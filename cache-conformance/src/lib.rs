//! The contract of a cache store as tests: one clause, one test, one name.
//!
//! Depend on this crate (as a dev-dependency) to **prove** a backend or a decorator that implements
//! [`Store`](cache_core::Store). The doc comments of the traits in `cache-core` list the clauses;
//! here each of them is a function of that name.
//!
//! | You want to                             | Look at                                 |
//! |-----------------------------------------|-----------------------------------------|
//! | run the suite over your store           | [`suite!`], [`Factory`]                 |
//! | know what is required                   | [`CLAUSES`], [`clause`]                 |
//! | run the suite over your decorator       | [`Decorated`]                           |
//! | run one clause, or report on all        | [`Clause::run`], [`Runner`], [`Report`] |
//! | try a store that others use             | [`Scoped`]                              |
//! | reach behind the store                  | [`Handle`], [`Files`]                   |
//! | see a store that keeps all of it        | [`Reference`], [`ReferenceStore`]       |
//! | see that the suite finds faults         | [`mutant`]                              |
//! | break a store on purpose, in your tests | [`fault`]                               |
//!
//! `docs/writing-a-backend.md` in the repository goes from an empty crate to a store that passes, and
//! `examples/fjall_store` is one over an engine of others, which runs and reports:
//! `cargo run -p cache-conformance --example fjall_store`.
//!
//! Say how your store is opened, and give that to [`suite!`]:
//!
//! ```
//! use std::sync::Arc;
//!
//! use cache_conformance::{CLAUSES, Factory, Outcome, Reference, Setup};
//! use cache_core::Store;
//!
//! struct Fresh;
//!
//! #[async_trait::async_trait]
//! impl Factory for Fresh {
//!     async fn open(&self, setup: &Setup) -> cache_core::Result<Arc<dyn Store>> {
//!         Ok(Arc::new(Reference::volatile().store(setup)?)) // yours
//!     }
//! }
//!
//! // In `tests/it/main.rs`: a `#[test]` for each clause, such as `conformance::miss_is_none`.
//! mod conformance {
//!     cache_conformance::suite! { super::Fresh }
//! }
//!
//! // Anywhere: the same clauses as a table.
//! for clause in CLAUSES.iter().filter(|clause| clause.group == "keys") {
//!     assert_eq!(clause.run(Fresh), Outcome::Passed, "{}", clause.requirement);
//! }
//! ```
//!
//! What a store declares in its [`Powers`](cache_core::Powers) decides what a clause demands: what it
//! does not declare is tested as refused or visibly absent, never skipped. A store that cannot run
//! here prints `ignored`, with the reason, see [`suite!`].
//!
//! Names and groups of clauses stay as they are. A minor version may add clauses, and find more by those that
//! there are: a store that has passed an older suite may fail a newer one.
//!
//! This crate depends on no backend.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod ages;
pub mod clause;
mod clauses;
mod damaged;
mod decorated;
mod factory;
pub mod fault;
mod files;
mod handle;
mod history;
mod model;
pub mod mutant;
#[cfg(test)]
mod odd;
mod pace;
mod reference;
mod report;
mod run;
mod runner;
mod sample;
mod scoped;
mod source;
mod subject;
mod suite;

pub use {
    clauses::{CLAUSES, Clause},
    decorated::Decorated,
    factory::{Factory, Setup},
    files::Files,
    handle::{Crash, Damage, Failures, Handle, Heap, Spill},
    reference::{Reference, ReferenceStore},
    report::{ClauseReport, Report, Verdict},
    run::{Outcome, RunOptions},
    runner::Runner,
    scoped::Scoped,
};
#[doc(hidden)]
pub use {run::assert_passes, suite::handle_of};
