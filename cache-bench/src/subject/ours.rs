use std::sync::Arc;

use bytes::Bytes;
use cache_core::{BlobName, Cache, Digest, Key, KeyView, Namespace, Store, StoreExt};
use cache_memory::{MemoryOptions, MemoryStore, Policy};

use crate::{
    failure::Result,
    subject::{Capacity, Computes, Limit, Subject},
};

/// A memory store as the capacity and the policy say.
pub(crate) fn memory(capacity: Capacity, policy: Policy) -> Result<Arc<dyn Store>> {
    let options = MemoryOptions::unlimited().with_policy(policy);
    let options = match capacity.limit {
        Limit::Bytes(bytes) => options.with_max_bytes(u64::try_from(bytes)?),
        Limit::Entries(entries) => options.with_max_entries(u64::try_from(entries)?),
    };
    Ok(Arc::new(MemoryStore::open(options)?))
}

impl Subject for Cache {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Self::get(self, digest).await.ok().flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        Self::put(self, digest, value).await.is_ok_and(|outcome| outcome.is_stored())
    }
}

impl Computes for Cache {
    async fn get_or_compute<F, Fut>(&self, digest: Digest, compute: F) -> Option<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let compute = || async { Ok::<_, std::convert::Infallible>(compute().await) };
        Self::get_or_compute(self, digest, compute).await.ok()
    }

    /// On the store itself.
    async fn look_and_put(&self, digest: Digest, value: Bytes) -> bool {
        let key = Key::from(digest);
        let absent = self.store().get_bytes(&key, &BlobName::DATA).await.is_ok_and(|found| found.is_none());
        absent && self.store().put_bytes(&key, value).await.is_ok_and(|outcome| outcome.is_stored())
    }
}

/// A store without a handle before it, asked only for what it has at hand.
#[derive(Debug)]
pub(crate) struct BareStore(pub(crate) Arc<dyn Store>);

/// The one place that calls it.
fn get_now(store: &dyn Store, digest: &Digest) -> Option<Bytes> {
    let namespace = &Namespace::root();
    store.get_now(KeyView { namespace, digest }, &BlobName::DATA)
}

impl Subject for BareStore {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        get_now(self.0.as_ref(), digest)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.put_bytes(&Key::from(digest), value).await.is_ok_and(|outcome| outcome.is_stored())
    }
}
