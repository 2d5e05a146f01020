//! How much memory large blobs take on their way through tiers.
//!
//! A process of its own in which nothing else happens: one test, and one clause at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{CLAUSES, Factory, Handle, Heap, Outcome, Reference, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::{LayeredStore, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Allocated;

impl Heap for Allocated {
    fn allocated(&self) -> u64 {
        dhat::HeapStats::get().curr_bytes as u64
    }
}

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

/// The memory keeps what it takes.
struct MemoryOverDisk(TempDir);

#[async_trait]
impl Factory for MemoryOverDisk {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder();
        let builder = builder.tier("memory", memory(setup)?).tier("disk", disk(&self.0, setup).await?);
        Ok(Arc::new(builder.build()?))
    }

    fn heap(&self) -> Option<&dyn Heap> {
        Some(&Allocated)
    }
}

/// No tier keeps anything in memory.
struct DiskOverDisk(TempDir, TempDir);

#[async_trait]
impl Factory for DiskOverDisk {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder();
        let builder =
            builder.tier("near", disk(&self.0, setup).await?).tier("far", disk(&self.1, setup).await?);
        Ok(Arc::new(builder.build()?))
    }

    fn heap(&self) -> Option<&dyn Heap> {
        Some(&Allocated)
    }
}

/// What evicts keeps little, and the tier below takes what is large.
struct Spilling(TempDir);

#[async_trait]
impl Factory for Spilling {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let mut powers = Reference::volatile().powers();
        powers.spills = true;
        let source = Reference::with_powers(powers).store(setup)?;
        let builder = LayeredStore::builder().spilling_tier("memory", Arc::new(source));
        let builder = builder.tier("disk", disk(&self.0, setup).await?).write(WritePolicy::Spill);
        Ok(Arc::new(builder.build()?))
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
    let dir = || tempfile::tempdir().unwrap();
    assert_keeps(|| MemoryOverDisk(dir()));
    assert_keeps(|| DiskOverDisk(dir(), dir()));
    assert_keeps(|| Spilling(dir()));
}
