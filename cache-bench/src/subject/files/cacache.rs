use std::path::PathBuf;

use bytes::Bytes;
use cache_core::Digest;

use crate::subject::Subject;

/// Its directory; it has no handle.
#[derive(Debug)]
pub(crate) struct Cacache(pub(crate) PathBuf);

impl Subject for Cacache {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        cacache::read(&self.0, digest.to_string()).await.ok().map(Bytes::from)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        cacache::write(&self.0, digest.to_string(), value).await.is_ok()
    }
}
