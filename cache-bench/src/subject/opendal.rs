use bytes::Bytes;
use cache_core::Digest;
use opendal::{Operator, services::Memory};

use crate::{failure::Result, subject::Subject};

/// Its store in memory.
pub(crate) fn memory() -> Result<Operator> {
    Ok(Operator::new(Memory::default())?)
}

impl Subject for Operator {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Some(self.read(&digest.to_string()).await.ok()?.to_bytes())
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.write(&digest.to_string(), value).await.is_ok()
    }
}
