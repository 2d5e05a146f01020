//! How much memory large blobs take on their way into the memory store and out of it.
//!
//! A process of its own in which nothing else happens: one test, and one clause at a time.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{CLAUSES, Factory, Handle, Heap, Outcome, Setup};
use cache_core::{
    BlobName, CopyOptions, Digest, Key, Namespace, PutEntry, PutOptions, Result, Store, StoreExt,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, stream};

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

/// A copy of 64 MiB between stores that share their pieces takes some pieces. To be called before anything takes more.
fn assert_copies_in_pieces() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let open = || MemoryStore::open(MemoryOptions::unlimited()).unwrap();
        let (from, to) = (open(), open());
        let pieces = stream::iter((0..64_u8).map(|n| Ok(Bytes::from(vec![n; 1 << 20])))).boxed();
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
        from.put(&Key::from(Digest::of("k")), entry, PutOptions::default()).await.unwrap();
        let before = dhat::HeapStats::get().curr_bytes;
        let options = CopyOptions::default();
        assert_eq!(from.copy_to(&to, &Namespace::root(), &options).await.unwrap().copied, 1);
        let most = dhat::HeapStats::get().max_bytes - before;
        assert!(most < 8 << 20, "{most} of 64 MiB");
    });
}

#[test]
fn large_blobs_stream_in_little_memory() {
    let _profiler = dhat::Profiler::builder().testing().build();
    assert_copies_in_pieces();
    assert_keeps(|| InMemory);
}
