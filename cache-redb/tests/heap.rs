//! How much memory large blobs take on their way to the database and back.
//!
//! A process of its own in which nothing else happens: one test, and one clause at a time.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use cache_conformance::{CLAUSES, Factory, Handle, Heap, Outcome, Setup};
use cache_core::{Digest, Key, Namespace, Result, Store, StoreExt, VerifyOptions};
use cache_redb::{RedbOptions, RedbStore};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What the database keeps of its pages: soon as much as it may, so that it is the same before and after.
const CACHE: usize = 1 << 20;

struct Allocated;

impl Heap for Allocated {
    fn allocated(&self) -> u64 {
        dhat::HeapStats::get().curr_bytes as u64
    }
}

struct InFile(TempDir);

impl InFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self) -> RedbOptions {
        RedbOptions::new(self.0.path().join("cache.redb")).with_cache_bytes(CACHE)
    }
}

#[async_trait]
impl Factory for InFile {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options =
            self.options().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(RedbStore::open(options).await?))
    }

    fn heap(&self) -> Option<&dyn Heap> {
        Some(&Allocated)
    }
}

#[test]
fn large_blobs_stream_in_little_memory() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for clause in CLAUSES.iter().filter(|clause| clause.needs == Some(Handle::Heap)) {
        assert_eq!(clause.run(InFile::new()), Outcome::Passed, "{clause:?}");
    }
    verify_takes_some_pieces();
}

/// Also of blobs that are larger than all memory would be.
fn verify_takes_some_pieces() {
    const BLOB: usize = 48 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let file = InFile::new();
        let store = RedbStore::open(file.options()).await.unwrap();
        for name in ["a", "b"] {
            let key = Key::from(Digest::of(name));
            store.put_bytes(&key, vec![7; BLOB].into()).await.unwrap();
        }
        let before = Allocated.allocated();
        let most = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&most);
        let options = VerifyOptions::default().with_progress(move |_| {
            seen.fetch_max(Allocated.allocated(), Ordering::Relaxed);
        });
        let report = store.verify(&Namespace::root(), &options).await.unwrap();
        assert_eq!((report.bytes, report.is_sound()), (2 * BLOB as u64, true));
        let taken = most.load(Ordering::Relaxed).saturating_sub(before);
        assert!(taken < 8 << 20, "{taken} bytes were taken at once");
        store.close(None).await.unwrap();
    });
}
