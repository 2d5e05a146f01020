use std::collections::{BTreeMap, HashMap};

/// Which keys an exact LRU would hold: the yardstick of hit ratios, not of time.
#[derive(Debug)]
pub(crate) struct ExactLru {
    capacity: usize,
    last_use: HashMap<usize, u64>,
    order: BTreeMap<u64, usize>,
    now: u64,
}

impl ExactLru {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, last_use: HashMap::new(), order: BTreeMap::new(), now: 0 }
    }

    /// Uses `key`; answers whether it was there.
    pub(crate) fn touch(&mut self, key: usize) -> bool {
        self.now += 1;
        let before = self.last_use.insert(key, self.now);
        if let Some(before) = before {
            self.order.remove(&before);
        }
        self.order.insert(self.now, key);
        if self.order.len() > self.capacity
            && let Some((_, victim)) = self.order.pop_first()
        {
            self.last_use.remove(&victim);
        }
        before.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_goes_first() {
        let mut lru = ExactLru::new(2);
        assert_eq!([1, 2, 1, 3, 1, 2].map(|key| lru.touch(key)), [false, false, true, false, true, false]);
    }
}
