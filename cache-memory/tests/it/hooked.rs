//! The suite over a memory store with the hooks that are shipped around every operation.

use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Hooked, Limited, OperationHook, PerKeyLock, Result, Serialized, Store, Traced};
use cache_memory::{MemoryOptions, MemoryStore};

/// Opens a memory store inside of these hooks, the first of them outermost.
struct Inside(fn() -> Result<Vec<Arc<dyn OperationHook>>>);

#[async_trait]
impl Factory for Inside {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = MemoryOptions::unlimited()
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(options)?);
        let within = |store, hook| Arc::new(Hooked::new(store, hook)) as Arc<dyn Store>;
        Ok((self.0)()?.into_iter().rev().fold(store, within))
    }
}

/// Opens a memory store with all hooks on one decorator.
struct InsideAll;

#[async_trait]
impl Factory for InsideAll {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = MemoryOptions::unlimited()
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        let store = Hooked::new(MemoryStore::open(options)?, Arc::new(Traced::default()));
        let store = store.with_hook(Arc::new(Limited::new(2)?));
        Ok(Arc::new(
            store.with_hook(Arc::new(Serialized::default())).with_hook(Arc::new(PerKeyLock::default())),
        ))
    }
}

mod all_on_one_decorator {
    cache_conformance::suite! { super::InsideAll }
}

mod all_one_around_the_other {
    use super::*;
    cache_conformance::suite! { Inside(|| Ok(vec![
        Arc::new(Traced::default()),
        Arc::new(Limited::new(2)?),
        Arc::new(Serialized::default()),
        Arc::new(PerKeyLock::default()),
    ])) }
}

mod limited {
    use super::*;
    cache_conformance::suite! { Inside(|| Ok(vec![Arc::new(Limited::new(1)?)])) }
}

mod per_key_lock {
    use super::*;
    cache_conformance::suite! { Inside(|| Ok(vec![Arc::new(PerKeyLock::default())])) }
}

mod serialized {
    use super::*;
    cache_conformance::suite! { Inside(|| Ok(vec![Arc::new(Serialized::default())])) }
}

mod the_same_lock_twice {
    use super::*;
    cache_conformance::suite! { Inside(|| {
        let lock: Arc<dyn OperationHook> = Arc::new(PerKeyLock::default());
        Ok(vec![Arc::clone(&lock), lock])
    }) }
}

mod traced {
    use super::*;
    cache_conformance::suite! { Inside(|| Ok(vec![Arc::new(Traced::default())])) }
}
