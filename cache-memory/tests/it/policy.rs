//! Which entries go first.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use cache_core::{BlobName, Digest, ErrorKind, Key, KeyManagement, Metrics, Store, StoreExt};
use cache_memory::{MemoryOptions, MemoryStore, Policy};

const HOT: u32 = 50;
const COLD: u32 = 500;

fn key(n: u32) -> Key {
    Key::from(Digest::of(n.to_be_bytes()))
}

async fn put(store: &MemoryStore, n: u32) {
    let outcome = store.put_bytes(&key(n), vec![7; 100].into()).await.unwrap();
    assert!(outcome.is_stored() && store.contains(&key(n)).await.unwrap());
}

async fn read(store: &MemoryStore, n: u32) -> bool {
    store.get_bytes(&key(n), &BlobName::DATA).await.unwrap().is_some()
}

/// Reads some keys three times, then passes over many others once; answers how many of the hot are left.
async fn survivors(options: MemoryOptions) -> (u32, Metrics) {
    let store = MemoryStore::open(options).unwrap();
    for n in 0..HOT {
        put(&store, n).await;
        for _ in 0..3 {
            assert!(read(&store, n).await);
        }
    }
    for n in 0..COLD {
        put(&store, HOT + n).await;
    }
    let mut left = 0;
    for n in 0..HOT {
        left += u32::from(store.contains(&key(n)).await.unwrap());
    }
    (left, store.metrics())
}

/// By bytes and by entries: room for all that is hot and a little more.
fn bounds(policy: Policy) -> [MemoryOptions; 2] {
    let options = MemoryOptions::unlimited().with_policy(policy);
    let room = u64::from(HOT + 10);
    [options.clone().with_max_bytes(room * 100), options.with_max_entries(room)]
}

#[tokio::test]
async fn one_pass_over_cold_keys_leaves_the_hot_ones_to_lfu() {
    for options in bounds(Policy::Lfu) {
        let (left, metrics) = survivors(options).await;
        assert_eq!((left, metrics.entries), (HOT, Some(u64::from(HOT + 10))));
    }
}

#[tokio::test]
async fn one_pass_over_cold_keys_leaves_nothing_hot_to_lru() {
    for options in bounds(Policy::Lru) {
        let (left, metrics) = survivors(options).await;
        assert_eq!((left, metrics.entries), (0, Some(u64::from(HOT + 10))));
    }
}

#[tokio::test]
async fn a_store_without_bounds_evicts_nothing() {
    for policy in Policy::ALL {
        let (left, metrics) = survivors(MemoryOptions::unlimited().with_policy(policy)).await;
        assert_eq!((left, metrics.entries, metrics.evictions), (HOT, Some(u64::from(HOT + COLD)), 0));
    }
}

#[tokio::test]
async fn what_was_hot_yesterday_makes_way_for_what_is_hot_today() {
    for options in bounds(Policy::Lfu) {
        let store = MemoryStore::open(options).unwrap();
        for n in 0..HOT {
            put(&store, n).await;
            for _ in 0..100 {
                read(&store, n).await;
            }
        }
        for round in 0..100 {
            for n in HOT..2 * HOT {
                if !read(&store, n).await {
                    put(&store, n).await;
                }
                assert!(read(&store, n).await);
            }
            // Without pressure nothing would have to go.
            for n in 0..HOT {
                put(&store, (2 + round) * HOT + n).await;
            }
        }
        let mut left = (0, 0);
        for n in 0..HOT {
            left.0 += u32::from(store.contains(&key(n)).await.unwrap());
            left.1 += u32::from(store.contains(&key(HOT + n)).await.unwrap());
        }
        assert_eq!(left, (0, HOT), "yesterday's and today's");
    }
}

#[tokio::test]
async fn bounds_of_zero_mean_the_same_to_both_policies() {
    for policy in Policy::ALL {
        let options = MemoryOptions::unlimited().with_policy(policy);
        let error = MemoryStore::open(options.clone().with_max_entries(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let disabled = MemoryStore::open(options.with_max_bytes(0)).unwrap();
        let outcome = disabled.put_bytes(&key(1), "".into()).await.unwrap();
        assert!(!outcome.is_stored() && !read(&disabled, 1).await);
    }
}

#[track_caller]
fn check(text: &str, expected: Option<Policy>) {
    match (text.parse::<Policy>(), expected) {
        (Ok(found), Some(expected)) => assert_eq!(found, expected),
        (Err(error), None) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("there are tiny-lfu, lru, lfu, unbounded"), "{error}");
        }
        (found, expected) => panic!("{text:?} is {found:?} and not {expected:?}"),
    }
}

#[test]
fn a_policy_is_read_by_its_name() {
    for policy in Policy::ALL {
        check(&policy.to_string(), Some(policy));
    }
    check("", None);
    check("LRU", None);
    check("arc", None);
}
