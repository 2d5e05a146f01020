//! Those that keep one database, and the least that could.

pub(crate) mod chunked;
pub(crate) mod group;
pub(crate) mod lineup;
pub(crate) mod ours;
pub(crate) mod raw;

#[cfg(feature = "rivals")]
pub(crate) mod fjall;

/// The memory that each may take for pages of its file: what ours takes by default.
pub(crate) const CACHE_BYTES: usize = 64 << 20;
