use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use cache_memory::{MemoryOptions, MemoryStore};
use tempfile::TempDir;

fn memory(setup: &Setup) -> Result<Arc<dyn Store>> {
    let options =
        MemoryOptions::unlimited().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
    Ok(Arc::new(MemoryStore::open(options)?))
}

async fn disk(dir: &TempDir, setup: &Setup) -> Result<Arc<dyn Store>> {
    let options = DiskOptions::new(dir.path())
        .with_max_bytes(setup.max_bytes)
        .with_max_blob_bytes(setup.max_blob_bytes);
    Ok(Arc::new(DiskStore::open(options).await?))
}

struct MemoryOverDisk(TempDir);

#[async_trait]
impl Factory for MemoryOverDisk {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder();
        let builder = builder.tier("memory", memory(setup)?).tier("disk", disk(&self.0, setup).await?);
        Ok(Arc::new(builder.build()?))
    }
}

/// A stack is a store, and so can be a tier.
struct Nested(TempDir);

#[async_trait]
impl Factory for Nested {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let inner =
            LayeredStore::builder().tier("memory", memory(setup)?).tier("disk", disk(&self.0, setup).await?);
        let outer =
            LayeredStore::builder().tier("memory", memory(setup)?).tier("inner", Arc::new(inner.build()?));
        Ok(Arc::new(outer.build()?))
    }
}

mod memory_over_disk {
    cache_conformance::suite! { super::MemoryOverDisk(tempfile::tempdir().unwrap()) }
}

mod nested {
    cache_conformance::suite! { super::Nested(tempfile::tempdir().unwrap()) }
}
