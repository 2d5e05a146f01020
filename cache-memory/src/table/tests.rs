use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn find(table: &Table, hash: u64, wanted: u32) -> Option<u32> {
    table.find(hash, |index| index == wanted)
}

#[test]
fn an_empty_table_finds_nothing() {
    let mut table = Table::default();
    assert_eq!(find(&table, 7 << 32, 0), None);
    table.remove(7 << 32, 0);
    assert_eq!(find(&table, 7 << 32, 0), None);
}

#[test]
fn entries_of_one_hash_are_told_apart_by_the_caller() {
    let mut table = Table::default();
    for index in 0..100 {
        table.insert(u64::MAX, index);
    }
    for index in 0..100 {
        assert_eq!(find(&table, u64::MAX, index), Some(index));
    }
    table.remove(u64::MAX, 50);
    assert_eq!(find(&table, u64::MAX, 50), None);
    assert_eq!(find(&table, u64::MAX, 99), Some(99));
}

#[test]
fn a_table_gives_back_what_it_does_not_need() {
    let mut table = Table::default();
    let hash = |index: u32| u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..10_000).for_each(|index| table.insert(hash(index), index));
    (0..9_990).for_each(|index| table.remove(hash(index), index));
    assert!(table.slots.len() <= KEPT);
    for index in 0..10_000 {
        assert_eq!(find(&table, hash(index), index), (index >= 9_990).then_some(index));
    }
}

proptest! {
    /// Hashes that collide in the table, at its end and altogether.
    #[test]
    fn a_table_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0..40_u32, 0..6_u64), 1..300)) {
        let mut table = Table::default();
        let mut map = HashMap::new();
        for (puts, index, kind) in steps {
            let hash = match kind {
                0 => u64::MAX,
                1 => u64::MAX - (u64::from(index) << 32),
                2 => 0,
                _ => u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            };
            if puts && !map.contains_key(&index) {
                table.insert(hash, index);
                map.insert(index, hash);
            } else if let Some(hash) = map.remove(&index) {
                table.remove(hash, index);
                prop_assert_eq!(find(&table, hash, index), None);
            }
            for (index, hash) in &map {
                prop_assert_eq!(find(&table, *hash, *index), Some(*index));
            }
            prop_assert_eq!(table.len, map.len());
        }
    }
}
