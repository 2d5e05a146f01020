//! Which entry goes first.

use std::collections::BTreeMap;

use cache_core::Key;

use crate::Policy;

/// The store grows so much older while it evicts as many entries as it holds.
const TURN: u64 = 1 << 32;
/// A use counts half when the store is so much older.
const HALF_LIFE: u64 = 10 * TURN;

/// The entries in the order in which they go, for either policy.
#[derive(Debug, Default)]
pub(crate) struct Order {
    policy: Policy,
    ranks: BTreeMap<Rank, Key>,
    tick: u64,
    age: u64,
}

/// The smallest goes first: by frequency where that counts, else and among equals by last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    worth: u64,
    tick: u64,
}

/// Where an entry stands in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    rank: Rank,
    /// How many uses it had, each halved as often as the store grew old enough since.
    uses: u64,
    /// How old the store was at the last one.
    used_at: u64,
}

impl Order {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// An entry that is put, which is a use, too. `before` is where it stood until now.
    pub(crate) fn insert(&mut self, key: Key, before: Option<Standing>) -> Standing {
        let standing = self.used(before);
        self.ranks.insert(standing.rank, key);
        standing
    }

    pub(crate) fn touch(&mut self, standing: &mut Standing) {
        let now = self.used(Some(*standing));
        if let Some(key) = self.ranks.remove(&standing.rank) {
            self.ranks.insert(now.rank, key);
            *standing = now;
        }
    }

    pub(crate) fn remove(&mut self, standing: &Standing) {
        self.ranks.remove(&standing.rank);
    }

    /// The entry to go next, and never that of `spared`. It counts as evicted.
    pub(crate) fn next(&mut self, spared: &Key) -> Option<Key> {
        let victim = self.ranks.values().find(|key| *key != spared).cloned()?;
        self.age = self.age.saturating_add(TURN / self.ranks.len() as u64);
        Some(victim)
    }

    pub(crate) fn clear(&mut self) {
        self.ranks.clear();
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.ranks.values()
    }

    fn used(&mut self, before: Option<Standing>) -> Standing {
        self.tick += 1;
        let uses = before.map_or(0, |before| {
            let halvings = (self.age - before.used_at) / HALF_LIFE;
            u32::try_from(halvings).ok().and_then(|by| before.uses.checked_shr(by)).unwrap_or(0)
        });
        let uses = uses.saturating_add(1);
        let worth = match self.policy {
            Policy::Lru => 0,
            Policy::Lfu => self.age.saturating_add(outlives(uses)),
        };
        Standing { rank: Rank { worth, tick: self.tick }, uses, used_at: self.age }
    }
}

/// How old the store grows before so many uses count as one: a half-life for each doubling, and what lies
/// between powers of two in proportion.
fn outlives(uses: u64) -> u64 {
    let doublings = uses.max(1).ilog2();
    let power = 1_u128 << doublings;
    let rest = u128::from(HALF_LIFE) * (u128::from(uses) - power) / power;
    (HALF_LIFE * u64::from(doublings)).saturating_add(u64::try_from(rest).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
