//! The set `memory`: stores that keep everything in memory, and what applications hold before them.

mod allocations;
mod callers;
mod expand;
mod hit;
mod index;
mod layered;
mod miss;
mod mixed;
mod namespace;
mod peak;
mod traces;
mod zipf;

use crate::harness::bench::{Bench, Set};

/// Which is the first question about tiers, too.
pub(crate) const LAYERED_HIT: Bench = layered::BENCH;

/// In the order of the targets M1 to M8.
pub(crate) const SET: Set = Set {
    name: "memory",
    rivals: &["quick_cache", "moka", "foyer-memory", "object_store", "opendal"],
    on_disk: false,
    benches: &[
        hit::BENCH,
        namespace::BENCH,
        zipf::BENCH,
        mixed::BENCH,
        traces::BENCH,
        layered::BENCH,
        allocations::BENCH,
        peak::BENCH,
        index::BENCH,
        expand::BENCH,
        callers::BENCH,
        miss::BENCH,
    ],
};
