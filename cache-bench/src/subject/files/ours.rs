use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cache_core::{BlobName, Cache, Digest, Key, Store, StoreExt};
use cache_disk::{DiskOptions, DiskStore};
use tokio::runtime::Handle;

use crate::{
    failure::Result,
    subject::{Subject, files::Flushes},
};

/// A store in a directory, by the runtime that this thread has entered.
pub(crate) fn open(options: DiskOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Handle::current().block_on(DiskStore::open(options))?))
}

/// What applications hold, over a store without limits.
pub(crate) fn cache(dir: &Path) -> Result<Cache> {
    Ok(Cache::new(open(DiskOptions::new(dir))?))
}

/// The store alone.
pub(crate) fn store(dir: &Path) -> Result<StoreAlone> {
    Ok(StoreAlone(open(DiskOptions::new(dir))?))
}

/// A store without a handle before it.
#[derive(Debug)]
pub(crate) struct StoreAlone(pub(crate) Arc<dyn Store>);

impl Subject for StoreAlone {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.0.get_bytes(&Key::from(*digest), &BlobName::DATA).await.ok().flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.put_bytes(&Key::from(digest), value).await.is_ok_and(|outcome| outcome.is_stored())
    }
}

impl Flushes for StoreAlone {
    async fn flush(&self) -> bool {
        self.0.flush().await.is_ok()
    }
}

impl Flushes for Cache {
    async fn flush(&self) -> bool {
        Self::flush(self).await.is_ok()
    }
}
