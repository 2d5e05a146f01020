use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use tempfile::TempDir;

struct InTempDir(TempDir);

#[async_trait]
impl Factory for InTempDir {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.0.path())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(DiskStore::open(options).await?))
    }
}

cache_conformance::suite! { InTempDir(tempfile::tempdir().unwrap()) }
