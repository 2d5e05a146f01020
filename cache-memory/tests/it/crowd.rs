//! Many threads that put at once.

use std::thread;

use cache_core::{Digest, Key, Namespace, PutEntry, PutOptions, Store};
use cache_memory::{MemoryOptions, MemoryStore, Policy};
use futures::FutureExt;

fn key(n: u64) -> Key {
    Key::from(Digest::of(n.to_be_bytes()))
}

#[test]
fn no_put_that_fits_is_refused_for_others_that_come_and_go() {
    for policy in [Policy::TinyLfu, Policy::Lru, Policy::Lfu] {
        let options = MemoryOptions::unlimited().with_policy(policy).with_max_bytes(100);
        let store = MemoryStore::open(options).unwrap();
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..4_000 {
                        let entry = PutEntry::data(vec![7; 100]);
                        let key = key(thread << 32 | n);
                        let put = store.put(&key, entry, PutOptions::default());
                        let outcome = put.now_or_never().unwrap().unwrap();
                        assert!(outcome.is_stored(), "{policy} {thread} {n}: {outcome:?}");
                    }
                });
            }
        });
        assert_eq!(store.usage(&Namespace::root()).now_or_never().unwrap().unwrap().entries, 1);
    }
}
