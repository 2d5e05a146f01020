use crate::{disk, harness::bench::Set, layered, memory, redb, s3};

/// All there are.
pub(crate) const SETS: &[Set] = &[memory::SET, disk::SET, redb::SET, s3::SET, layered::SET];
