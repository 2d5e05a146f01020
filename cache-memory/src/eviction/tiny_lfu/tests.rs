use super::*;

/// A shard that is a whole store, with a key's number as its hash.
struct Store {
    order: TinyLfu,
    clock: Clock,
    /// Of each index, the key and its uses.
    slots: Vec<(u64, u8)>,
}

impl Store {
    /// Holds so many entries, the keys from 0 on.
    fn full(len: u32) -> Self {
        let mut store =
            Self { order: TinyLfu::default(), clock: Clock::default(), slots: vec![(0, 0); len as usize] };
        for index in 0..len {
            store.insert(index, index.into());
        }
        store
    }

    fn held(&self) -> u64 {
        self.slots.len() as u64
    }

    fn insert(&mut self, index: u32, key: u64) {
        self.slots[index as usize] = (key, 0);
        self.order.insert(index, hash(key), 1, &self.clock, self.held());
    }

    fn slot(&mut self, key: u64) -> Option<&mut (u64, u8)> {
        self.slots.iter_mut().find(|slot| slot.0 == key)
    }

    fn read(&mut self, key: u64, times: u8) {
        if let Some(slot) = self.slot(key) {
            slot.1 = slot.1.saturating_add(times);
        }
    }

    /// Puts a key in the place of the one that goes.
    fn put(&mut self, key: u64) -> u64 {
        let slots = &mut self.slots;
        let held = slots.len() as u64;
        let take = &mut |index: u32| std::mem::take(&mut slots[index as usize].1);
        let victim = self.order.victim(&self.clock, held, take).unwrap();
        let (gone, uses) = self.slots[victim.index as usize];
        self.order.evicted(victim.index, hash(gone), uses);
        self.insert(victim.index, key);
        gone
    }
}

fn hash(key: u64) -> u64 {
    (key ^ 0x1234_5678)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .rotate_left(32)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

#[test]
fn one_pass_over_many_leaves_what_was_read() {
    let mut store = Store::full(200);
    for key in 0..150 {
        store.read(key, 1);
    }
    for key in 1000..1000 + 20 * 200 {
        store.put(key);
    }
    assert!((0..150).all(|key| store.slot(key).is_some()));
}

#[test]
fn a_pass_over_more_than_the_store_holds_leaves_a_part_to_be_hit() {
    let mut store = Store::full(200);
    let mut hits = 0;
    for round in 0..10 {
        for key in 0..240 {
            if store.slot(key).is_some() {
                store.read(key, 1);
                hits += u32::from(round >= 5);
            } else {
                store.put(key);
            }
        }
    }
    // 200 of 240 at best, and none by last use.
    assert!(hits > 5 * 150, "{hits}");
}

#[test]
fn who_comes_again_is_known_and_stays() {
    let mut store = Store::full(200);
    for _ in 0..3 {
        for key in (1000..).take(100) {
            if store.slot(key).is_none() {
                store.put(key);
            }
            // Others between that come once.
            let stranger = 10_000 + store.clock.now();
            if store.slot(stranger).is_none() {
                store.put(stranger);
            }
        }
    }
    let known = (1000..).take(100).filter(|key| store.slot(*key).is_some()).count();
    assert!(known > 80, "{known}");
}

#[test]
fn what_was_hot_yesterday_makes_way_for_what_is_hot_today() {
    for uses in [1, 10, 100, u8::MAX] {
        let mut store = Store::full(200);
        for key in 0..200 {
            store.read(key, uses);
        }
        // As many as the store holds are hot today.
        for _ in 0..60 {
            for key in 1000..1180 {
                if store.slot(key).is_none() {
                    store.put(key);
                }
                store.read(key, 1);
            }
        }
        let left = (1000..1180).filter(|key| store.slot(*key).is_some()).count();
        assert!(left >= 178, "{left} of today's 180 after {uses} uses yesterday");
    }
}

#[test]
fn nothing_stays_for_ever_unread() {
    let mut store = Store::full(200);
    store.read(0, u8::MAX);
    let gone = (1000..).take(200 * 2000).find(|key| store.put(*key) == 0);
    assert!(gone.is_some_and(|key| key > 1000 + 20 * 200), "{gone:?}");
}

#[test]
fn no_put_looks_at_all_entries() {
    let mut order = TinyLfu::default();
    let clock = Clock::default();
    for index in 0..10_000 {
        order.insert(index, hash(index.into()), 1, &clock, 10_000);
    }
    let mut looks = 0;
    let victim = order.victim(&clock, 10_000, &mut |_| {
        looks += 1;
        1
    });
    assert!(victim.is_some() && looks <= 2 * LOOKS, "{looks}");
}

#[test]
fn an_entry_costs_a_few_bytes() {
    let store = Store::full(1 << 12);
    // The lists' 16, and 8 of the sketch.
    assert!(store.order.bytes() <= (16 + 8) << 12, "{}", store.order.bytes());
}
