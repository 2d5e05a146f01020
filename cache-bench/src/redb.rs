//! The set `redb`: stores that keep one database.

mod beside;
mod compact;
mod durable;
mod full;
mod hit;
mod large;
mod names;
mod open;
mod put;
mod sizes;

use crate::harness::bench::Set;

/// In the order of the targets R1 to R5, and then what there is no target for.
pub(crate) const SET: Set = Set {
    name: "redb",
    rivals: &["fjall", "redb"],
    on_disk: true,
    benches: &[
        hit::BENCH,
        put::BENCH,
        durable::BENCH,
        compact::BENCH,
        beside::BENCH,
        names::BENCH,
        large::BENCH,
        full::BENCH,
        sizes::BENCH,
    ],
};
