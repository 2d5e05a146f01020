//! What is compared: each cache behind one small trait, whose calls cost nothing of their own.

use bytes::Bytes;
use cache_core::Digest;

pub(crate) mod buckets;
pub(crate) mod cells;
pub(crate) mod databases;
pub(crate) mod digest_hash;
pub(crate) mod exact_lru;
pub(crate) mod files;
pub(crate) mod hits;
pub(crate) mod lineup;
pub(crate) mod ours;
pub(crate) mod raw;

#[cfg(feature = "rivals")]
pub(crate) mod foyer;
#[cfg(feature = "rivals")]
pub(crate) mod moka;
#[cfg(feature = "rivals")]
pub(crate) mod object_store;
#[cfg(feature = "rivals")]
pub(crate) mod opendal;
#[cfg(feature = "rivals")]
pub(crate) mod quick;

/// A cache that digests are read from and put into.
pub(crate) trait Subject: Send + Sync + 'static {
    /// The value of `digest`.
    fn get(&self, digest: &Digest) -> impl Future<Output = Option<Bytes>> + Send;

    /// Puts a value; answers whether it was taken, as far as the cache tells.
    fn put(&self, digest: Digest, value: Bytes) -> impl Future<Output = bool> + Send;
}

/// A cache in which callers of one missing value share its computation.
pub(crate) trait Computes: Subject {
    /// The value of `digest`, which `compute` makes if it is absent.
    fn get_or_compute<F, Fut>(
        &self,
        digest: Digest,
        compute: F,
    ) -> impl Future<Output = Option<Bytes>> + Send
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static;

    /// What a caller would do who computes by himself: look, and put what was absent. Answers whether it was.
    fn look_and_put(&self, digest: Digest, value: Bytes) -> impl Future<Output = bool> + Send {
        async move { self.get(&digest).await.is_none() && self.put(digest, value).await }
    }
}

/// How much a cache may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) limit: Limit,
    /// About how many entries that will be; some caches ask for it.
    pub(crate) entries: usize,
}

/// What is bounded. Caches of others count the bytes of values, as their users have them do; ours counts what
/// it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Bytes(usize),
    Entries(usize),
}

impl Capacity {
    /// So much room that nothing has to go, with this many entries of so many bytes.
    pub(crate) fn for_all(entries: usize, value_bytes: usize) -> Self {
        Self { limit: Limit::Bytes(4 * entries * (value_bytes + 1024)), entries }
    }

    /// Room for so many entries.
    pub(crate) fn entries(entries: usize) -> Self {
        Self { limit: Limit::Entries(entries), entries }
    }

    /// Room for the bytes of so many values.
    pub(crate) fn bytes_of(entries: usize, value_bytes: usize) -> Self {
        Self { limit: Limit::Bytes(entries * value_bytes), entries }
    }

    /// The whole limit, in bytes or entries.
    #[cfg(feature = "rivals")]
    pub(crate) fn weight(self) -> usize {
        match self.limit {
            Limit::Bytes(limit) | Limit::Entries(limit) => limit,
        }
    }

    /// What a value counts against it.
    #[cfg(feature = "rivals")]
    pub(crate) fn weight_of(self, value: &Bytes) -> usize {
        match self.limit {
            Limit::Bytes(_) => value.len(),
            Limit::Entries(_) => 1,
        }
    }
}
