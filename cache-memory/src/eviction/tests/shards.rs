//! A store without values.

use std::collections::HashMap;

use super::*;

/// Entries in shards, evicted as a store does: the shard with the least rank is asked, and if it
/// finds a rank that is larger than another's, that one is.
pub(super) struct Shards {
    pub(super) shards: Vec<Shard>,
    clock: Clock,
    pub(super) held: u64,
    weight: u64,
    capacity: u64,
}

pub(super) struct Shard {
    order: Order,
    pub(super) indices: HashMap<u64, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// As published.
    pub(super) rank: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    key: u64,
    uses: u8,
    weight: u64,
}

pub(super) fn hash(key: u64) -> u64 {
    let key = (key ^ (key >> 31) ^ 0x5DEE_CE66).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let key = (key ^ (key >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    key ^ (key >> 32)
}

impl Shards {
    pub(super) fn new(order: fn() -> Order, shards: usize, capacity: u64) -> Self {
        let shard = || Shard {
            order: order(),
            indices: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            rank: u64::MAX,
        };
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            clock: Clock::default(),
            held: 0,
            weight: 0,
            capacity,
        }
    }

    fn at(&self, key: u64) -> usize {
        (hash(key) >> 56) as usize % self.shards.len()
    }

    pub(super) fn contains(&self, key: u64) -> bool {
        self.shards[self.at(key)].indices.contains_key(&key)
    }

    pub(super) fn get(&mut self, key: u64) -> bool {
        let at = self.at(key);
        let shard = &mut self.shards[at];
        let Some(index) = shard.indices.get(&key).copied() else { return false };
        if shard.order.by_use() {
            shard.order.touch(index, &self.clock);
            shard.rank = shard.order.rank();
        } else {
            let uses = &mut shard.slots[index as usize].uses;
            *uses = uses.saturating_add(1);
        }
        true
    }

    pub(super) fn put(&mut self, key: u64) {
        self.put_heavy(key, 1);
    }

    pub(super) fn put_heavy(&mut self, key: u64, weight: u64) {
        if self.get(key) {
            return;
        }
        while self.weight + weight > self.capacity {
            self.evict(None).unwrap();
        }
        let at = self.at(key);
        let shard = &mut self.shards[at];
        let index = shard.free.pop().unwrap_or_else(|| {
            shard.slots.push(Slot { key, uses: 0, weight });
            u32::try_from(shard.slots.len() - 1).unwrap()
        });
        shard.slots[index as usize] = Slot { key, uses: 0, weight };
        shard.indices.insert(key, index);
        self.held += 1;
        self.weight += weight;
        shard.order.insert(index, hash(key), weight, &self.clock, self.held);
        shard.rank = shard.order.rank();
    }

    pub(super) fn evict(&mut self, spared: Option<u64>) -> Option<u64> {
        let mut empty = Vec::new();
        loop {
            let others = |at: &usize| !empty.contains(at);
            let at = (0..self.shards.len()).filter(others).min_by_key(|at| self.shards[*at].rank)?;
            let spared = spared.filter(|key| self.at(*key) == at);
            let shard = &mut self.shards[at];
            let spared = spared.and_then(|key| shard.indices.get(&key).copied());
            let Shard { order, slots, .. } = shard;
            let victim = order.victim(spared, &self.clock, self.held, |index| {
                std::mem::take(&mut slots[index as usize].uses)
            });
            let Some(victim) = victim else {
                empty.push(at);
                continue;
            };
            if victim.rank > shard.rank && spared.is_none() {
                shard.rank = victim.rank;
                if self.shards.iter().any(|shard| shard.rank < victim.rank) {
                    continue;
                }
            }
            let shard = &mut self.shards[at];
            let Slot { key, uses, weight } = shard.slots[victim.index as usize];
            shard.order.evicted(victim.index, hash(key), uses, &self.clock, self.held);
            shard.rank = shard.order.rank();
            shard.indices.remove(&key).unwrap();
            shard.free.push(victim.index);
            self.held -= 1;
            self.weight -= weight;
            return Some(key);
        }
    }

    pub(super) fn remove(&mut self, key: u64) {
        let at = self.at(key);
        let shard = &mut self.shards[at];
        if let Some(index) = shard.indices.remove(&key) {
            shard.order.remove(index);
            shard.rank = shard.order.rank();
            shard.free.push(index);
            self.held -= 1;
            self.weight -= shard.slots[index as usize].weight;
        }
    }

    pub(super) fn keys(&self) -> Vec<u64> {
        let mut keys: Vec<_> = self.shards.iter().flat_map(|shard| shard.indices.keys().copied()).collect();
        keys.sort_unstable();
        keys
    }
}
