//! Those that keep entries in a bucket, and the least that could.

use bytes::Bytes;
use cache_core::{Digest, DigestPrefix};

use crate::subject::Subject;

pub(crate) mod lineup;
pub(crate) mod ours;
pub(crate) mod served;
pub(crate) mod turns;

#[cfg(feature = "rivals")]
pub(crate) mod object_store;
#[cfg(feature = "rivals")]
pub(crate) mod opendal;

/// One whose entries are objects: what is asked of keys. Each answers whether it was done.
pub(crate) trait Entries: Subject {
    /// Adds a blob to an entry of one other that is as large.
    fn merge(&self, digest: Digest, value: Bytes) -> impl Future<Output = bool> + Send;

    fn contains(&self, digest: Digest) -> impl Future<Output = bool> + Send;

    fn evict(&self, digest: Digest) -> impl Future<Output = bool> + Send;

    /// Finds the one entry with these digits, by looking for two.
    fn expand(&self, digits: DigestPrefix) -> impl Future<Output = bool> + Send;

    /// How many entries there are.
    fn list(&self) -> impl Future<Output = usize> + Send;
}
