//! The set `layered`: stores in tiers, against the tiers alone.

mod calls;
mod crowd;
mod hung;
mod slow;

use crate::{harness::bench::Set, memory::LAYERED_HIT};

/// In the order of the targets L1, L3 and L4, and what there is no target for.
pub(crate) const SET: Set = Set {
    name: "layered",
    rivals: &[],
    on_disk: false,
    benches: &[LAYERED_HIT, calls::BENCH, hung::BENCH, crowd::BENCH],
};
