//! Taking figures: rounds, ratios, verdicts, and on which machine.

pub(crate) mod bench;
pub(crate) mod ground;
mod loop_mount;
pub(crate) mod machine;
pub(crate) mod measurement;
pub(crate) mod private_mounts;
pub(crate) mod rounds;
pub(crate) mod scale;
pub(crate) mod slices;
pub(crate) mod summary;
pub(crate) mod threads;
pub(crate) mod verdict;
