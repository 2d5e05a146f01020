use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Result, Store};
use object_store::{chunked::ChunkedStore, memory::InMemory};

use crate::{S3Store, StoreOptions};

struct InMemoryObjects(Arc<InMemory>);

#[async_trait]
impl Factory for InMemoryObjects {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = StoreOptions::default()
            .with_prefix("p")
            .with_owned(true)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        // Answers come in pieces.
        let objects = Arc::new(ChunkedStore::new(self.0.clone(), 10_000));
        Ok(Arc::new(S3Store::with_object_store(objects, "memory", options).await?))
    }
}

cache_conformance::suite! { InMemoryObjects(Arc::default()), handles: [] }
