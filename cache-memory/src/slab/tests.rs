use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn few_entries_in_the_place_of_many_give_their_room_back() {
    let mut slab = Slab::default();
    let mut many: Vec<_> = (0..10_000).map(|n| slab.insert(n).unwrap()).collect();
    let room = slab.slots.capacity();
    // As eviction does: each newcomer takes the place of several that lie anywhere.
    fastrand::Rng::with_seed(1).shuffle(&mut many);
    let mut few = Vec::new();
    for (round, gone) in many.chunks(100).enumerate() {
        for index in gone {
            slab.remove(*index).unwrap();
        }
        few.push(slab.insert(round).unwrap());
    }
    assert_eq!(slab.iter().count(), 100);
    assert!(slab.slots.capacity() <= 400 && room >= 10_000, "{}", slab.slots.capacity());
    assert!(slab.free.len() <= 400);
    for (round, index) in few.iter().enumerate() {
        assert_eq!(slab.remove(*index), Some(round));
    }
    assert!(slab.slots.is_empty() && slab.slots.capacity() <= KEPT);
}

proptest! {
    #[test]
    fn a_slab_agrees_with_a_map(steps in prop::collection::vec((0..3_u8, any::<prop::sample::Index>()), 1..400)) {
        let (mut slab, mut map, mut next) = (Slab::default(), HashMap::new(), 0);
        for (step, which) in steps {
            if step > 0 || map.is_empty() {
                let index = slab.insert(next).unwrap();
                prop_assert_eq!(map.insert(index, next), None, "an index that is in use");
                next += 1;
            } else {
                let mut held: Vec<u32> = map.keys().copied().collect();
                held.sort_unstable();
                let index = *which.get(&held);
                prop_assert_eq!(slab.remove(index), map.remove(&index));
                prop_assert_eq!(slab.remove(index), None);
            }
            for (index, entry) in &map {
                prop_assert_eq!(slab.get(*index), Some(entry));
            }
            prop_assert_eq!(slab.iter().count(), map.len());
        }
    }
}
