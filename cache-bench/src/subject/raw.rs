use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use cache_core::Digest;

use crate::subject::{Subject, digest_hash::DigestHash};

type Shard = Mutex<HashMap<Digest, Bytes, DigestHash>>;

/// A hash map in 64 parts, each behind a lock: it bounds nothing and evicts nothing, and so is a floor.
#[derive(Debug)]
pub(crate) struct ShardedMap(Vec<Shard>);

impl ShardedMap {
    pub(crate) fn new() -> Self {
        Self((0..64).map(|_| Shard::default()).collect())
    }

    fn with<T>(
        &self,
        digest: &Digest,
        work: impl FnOnce(&mut HashMap<Digest, Bytes, DigestHash>) -> T,
    ) -> Option<T> {
        let [.., last] = digest.as_bytes();
        let shard = self.0.get(usize::from(last % 64))?;
        Some(work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Subject for ShardedMap {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.with(digest, |map| map.get(digest).cloned()).flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.with(&digest, |map| map.insert(digest, value)).is_some()
    }
}
