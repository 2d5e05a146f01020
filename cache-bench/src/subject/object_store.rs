use bytes::Bytes;
use cache_core::Digest;
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};

use crate::subject::Subject;

fn path(digest: &Digest) -> Path {
    Path::from(digest.to_string())
}

impl Subject for InMemory {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        ObjectStoreExt::get(self, &path(digest)).await.ok()?.bytes().await.ok()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        ObjectStoreExt::put(self, &path(&digest), value.into()).await.is_ok()
    }
}
