use proptest::prelude::*;

use cache_core::Digest;

use super::*;
use crate::Policy;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn engine(max_bytes: Option<u64>, max_entries: Option<u64>) -> Engine {
    engine_by(Policy::Lru, max_bytes, max_entries)
}

fn engine_by(policy: Policy, max_bytes: Option<u64>, max_entries: Option<u64>) -> Engine {
    let options = MemoryOptions::unlimited().with_policy(policy);
    Engine::new(&options.with_max_bytes(max_bytes).with_max_entries(max_entries))
}

fn key(n: u8) -> Key {
    Key::from(Digest::of([n]))
}

fn put(engine: &mut Engine, n: u8, name: &str, bytes: usize, mode: PutMode) -> Result<(), Refusal> {
    let held = Held { bytes: vec![n; bytes].into(), created: NOW };
    engine.put(&key(n), vec![(BlobName::new(name).unwrap(), held)], mode, NOW, &mut Gone::default())
}

fn resident(engine: &Engine) -> u64 {
    engine.entries.values().flat_map(|slot| slot.blobs.values()).map(|held| held.bytes.len() as u64).sum()
}

#[test]
fn an_entry_as_large_as_the_budget_takes_all_of_it() {
    let mut engine = engine(Some(100), None);
    put(&mut engine, 1, "data", 60, PutMode::Replace).unwrap();
    put(&mut engine, 2, "data", 100, PutMode::Replace).unwrap();
    assert!(!engine.contains(&key(1)) && engine.contains(&key(2)));
    assert_eq!(put(&mut engine, 2, "data", 101, PutMode::Replace), Err(Refusal::OverBudget));
    assert_eq!((engine.bytes(), engine.len()), (0, 0));
}

#[test]
fn the_bound_on_entries_evicts_the_least_recently_used() {
    let mut engine = engine(None, Some(2));
    put(&mut engine, 1, "data", 1, PutMode::Replace).unwrap();
    put(&mut engine, 2, "data", 1, PutMode::Replace).unwrap();
    engine.get(&key(1), &BlobName::DATA, NOW).unwrap();
    put(&mut engine, 3, "data", 1, PutMode::Replace).unwrap();
    assert!(engine.contains(&key(1)) && !engine.contains(&key(2)) && engine.contains(&key(3)));
}

#[test]
fn the_bound_on_entries_evicts_the_least_frequently_used() {
    let mut engine = engine_by(Policy::Lfu, None, Some(3));
    for (n, reads) in [(1, 3), (2, 1), (3, 2)] {
        put(&mut engine, n, "data", 1, PutMode::Replace).unwrap();
        for _ in 0..reads {
            engine.get(&key(n), &BlobName::DATA, NOW).unwrap();
        }
    }
    // Fresh entries are used least and go next, but not by their own put.
    for (n, gone) in [(4, 2), (5, 4), (6, 5)] {
        put(&mut engine, n, "data", 1, PutMode::Replace).unwrap();
        assert!(engine.contains(&key(n)) && !engine.contains(&key(gone)), "{n}");
    }
    assert!(engine.contains(&key(1)) && engine.contains(&key(3)));
}

#[test]
fn a_put_over_an_entry_keeps_its_frequency() {
    let mut engine = engine_by(Policy::Lfu, Some(30), None);
    put(&mut engine, 1, "data", 10, PutMode::Replace).unwrap();
    engine.get(&key(1), &BlobName::DATA, NOW).unwrap();
    engine.get(&key(1), &BlobName::DATA, NOW).unwrap();
    put(&mut engine, 1, "data", 10, PutMode::Replace).unwrap();
    put(&mut engine, 2, "data", 10, PutMode::Replace).unwrap();
    engine.get(&key(2), &BlobName::DATA, NOW).unwrap();
    put(&mut engine, 3, "data", 20, PutMode::Replace).unwrap();
    assert!(engine.contains(&key(1)) && !engine.contains(&key(2)) && engine.contains(&key(3)));
}

#[test]
fn reserved_bytes_are_not_given_twice() {
    let mut engine = engine(Some(100), None);
    let mut gone = Gone::default();
    assert!(engine.reserve(70, &key(9), &mut gone));
    assert!(!engine.reserve(40, &key(8), &mut gone));
    assert_eq!(put(&mut engine, 1, "data", 40, PutMode::Replace), Err(Refusal::NoRoom));
    engine.release(70);
    put(&mut engine, 1, "data", 40, PutMode::Replace).unwrap();
}

#[test]
fn a_reservation_never_takes_the_older_value_of_its_key() {
    let mut engine = engine(Some(100), None);
    put(&mut engine, 1, "data", 40, PutMode::Replace).unwrap();
    put(&mut engine, 2, "data", 40, PutMode::Replace).unwrap();
    assert!(engine.reserve(50, &key(1), &mut Gone::default()));
    assert!(engine.contains(&key(1)) && !engine.contains(&key(2)));
    assert!(!engine.reserve(50, &key(1), &mut Gone::default()));
    assert!(engine.contains(&key(1)));
}

#[test]
fn a_reservation_that_cannot_be_granted_evicts_nothing() {
    let mut engine = engine(Some(100), None);
    put(&mut engine, 1, "data", 40, PutMode::Replace).unwrap();
    assert!(engine.reserve(60, &key(9), &mut Gone::default()));
    let mut gone = Gone::default();
    assert!(!engine.reserve(50, &key(8), &mut gone));
    assert!(gone.evicted.is_empty() && engine.contains(&key(1)));
}

proptest! {
    /// The accounting is the sum of what is resident, and within the budget, after any sequence.
    #[test]
    fn accounting_equals_the_resident_sizes(
        policy in prop::sample::select(vec![Policy::Lru, Policy::Lfu]),
        steps in prop::collection::vec((0..6_u8, 0..8_u8, 0..2_usize, 0..120_usize), 1..80)
    ) {
        let mut engine = engine_by(policy, Some(200), Some(5));
        let mut reserved = Vec::new();
        for (step, n, name, bytes) in steps {
            let name = ["data", "stdout"][name];
            match step {
                0..3 => {
                    let mode = [PutMode::Replace, PutMode::Merge, PutMode::Fill][usize::from(step)];
                    let stored = put(&mut engine, n, name, bytes, mode).is_ok();
                    prop_assert!(!stored || engine.contains(&key(n)), "evicted by its own put");
                }
                3 => _ = engine.remove(&key(n), &mut Gone::default()),
                4 if engine.reserve(bytes as u64, &key(n), &mut Gone::default()) => reserved.push(bytes as u64),
                _ => {
                    if let Some(bytes) = reserved.pop() {
                        engine.release(bytes);
                    }
                    engine.get(&key(n), &BlobName::DATA, NOW);
                }
            }
            prop_assert_eq!(engine.bytes(), resident(&engine));
            prop_assert_eq!(engine.reserved, reserved.iter().sum::<u64>());
            prop_assert!(engine.bytes() + engine.reserved <= 200 && engine.len() <= 5);
            let mut ordered: Vec<_> = engine.order.keys().collect();
            ordered.sort();
            prop_assert!(ordered.into_iter().eq(engine.entries.keys()));
        }
    }
}
