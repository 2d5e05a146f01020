//! The set `disk`: stores that keep files.

mod durable;
mod full;
mod hit;
mod large;
mod open;
mod put;
mod stream;

use crate::harness::bench::Set;

/// In the order of the targets D1 to D7.
pub(crate) const SET: Set = Set {
    name: "disk",
    rivals: &["cacache", "object_store", "opendal"],
    on_disk: true,
    benches: &[hit::BENCH, large::BENCH, put::BENCH, durable::BENCH, full::BENCH, stream::BENCH],
};
