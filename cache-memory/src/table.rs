//! Where a hash stands in a slab: an open-addressed table whose slots fit eight to a cache line.

/// A slot holds the upper half of a hash and the index of its entry plus one; 0 is an empty slot.
#[derive(Debug, Default)]
pub(crate) struct Table {
    slots: Vec<u64>,
    len: usize,
    /// How far the upper half of a hash is shifted to be its first slot.
    shift: u32,
}

const FEWEST_BITS: u32 = 3;
/// So many slots are not given back.
const KEPT: usize = 256;

impl Table {
    /// The entry among those of this hash for which `is_it` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = upper(hash);
        let mut at = self.first(tag);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == 0 {
                return None;
            }
            if upper(slot) == tag && is_it(index(slot)) {
                return Some(index(slot));
            }
            at = self.next(at);
        }
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, index: u32) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.bits() + 1).max(FEWEST_BITS));
        }
        self.len += 1;
        self.place((hash & UPPER) | (u64::from(index) + 1));
    }

    /// Removes an entry that is there.
    pub(crate) fn remove(&mut self, hash: u64, index: u32) {
        let gone = (hash & UPPER) | (u64::from(index) + 1);
        let mut hole = self.first(upper(hash));
        loop {
            match self.slots.get(hole) {
                None | Some(0) => return,
                Some(slot) if *slot == gone => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.len -= 1;
        // What was pushed on by the entry moves up, so that no search ends too early.
        let mut at = self.next(hole);
        while let Some(&slot) = self.slots.get(at).filter(|slot| **slot != 0) {
            let first = self.first(upper(slot));
            if self.distance(first, at) >= self.distance(hole, at) {
                self.set(hole, slot);
                hole = at;
            }
            at = self.next(at);
        }
        self.set(hole, 0);
        // Far from where it grows again.
        if self.slots.len() > KEPT && self.len * 8 < self.slots.len() {
            self.resize(self.bits() - 1);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn bits(&self) -> u32 {
        self.slots.len().checked_ilog2().unwrap_or(0)
    }

    fn resize(&mut self, bits: u32) {
        let old = std::mem::replace(&mut self.slots, vec![0; 1 << bits]);
        self.shift = u32::BITS - bits;
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            self.place(slot);
        }
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.first(upper(slot));
        while self.slots.get(at).is_some_and(|slot| *slot != 0) {
            at = self.next(at);
        }
        self.set(at, slot);
    }

    fn set(&mut self, at: usize, slot: u64) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    #[inline]
    fn first(&self, tag: u32) -> usize {
        (tag >> self.shift) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    /// How many steps lead from one slot to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().wrapping_sub(1)
    }
}

const UPPER: u64 = !(u32::MAX as u64);

#[inline]
fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn index(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests;
