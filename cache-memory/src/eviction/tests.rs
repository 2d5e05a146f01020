use proptest::prelude::*;

use super::*;
use shards::{Shards, hash};

const ORDERS: [fn() -> Order; 3] = [Order::tiny_lfu, Order::lfu, Order::lru];

/// Whoever the entries are and however they are scattered.
fn scattered() -> impl Iterator<Item = (fn() -> Order, usize, u64)> {
    let orders = ORDERS.into_iter();
    orders.flat_map(|order| {
        [1, 8, 64].into_iter().flat_map(move |shards| (3..=10).map(move |count| (order, shards, count)))
    })
}

#[test]
fn among_a_few_the_oldest_unread_goes_first() {
    for (order, shards, count) in scattered() {
        let mut store = Shards::new(order, shards, count);
        for key in 0..5 * count {
            store.put(key);
            let expected: Vec<_> = (key.saturating_sub(count - 1)..=key).collect();
            assert_eq!(store.keys(), expected, "{count} entries in {shards} shards");
        }
    }
}

#[test]
fn among_a_few_those_that_are_read_stay() {
    for (order, shards, count) in scattered() {
        let mut store = Shards::new(order, shards, count);
        let read = count - 1;
        for key in 0..40 * count {
            store.put(key);
            for key in 0..read.min(key + 1) {
                assert!(store.get(key), "{key} of {count} entries in {shards} shards");
            }
        }
    }
}

#[test]
fn one_read_is_enough_among_a_few() {
    for (order, shards, count) in scattered() {
        let mut store = Shards::new(order, shards, count);
        for key in 0..count {
            store.put(key);
        }
        store.get(0);
        for key in count..2 * count - 1 {
            store.put(key);
            assert!(store.contains(0) && store.contains(key), "{count} entries in {shards} shards");
        }
    }
}

#[test]
fn the_spared_entry_is_never_the_victim() {
    for (order, shards, count) in scattered() {
        for spared in 0..count {
            let mut store = Shards::new(order, shards, count);
            for key in 0..count {
                store.put(key);
            }
            let mut gone: Vec<_> = std::iter::from_fn(|| store.evict(Some(spared))).collect();
            gone.sort_unstable();
            let others: Vec<_> = (0..count).filter(|key| *key != spared).collect();
            assert_eq!((gone, store.keys()), (others, vec![spared]));
            assert_eq!(store.evict(None), Some(spared));
            assert_eq!(store.evict(None), None);
        }
    }
}

#[test]
fn what_was_hot_yesterday_makes_way_in_a_small_store() {
    const HOT: u64 = 50;
    for (order, shards) in
        [Order::tiny_lfu, Order::lfu].into_iter().flat_map(|order| [1, 8, 64].map(|n| (order, n)))
    {
        let mut store = Shards::new(order, shards, HOT + 10);
        for key in 0..HOT {
            store.put(key);
            for _ in 0..100 {
                store.get(key);
            }
        }
        for round in 0..100 {
            for key in HOT..2 * HOT {
                store.put(key);
                assert!(store.get(key));
            }
            // Without pressure nothing would have to go.
            for key in 0..HOT {
                store.put((2 + round) * HOT + key);
            }
        }
        let today = (HOT..2 * HOT).filter(|key| store.contains(*key)).count();
        assert_eq!(today as u64, HOT, "{shards} shards");
    }
}

#[test]
fn a_pass_over_large_ones_leaves_what_was_read() {
    for shards in [1, 8] {
        let mut store = Shards::new(Order::tiny_lfu, shards, 2000);
        for key in 0..1500 {
            store.put(key);
            store.get(key);
        }
        for key in 10_000..10_100 {
            store.put_heavy(key, 250);
        }
        let left = (0..1500).filter(|key| store.contains(*key)).count();
        assert!(left == 1500, "{left} in {shards} shards");
    }
}

#[test]
fn a_store_without_limits_keeps_no_order() {
    let (mut order, clock) = (Order::None, Clock::default());
    order.insert(0, hash(0), 1, &clock, 1);
    order.touch(0, &clock);
    assert_eq!(order.victim(None, &clock, 1, |_| 0), None);
    order.evicted(0, hash(0), 0, &clock, 1);
    order.remove(0);
    assert_eq!((order.rank(), order.bytes(), order.by_use()), (u64::MAX, 0, false));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Get(u64),
    Put(u64),
    Remove(u64),
    Evict(Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..40_u64;
    prop_oneof![
        3 => key().prop_map(Step::Get),
        3 => key().prop_map(Step::Put),
        1 => key().prop_map(Step::Remove),
        1 => prop::option::of(key()).prop_map(Step::Evict),
    ]
}

proptest! {
    #[test]
    fn what_goes_was_there_and_what_is_there_can_go(
        order in prop::sample::select(ORDERS.as_slice()),
        shards in prop::sample::select([1_usize, 4].as_slice()),
        capacity in 1..20_u64,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut store = Shards::new(order, shards, capacity);
        for step in steps {
            let before = store.keys();
            match step {
                Step::Get(key) => prop_assert_eq!(store.get(key), before.contains(&key)),
                Step::Put(key) => {
                    store.put(key);
                    prop_assert!(store.contains(key));
                }
                Step::Remove(key) => {
                    store.remove(key);
                    prop_assert!(!store.contains(key));
                }
                Step::Evict(spared) => {
                    let gone = store.evict(spared);
                    let others = before.iter().filter(|key| Some(**key) != spared).count();
                    prop_assert_eq!(gone.is_some(), others > 0);
                    prop_assert!(gone.is_none_or(|gone| before.contains(&gone) && Some(gone) != spared));
                }
            }
            prop_assert!(store.keys().len() as u64 == store.held && store.held <= capacity);
            prop_assert!(store.shards.iter().all(|shard| (shard.rank == u64::MAX) == shard.indices.is_empty()));
        }
        let left = store.keys();
        let mut gone: Vec<_> = std::iter::from_fn(|| store.evict(None)).collect();
        gone.sort_unstable();
        prop_assert_eq!(gone, left);
    }
}

mod hit_ratio;
mod shards;
