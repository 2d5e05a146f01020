use std::sync::Arc;

use bytes::Bytes;
use cache_core::{
    BlobName, Cache, Digest, DigestPrefix, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions, Store,
    StoreExt,
};
use cache_s3::{S3Options, S3Store, StoreOptions};
use futures::TryStreamExt;
use tokio::runtime::Handle;

use crate::{
    failure::Result,
    subject::{
        buckets::{
            Entries,
            served::{BUCKET, CREDENTIALS},
        },
        files::ours::StoreAlone,
    },
};

/// A store below a prefix, by the runtime that this thread has entered.
fn open(endpoint: &str, prefix: &str) -> Result<Arc<dyn Store>> {
    let (key, secret) = CREDENTIALS;
    let options = S3Options::new(BUCKET)
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_credentials(key, secret)
        .with_store(StoreOptions::default().with_prefix(prefix));
    Ok(Arc::new(Handle::current().block_on(S3Store::open(options))?))
}

/// What applications hold, over a store without limits.
pub(crate) fn cache(endpoint: &str) -> Result<Cache> {
    Ok(Cache::new(open(endpoint, "cache")?))
}

/// The store alone.
pub(crate) fn store(endpoint: &str) -> Result<StoreAlone> {
    Ok(StoreAlone(open(endpoint, "store")?))
}

/// The blob that merges add.
fn added(value: Bytes) -> Option<PutEntry> {
    Some(PutEntry::default().with(BlobName::new("log").ok()?, value))
}

impl Entries for Cache {
    async fn merge(&self, digest: Digest, value: Bytes) -> bool {
        let Some(entry) = added(value) else { return false };
        let put = self.put_with(digest, entry, PutOptions::mode(PutMode::Merge)).await;
        put.is_ok_and(|outcome| outcome.is_stored())
    }

    async fn contains(&self, digest: Digest) -> bool {
        Self::contains(self, digest).await.unwrap_or(false)
    }

    async fn evict(&self, digest: Digest) -> bool {
        Self::evict(self, digest).await.is_ok()
    }

    async fn expand(&self, digits: DigestPrefix) -> bool {
        Self::expand(self, digits).await.is_ok()
    }

    async fn list(&self) -> usize {
        let Ok(listing) = Self::list(self, ListOptions::default()) else { return 0 };
        listing.try_fold(0, |count, _| async move { Ok(count + 1) }).await.unwrap_or(0)
    }
}

impl Entries for StoreAlone {
    async fn merge(&self, digest: Digest, value: Bytes) -> bool {
        let Some(entry) = added(value) else { return false };
        let put = self.0.put(&Key::from(digest), entry, PutOptions::mode(PutMode::Merge)).await;
        put.is_ok_and(|outcome| outcome.is_stored())
    }

    async fn contains(&self, digest: Digest) -> bool {
        self.0.contains(&Key::from(digest)).await.unwrap_or(false)
    }

    async fn evict(&self, digest: Digest) -> bool {
        self.0.evict(&Key::from(digest)).await.is_ok()
    }

    async fn expand(&self, digits: DigestPrefix) -> bool {
        self.0.expand(&Namespace::root(), digits.into()).await.is_ok()
    }

    async fn list(&self) -> usize {
        let listing = self.0.list(ListOptions::default());
        listing.try_fold(0, |count, _| async move { Ok(count + 1) }).await.unwrap_or(0)
    }
}
