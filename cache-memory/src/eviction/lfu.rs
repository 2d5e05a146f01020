use super::{
    clock::{Clock, turns},
    lists::{Lists, Node, Ranked},
};

/// Uses count half after so long, and an entry used twice as often may stay unused so much longer.
const HALF_LIFE: u64 = turns(10);
/// Entries looked at for one that goes; then the first one goes unseen.
const LOOKS: usize = 64;

/// The entries of a shard in classes of frequency; in a class the one goes first that was placed first.
///
/// Hits only count in the entry's own counter, which is looked at when the entry is the next to go.
#[derive(Debug)]
pub(crate) struct Lfu {
    lists: Lists,
}

impl Default for Lfu {
    fn default() -> Self {
        Self { lists: Lists::new(0, HALF_LIFE) }
    }
}

impl Lfu {
    pub(super) fn insert(&mut self, index: u32, clock: &Clock, held: u64) {
        self.lists.push_main(index, 1, clock.tick(held));
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.lists.remove(index);
    }

    pub(super) fn evicted(&mut self, index: u32, clock: &Clock, held: u64) {
        self.lists.remove(index);
        clock.turn(held);
    }

    pub(super) fn first(&self) -> Option<Ranked> {
        self.lists.main()
    }

    pub(super) fn victim(&mut self, clock: &Clock, take_uses: &mut impl FnMut(u32) -> u8) -> Option<Ranked> {
        for _ in 0..LOOKS {
            let first = self.lists.main()?;
            let uses = take_uses(first.index);
            if uses == 0 {
                return Some(first);
            }
            if let Some(node) = self.lists.remove(first.index) {
                let now = clock.now();
                self.lists.push_main(first.index, node.used(uses, now, HALF_LIFE), now);
            }
        }
        self.first()
    }

    pub(super) fn take(&mut self, index: u32) -> Option<Node> {
        self.lists.remove(index)
    }

    pub(super) fn put_back(&mut self, index: u32, node: Node, clock: &Clock) {
        self.lists.push_again(index, node, clock.now());
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lists.bytes()
    }
}

#[cfg(test)]
mod tests;
