use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup, Spill};
use cache_core::{Result, SpillSource, Store};
use cache_memory::{MemoryOptions, MemoryStore, Policy};

fn open(setup: &Setup, policy: Policy) -> Result<MemoryStore> {
    let options = MemoryOptions::unlimited().with_policy(policy);
    MemoryStore::open(options.with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes))
}

/// The store by itself.
struct By(Policy);

#[async_trait]
impl Factory for By {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(open(setup, self.0)?))
    }

    fn spill(&self) -> Option<&dyn Spill> {
        Some(self)
    }
}

#[async_trait]
impl Spill for By {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn SpillSource>> {
        Ok(Arc::new(open(setup, self.0)?))
    }
}

struct Pointers;

#[async_trait]
impl Factory for Pointers {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Box::new(Arc::new(open(setup, Policy::default())?))))
    }

    fn spill(&self) -> Option<&dyn Spill> {
        Some(self)
    }
}

#[async_trait]
impl Spill for Pointers {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn SpillSource>> {
        Ok(Arc::new(Arc::new(open(setup, Policy::default())?)))
    }
}

mod bare {
    use super::*;
    cache_conformance::suite! { By(Policy::default()), handles: [spill] }
}

mod behind_pointers {
    cache_conformance::suite! { super::Pointers, handles: [spill] }
}

mod frequency_aware {
    use super::*;
    cache_conformance::suite! { By(Policy::Lfu), handles: [spill] }
}

mod least_recently_used {
    use super::*;
    cache_conformance::suite! { By(Policy::Lru), handles: [spill] }
}
