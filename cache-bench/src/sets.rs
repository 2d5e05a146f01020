use crate::{disk, harness::bench::Set, memory};

/// All there are.
pub(crate) const SETS: &[Set] = &[memory::SET, disk::SET];
