//! How much memory large blobs take on their way to the disk and back.
//!
//! A process of its own in which nothing else happens: one test, and one clause at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{CLAUSES, Factory, Handle, Heap, Outcome, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Allocated;

impl Heap for Allocated {
    fn allocated(&self) -> u64 {
        dhat::HeapStats::get().curr_bytes as u64
    }
}

struct OnDisk(TempDir);

#[async_trait]
impl Factory for OnDisk {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.0.path())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(DiskStore::open(options).await?))
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
    assert_keeps(|| OnDisk(tempfile::tempdir().unwrap()));
}
