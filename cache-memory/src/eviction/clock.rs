use std::sync::atomic::{AtomicU64, Ordering};

/// A turn in the clock's own, finer unit.
const TURN: u64 = 1 << (TURN_BITS + FINE_BITS);
const TURN_BITS: u32 = 16;
const FINE_BITS: u32 = 12;
/// So many entries that come in alone age the store as much as one that competes.
const IDLE: u64 = 32;
/// A smaller store turns as if it held so many, so that the clock lasts.
const FEWEST: u64 = 16;

/// The age of a store, in turns: the store grows a turn older while as many entries compete for a place as
/// it holds. One clock is shared by all shards, so that their ranks compare.
///
/// It is moved by puts alone, and by what they weigh: an entry that nobody asked for before or since moves
/// it very little, so a pass over many such entries ages nothing.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// Turns, as [`turns`] gives them.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> FINE_BITS
    }

    /// An entry comes in; `held` are in the store. Answers the time, later than before unless very many are.
    pub(super) fn tick(&self, held: u64) -> u64 {
        self.advance((TURN / IDLE / held.max(FEWEST)).max(1))
    }

    /// An entry competes for a place with the `held` ones.
    pub(super) fn turn(&self, held: u64) -> u64 {
        self.advance((TURN / held.max(FEWEST)).max(1))
    }

    /// A number larger than all before, for an order that counts uses and not turns.
    pub(super) fn number(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    fn advance(&self, by: u64) -> u64 {
        self.0.fetch_add(by, Ordering::Relaxed).wrapping_add(by) >> FINE_BITS
    }
}

/// So many turns on the clock.
pub(super) const fn turns(count: u64) -> u64 {
    count << TURN_BITS
}
