use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Result, Store};
use cache_memory::{MemoryOptions, MemoryStore, Policy};

fn options(setup: &Setup) -> MemoryOptions {
    MemoryOptions::unlimited().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes)
}

fn open(setup: &Setup) -> Result<MemoryStore> {
    MemoryStore::open(options(setup))
}

struct Bare;

#[async_trait]
impl Factory for Bare {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(open(setup)?))
    }
}

struct FrequencyAware;

#[async_trait]
impl Factory for FrequencyAware {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::open(options(setup).with_policy(Policy::Lfu))?))
    }
}

struct Pointers;

#[async_trait]
impl Factory for Pointers {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Box::new(Arc::new(open(setup)?))))
    }
}

mod bare {
    cache_conformance::suite! { super::Bare }
}

mod behind_pointers {
    cache_conformance::suite! { super::Pointers }
}

mod frequency_aware {
    cache_conformance::suite! { super::FrequencyAware }
}
