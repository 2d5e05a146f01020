use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Crash, Factory, Files, Setup};
use cache_core::{Result, Store};
use cache_redb::{RedbOptions, RedbStore};
use tempfile::TempDir;

struct InTempDir {
    files: Files,
    change: fn(RedbOptions) -> RedbOptions,
    _dir: TempDir,
}

impl InTempDir {
    fn new(change: fn(RedbOptions) -> RedbOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // No file is of one entry alone.
        let files = Files::new(dir.path(), |_| "none".into());
        Self { files, change, _dir: dir }
    }
}

#[async_trait]
impl Factory for InTempDir {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = RedbOptions::new(self.files.dir().join("entries.redb"))
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(RedbStore::open((self.change)(options)).await?))
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(&self.files)
    }
}

cache_conformance::suite! { InTempDir::new(|options| options), handles: [crash] }

mod durable_puts {
    use super::InTempDir;

    cache_conformance::suite! { InTempDir::new(|options| options.with_durable_puts(true)), handles: [crash] }
}
