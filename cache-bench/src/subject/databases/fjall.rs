use std::path::Path;

use bytes::Bytes;
use cache_core::Digest;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::task::spawn_blocking;

use crate::{
    failure::Result,
    subject::{Subject, databases::CACHE_BYTES, files::Flushes},
};

/// One keyspace, on the thread that asks: a put goes to its journal, which is written but not synced.
#[derive(Clone)]
pub(crate) struct Fjall {
    db: Database,
    pub(crate) values: Keyspace,
}

impl Fjall {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let db = Database::builder(dir).cache_size(CACHE_BYTES as u64).open()?;
        let values = db.keyspace("values", KeyspaceCreateOptions::default)?;
        Ok(Self { db, values })
    }
}

impl Subject for Fjall {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.values.get(digest.as_bytes()).ok().flatten().map(Bytes::from)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.values.insert(digest.as_bytes().as_slice(), value).is_ok()
    }
}

impl Flushes for Fjall {
    async fn flush(&self) -> bool {
        let db = self.db.clone();
        matches!(spawn_blocking(move || db.persist(PersistMode::SyncAll)).await, Ok(Ok(())))
    }
}
