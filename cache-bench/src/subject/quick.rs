use bytes::Bytes;
use cache_core::Digest;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::subject::{Capacity, Computes, Subject, digest_hash::DigestHash};

pub(crate) type QuickCache = Cache<Digest, Bytes, Weight, DigestHash>;

#[derive(Clone, Debug)]
pub(crate) struct Weight(Capacity);

impl Weighter<Digest, Bytes> for Weight {
    fn weight(&self, _: &Digest, value: &Bytes) -> u64 {
        self.0.weight_of(value) as u64
    }
}

/// The cache as it comes, with the digest as its own hash.
pub(crate) fn quick_cache(capacity: Capacity) -> QuickCache {
    let weight = capacity.weight() as u64;
    Cache::with(capacity.entries, weight, Weight(capacity), DigestHash, DefaultLifecycle::default())
}

impl Subject for QuickCache {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Self::get(self, digest)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.insert(digest, value);
        true
    }
}

impl Computes for QuickCache {
    async fn get_or_compute<F, Fut>(&self, digest: Digest, compute: F) -> Option<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let compute = async { Ok::<_, std::convert::Infallible>(compute().await) };
        self.get_or_insert_async(&digest, compute).await.ok()
    }
}
