//! How much memory large blobs take on their way into the memory store and out of it.
//!
//! A process of its own in which nothing else happens: one test, and one clause at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{CLAUSES, Factory, Handle, Heap, Outcome, Setup};
use cache_core::{Result, Store};
use cache_memory::{MemoryOptions, MemoryStore};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Allocated;

impl Heap for Allocated {
    fn allocated(&self) -> u64 {
        dhat::HeapStats::get().curr_bytes as u64
    }
}

struct InMemory;

#[async_trait]
impl Factory for InMemory {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = MemoryOptions::unlimited()
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(MemoryStore::open(options)?))
    }

    fn heap(&self) -> Option<&dyn Heap> {
        Some(&Allocated)
    }
}

fn assert_keeps<F: Factory>(fresh: impl Fn() -> F) {
    for clause in CLAUSES.iter().filter(|clause| clause.needs == Some(Handle::Heap)) {
        assert_eq!(clause.run(fresh()), Outcome::Passed, "{clause:?}");
    }
}

#[test]
fn large_blobs_stream_in_little_memory() {
    let _profiler = dhat::Profiler::builder().testing().build();
    assert_keeps(|| InMemory);
}
