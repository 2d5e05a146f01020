use super::{
    clock::Clock,
    lists::{Lists, Node, Ranked},
};

/// The entries of a shard by last use. A use takes a number from the clock, so the order of all shards'
/// entries is exact.
#[derive(Debug)]
pub(crate) struct Lru {
    lists: Lists,
}

impl Default for Lru {
    fn default() -> Self {
        Self { lists: Lists::new(0, 0) }
    }
}

impl Lru {
    pub(super) fn insert(&mut self, index: u32, clock: &Clock) {
        self.lists.push_window(index, 1, 1, clock.number());
    }

    pub(super) fn touch(&mut self, index: u32, clock: &Clock) {
        if self.lists.remove(index).is_some() {
            self.insert(index, clock);
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.lists.remove(index);
    }

    pub(super) fn first(&self) -> Option<Ranked> {
        self.lists.window()
    }

    pub(super) fn take(&mut self, index: u32) -> Option<Node> {
        self.lists.remove(index)
    }

    pub(super) fn put_back(&mut self, index: u32, clock: &Clock) {
        self.insert(index, clock);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lists.bytes()
    }
}

#[cfg(test)]
mod tests;
