//! The contract of a cache store as tests: one clause, one test, one name.
//!
//! Depend on this crate (as a dev-dependency) to **prove** a backend or a decorator that implements
//! [`Store`](cache_core::Store). The doc comments of the traits in `cache-core` list the clauses;
//! here each of them is a function of that name.
//!
//! | You want to                             | Look at                          |
//! |-----------------------------------------|----------------------------------|
//! | run the suite over your store           | [`suite!`], [`Factory`]          |
//! | know what is required                   | [`CLAUSES`], [`clause`]          |
//! | run one clause, or report on all        | [`Clause::run`], [`Outcome`]     |
//!
//! Say how your store is opened, and give that to [`suite!`]:
//!
//! ```
//! # mod toy { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/toy.rs")); }
//! use std::sync::Arc;
//!
//! use cache_conformance::{CLAUSES, Factory, Outcome, Setup};
//! use cache_core::Store;
//! use toy::Toy;
//!
//! struct Fresh;
//!
//! #[async_trait::async_trait]
//! impl Factory for Fresh {
//!     async fn open(&self, setup: &Setup) -> cache_core::Result<Arc<dyn Store>> {
//!         Ok(Arc::new(Toy::new(setup)))
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
//! This crate depends on no backend.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

pub mod clause;
mod clauses;
mod factory;
mod run;
mod sample;
mod subject;
mod suite;

#[doc(hidden)]
pub use run::assert_passes;
pub use {
    clauses::{CLAUSES, Clause},
    factory::{Factory, Setup},
    run::Outcome,
};
