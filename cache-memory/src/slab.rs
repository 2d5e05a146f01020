//! The entries of a shard, each at an index that it keeps.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::slot::Slot;

/// Grows by an eighth: what doubles would keep room for as many entries as there are. Takes the lowest index
/// that is free, so that few entries in the place of many leave the end empty, which is given back.
#[derive(Debug)]
pub(crate) struct Slab<T = Slot> {
    slots: Vec<Option<T>>,
    /// The lowest first. Those past the end, and those in use, are no longer meant.
    free: BinaryHeap<Reverse<u32>>,
}

const FEWEST: usize = 8;
/// Room for so many entries is not given back.
const KEPT: usize = 64;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: BinaryHeap::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// `None` for more entries than indices count.
    pub(crate) fn insert(&mut self, entry: T) -> Option<u32> {
        while let Some(Reverse(index)) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(index as usize).filter(|place| place.is_none()) {
                *place = Some(entry);
                return Some(index);
            }
        }
        let index = u32::try_from(self.slots.len() + 1).ok()?;
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(FEWEST.max(self.slots.len() / 8));
        }
        self.slots.push(Some(entry));
        Some(index - 1)
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let entry = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(Reverse(index));
        while self.slots.pop_if(|place| place.is_none()).is_some() {}
        if self.slots.capacity() > KEPT.max(4 * self.slots.len()) {
            self.slots.shrink_to(2 * self.slots.len());
            self.free.retain(|Reverse(index)| (*index as usize) < self.slots.len());
            self.free.shrink_to_fit();
        }
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests;
