use std::fmt;

use bytes::Bytes;
use cache_core::Digest;
use foyer_memory::{Cache, CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig, SieveConfig};

use crate::subject::{Capacity, Computes, Subject, digest_hash::DigestHash};

pub(crate) type Foyer = Cache<Digest, Bytes, DigestHash>;

/// The name of an eviction policy, and what makes it.
type Policy = (&'static str, fn() -> EvictionConfig);

/// Its eviction policies that are compared.
pub(crate) const POLICIES: [Policy; 4] = [
    ("foyer s3fifo", || S3FifoConfig::default().into()),
    ("foyer sieve", || SieveConfig.into()),
    ("foyer lfu", || LfuConfig::default().into()),
    ("foyer lru", || LruConfig::default().into()),
];

/// The in-memory cache, with the digest as its own hash.
pub(crate) fn foyer(capacity: Capacity, eviction: EvictionConfig) -> Foyer {
    CacheBuilder::new(capacity.weight())
        .with_hash_builder(DigestHash)
        .with_weighter(move |_: &Digest, value: &Bytes| capacity.weight_of(value))
        .with_eviction_config(eviction)
        .build()
}

impl Subject for Foyer {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Self::get(self, digest).map(|entry| entry.value().clone())
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        drop(self.insert(digest, value));
        true
    }
}

impl Computes for Foyer {
    async fn get_or_compute<F, Fut>(&self, digest: Digest, compute: F) -> Option<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let compute = || async { Ok::<_, fmt::Error>(compute().await) };
        Some(self.get_or_fetch(&digest, compute).await.ok()?.value().clone())
    }
}
