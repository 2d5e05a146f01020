//! What a hit allocates, by a counting allocator: alone in its process, as all of it is counted.

use std::{sync::Arc, task::Poll};

use cache_core::{BlobName, Cache, Digest, Key, KeyView, Namespace, Store, StoreExt};
use cache_memory::{MemoryOptions, MemoryStore, Policy};
use futures::{future::poll_fn, pin_mut};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn blocks() -> u64 {
    dhat::HeapStats::get().total_blocks
}

#[test]
fn a_hit_allocates_nothing_and_copies_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // The clock of all stores has a thread, which allocates as it begins: it does so before anything is counted.
    let open = MemoryStore::open(MemoryOptions::default()).unwrap();
    runtime.block_on(open.put_bytes(&Digest::of("k").into(), "v".into())).unwrap();
    let accessed = || {
        open.get_now(Key::from(Digest::of("k")).view(), &BlobName::DATA).unwrap();
        runtime.block_on(open.meta(&Digest::of("k").into())).unwrap().unwrap().last_accessed
    };
    let first = accessed();
    std::thread::sleep(std::time::Duration::from_millis(200));
    while accessed() == first {
        std::thread::yield_now();
    }
    let _profiler = dhat::Profiler::builder().testing().build();
    for policy in Policy::ALL {
        let store = MemoryStore::open(MemoryOptions::default().with_policy(policy)).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let cache = Cache::new(Arc::clone(&store)).namespace("compile").unwrap();
        let namespace = Namespace::root().child("compile").unwrap();
        let digests: Vec<_> = (0..100_u8).map(|n| Digest::of([n])).collect();
        // Of the kind whose first clone allocates.
        let values: Vec<_> = digests.iter().map(|_| bytes::Bytes::from(vec![7; 1000])).collect();
        runtime.block_on(async {
            for (digest, value) in digests.iter().zip(&values) {
                cache.put(*digest, value.clone()).await.unwrap();
            }
            // A thread's first hit makes room for its counts.
            cache.get(digests[0]).await.unwrap().unwrap();
            let before = blocks();
            for (digest, value) in digests.iter().zip(&values) {
                let hit = cache.get(*digest).await.unwrap().unwrap();
                assert_eq!(hit.as_ptr(), value.as_ptr());
                let key = KeyView { namespace: &namespace, digest };
                let hit = store.get_now(key, &BlobName::DATA).unwrap();
                assert_eq!(hit.as_ptr(), value.as_ptr());
            }
            assert_eq!(blocks() - before, 0, "{policy}");
            // Nor does it wait, or leave anything to a second poll.
            let get = cache.get(digests[1]);
            pin_mut!(get);
            let first = poll_fn(|context| Poll::Ready(get.as_mut().poll(context))).await;
            assert!(matches!(first, Poll::Ready(Ok(Some(_)))));
        });
    }
}
