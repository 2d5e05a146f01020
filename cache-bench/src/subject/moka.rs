use std::hash::BuildHasher;

use bytes::Bytes;
use cache_core::Digest;
use moka::{future, sync};

use crate::subject::{Capacity, Computes, Subject};

fn weigher(capacity: Capacity) -> impl Fn(&Digest, &Bytes) -> u32 + Send + Sync + 'static {
    move |_, value| u32::try_from(capacity.weight_of(value)).unwrap_or(u32::MAX)
}

/// The blocking cache.
pub(crate) fn blocking<H: Hash>(capacity: Capacity, hash: H) -> sync::Cache<Digest, Bytes, H> {
    let builder = sync::Cache::builder().max_capacity(capacity.weight() as u64);
    builder.initial_capacity(capacity.entries).weigher(weigher(capacity)).build_with_hasher(hash)
}

/// The asynchronous cache.
pub(crate) fn asynchronous<H: Hash>(capacity: Capacity, hash: H) -> future::Cache<Digest, Bytes, H> {
    let builder = future::Cache::builder().max_capacity(capacity.weight() as u64);
    builder.initial_capacity(capacity.entries).weigher(weigher(capacity)).build_with_hasher(hash)
}

/// What these caches hash keys with.
pub(crate) trait Hash: BuildHasher + Clone + Send + Sync + 'static {}

impl<H: BuildHasher + Clone + Send + Sync + 'static> Hash for H {}

impl<H: Hash> Subject for sync::Cache<Digest, Bytes, H> {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Self::get(self, digest)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.insert(digest, value);
        true
    }
}

impl<H: Hash> Subject for future::Cache<Digest, Bytes, H> {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Self::get(self, digest).await
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.insert(digest, value).await;
        true
    }
}

impl<H: Hash> Computes for future::Cache<Digest, Bytes, H> {
    async fn get_or_compute<F, Fut>(&self, digest: Digest, compute: F) -> Option<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        Some(self.get_with(digest, async { compute().await }).await)
    }
}
