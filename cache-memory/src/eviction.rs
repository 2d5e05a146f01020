//! Which entry of a shard goes first, and how that compares with the other shards.

pub(crate) use clock::Clock;
use lfu::Lfu;
pub(crate) use lists::Ranked;
use lru::Lru;
use tiny_lfu::TinyLfu;

mod clock;
mod lfu;
mod lists;
mod lru;
mod sketch;
mod tiny_lfu;

/// The entries of one shard, by their indices there, in the order in which they go.
///
/// A hit does not come here, except under [`Order::by_use`]: it adds one to a saturating counter that the
/// entry itself keeps, and [`Order::victim`] takes the count later. `held` is always the number of entries
/// that all shards hold; all of them share one [`Clock`].
#[derive(Debug)]
pub(crate) enum Order {
    TinyLfu(Box<TinyLfu>),
    Lfu(Box<Lfu>),
    Lru(Box<Lru>),
    /// Of a store without limits, in which nothing goes.
    None,
}

impl Order {
    pub(crate) fn tiny_lfu() -> Self {
        Self::TinyLfu(Box::default())
    }

    pub(crate) fn lfu() -> Self {
        Self::Lfu(Box::default())
    }

    pub(crate) fn lru() -> Self {
        Self::Lru(Box::default())
    }

    /// Whether a hit has to call [`Order::touch`]; otherwise it counts in the entry's counter.
    pub(crate) fn by_use(&self) -> bool {
        matches!(self, Self::Lru(_))
    }

    /// An entry comes in. Its counter starts at zero, its index is in use by no other; `hash` is the same
    /// whenever this key comes. `weight` is how many times larger it is than the mean entry of all shards,
    /// rounded up: at least 1.
    pub(crate) fn insert(&mut self, index: u32, hash: u64, weight: u64, clock: &Clock, held: u64) {
        match self {
            Self::TinyLfu(order) => order.insert(index, hash, weight, clock, held),
            Self::Lfu(order) => order.insert(index, clock, held),
            Self::Lru(order) => order.insert(index, clock),
            Self::None => {}
        }
    }

    /// An entry is used.
    pub(crate) fn touch(&mut self, index: u32, clock: &Clock) {
        if let Self::Lru(order) = self {
            order.touch(index, clock);
        }
    }

    /// An entry is taken away, not because of a limit.
    pub(crate) fn remove(&mut self, index: u32) {
        match self {
            Self::TinyLfu(order) => order.remove(index),
            Self::Lfu(order) => order.remove(index),
            Self::Lru(order) => order.remove(index),
            Self::None => {}
        }
    }

    /// An entry goes because of a limit; `uses` is what its counter says. What is known of it is kept.
    pub(crate) fn evicted(&mut self, index: u32, hash: u64, uses: u8, clock: &Clock, held: u64) {
        match self {
            Self::TinyLfu(order) => order.evicted(index, hash, uses),
            Self::Lfu(order) => order.evicted(index, clock, held),
            Self::Lru(order) => order.remove(index),
            Self::None => {}
        }
    }

    /// What a shard publishes: the rank of the one that would go, before a look at any counter. The shard with
    /// the least of all is asked for its victim; if that has a larger rank than another shard publishes, the
    /// other is asked.
    pub(crate) fn rank(&self) -> u64 {
        let first = match self {
            Self::TinyLfu(order) => order.first(),
            Self::Lfu(order) => order.first(),
            Self::Lru(order) => order.first(),
            Self::None => None,
        };
        first.map_or(u64::MAX, |first| first.rank)
    }

    /// The entry to go next, and never `spared`; it stays until [`Order::evicted`]. `take_uses` answers what
    /// an entry's counter says and sets it to zero.
    pub(crate) fn victim(
        &mut self,
        spared: Option<u32>,
        clock: &Clock,
        held: u64,
        mut take_uses: impl FnMut(u32) -> u8,
    ) -> Option<Ranked> {
        let aside = spared.and_then(|index| Some((index, self.take(index)?)));
        let victim = match self {
            Self::TinyLfu(order) => order.victim(clock, held, &mut take_uses),
            Self::Lfu(order) => order.victim(clock, &mut take_uses),
            Self::Lru(order) => order.first(),
            Self::None => None,
        };
        if let Some((index, node)) = aside {
            match self {
                Self::TinyLfu(order) => order.put_back(index, node, clock),
                Self::Lfu(order) => order.put_back(index, node, clock),
                Self::Lru(order) => order.put_back(index, clock),
                Self::None => {}
            }
        }
        victim
    }

    /// Bytes that the order takes now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::TinyLfu(order) => order.bytes(),
            Self::Lfu(order) => order.bytes(),
            Self::Lru(order) => order.bytes(),
            Self::None => 0,
        }
    }

    fn take(&mut self, index: u32) -> Option<lists::Node> {
        match self {
            Self::TinyLfu(order) => order.take(index),
            Self::Lfu(order) => order.take(index),
            Self::Lru(order) => order.take(index),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests;
