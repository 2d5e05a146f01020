//! One part of the entries: those whose digests begin alike.

use std::{
    ops::Bound,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use cache_core::{BlobName, Digest, KeyView};

use crate::{
    eviction::{Clock, Order, Ranked},
    index::Index,
    slab::Slab,
    slot::Slot,
    table::Table,
};

#[derive(Debug)]
pub(crate) struct Shard {
    table: Table,
    slab: Slab,
    order: Order,
    index: Option<Index>,
    hits: AtomicU64,
    bytes_out: AtomicU64,
    versions: u64,
}

/// A read: whose, of what and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) key: KeyView<'a>,
    pub(crate) hash: u64,
    /// In nanoseconds since 1970.
    pub(crate) now: u64,
    pub(crate) clock: &'a Clock,
}

/// A write: of what, and what the order goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) hash: u64,
    pub(crate) clock: &'a Clock,
    /// Entries of all shards.
    pub(crate) held: u64,
    /// Their bytes.
    pub(crate) held_bytes: u64,
}

impl Write<'_> {
    /// How many times larger an entry is than the mean of all.
    fn weight(&self, slot: &Slot) -> u64 {
        slot.size().bytes.saturating_mul(self.held).div_ceil(self.held_bytes.max(1)).max(1)
    }
}

impl Shard {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            table: Table::default(),
            slab: Slab::default(),
            order,
            index: None,
            hits: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            versions: 0,
        }
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, key: KeyView<'_>) -> Option<u32> {
        self.table.find(hash, |index| self.slab.get(index).is_some_and(|slot| slot.is(key)))
    }

    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        self.slab.get(index)
    }

    pub(crate) fn get(&self, hash: u64, key: KeyView<'_>) -> Option<&Slot> {
        self.slab.get(self.find(hash, key)?)
    }

    /// Reads a blob as the only one in the shard; its bytes are counted as those of a hit if `COUNTED`.
    #[inline]
    pub(crate) fn read_alone<const COUNTED: bool>(
        &mut self,
        read: Read<'_>,
        blob: &BlobName,
    ) -> Option<&Bytes> {
        let index = self.find(read.hash, read.key)?;
        let slot = self.slab.get_mut(index)?;
        let bytes = slot.blob(blob)?.len() as u64;
        slot.read_alone(read.now);
        if COUNTED {
            *self.hits.get_mut() += 1;
            *self.bytes_out.get_mut() += bytes;
        }
        self.order.touch(index, read.clock);
        slot.blob(blob)
    }

    /// Reads a blob as one of several.
    #[inline]
    pub(crate) fn read_beside(&self, read: Read<'_>, blob: &BlobName) -> Option<&Bytes> {
        let slot = self.get(read.hash, read.key)?;
        let bytes = slot.blob(blob)?;
        slot.read_beside(read.now);
        self.hits.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes.len() as u64, Relaxed);
        Some(bytes)
    }

    /// Reads an entry as the only one in the shard.
    pub(crate) fn read_entry(&mut self, read: Read<'_>) -> Option<&Slot> {
        let index = self.find(read.hash, read.key)?;
        self.order.touch(index, read.clock);
        let slot = self.slab.get_mut(index)?;
        slot.read_alone(read.now);
        Some(slot)
    }

    /// Hits that were counted here, and their bytes.
    pub(crate) fn hits_so_far(&self) -> (u64, u64) {
        (self.hits.load(Relaxed), self.bytes_out.load(Relaxed))
    }

    pub(crate) fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// Puts an entry in its place, or in that of the older one at `old`, which it answers.
    pub(crate) fn insert(&mut self, write: Write<'_>, old: Option<u32>, mut slot: Slot) -> Option<Slot> {
        let weight = write.weight(&slot);
        if let Some(index) = old
            && let Some(place) = self.slab.get_mut(index)
        {
            slot.follow(place);
            let old = std::mem::replace(place, slot);
            if old.leaving {
                self.order.insert(index, write.hash, weight, write.clock, write.held);
            } else {
                self.order.touch(index, write.clock);
            }
            return Some(old);
        }
        let (space, digest) = (slot.space().id, *slot.digest());
        // Four billion entries of one shard do not fit into any memory.
        let index = self.slab.insert(slot)?;
        self.table.insert(write.hash, index);
        self.order.insert(index, write.hash, weight, write.clock, write.held);
        if let Some(ordered) = &mut self.index {
            ordered.insert(space, digest, index);
        }
        None
    }

    pub(crate) fn remove(&mut self, hash: u64, index: u32) -> Option<Slot> {
        self.order.remove(index);
        self.take(hash, index)
    }

    /// Removes an entry because of a limit.
    pub(crate) fn evict(&mut self, write: Write<'_>, index: u32) -> Option<Slot> {
        let uses = self.slab.get_mut(index)?.take_uses();
        self.order.evicted(index, write.hash, uses, write.clock, write.held);
        self.take(write.hash, index)
    }

    fn take(&mut self, hash: u64, index: u32) -> Option<Slot> {
        let slot = self.slab.remove(index)?;
        self.table.remove(hash, index);
        if let Some(ordered) = &mut self.index {
            ordered.remove(slot.space().id, *slot.digest());
        }
        Some(slot)
    }

    /// Empties the shard; what it has counted stays.
    pub(crate) fn clear(&mut self, order: Order) -> Slab {
        self.table = Table::default();
        self.order = order;
        self.index = None;
        std::mem::take(&mut self.slab)
    }

    /// What the entry that goes next is worth, compared with those of other shards; more than it says if it
    /// was read since. The largest number if there is none.
    pub(crate) fn rank(&self) -> u64 {
        self.order.rank()
    }

    /// The entry to go next, other than `spared`, and its rank now.
    pub(crate) fn next_victim(&mut self, spared: Option<u32>, clock: &Clock, held: u64) -> Option<Ranked> {
        let slab = &mut self.slab;
        self.order.victim(spared, clock, held, |index| slab.get_mut(index).map_or(0, Slot::take_uses))
    }

    /// Marks an entry as being handed on: it is nobody else's victim.
    pub(crate) fn leave(&mut self, index: u32) {
        if let Some(slot) = self.slab.get_mut(index) {
            slot.leaving = true;
            self.order.remove(index);
        }
    }

    /// Takes the mark off again.
    pub(crate) fn stay(&mut self, write: Write<'_>, index: u32) {
        if let Some(slot) = self.slab.get_mut(index) {
            slot.leaving = false;
            let weight = write.weight(slot);
            self.order.insert(index, write.hash, weight, write.clock, write.held);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slab.iter().map(|(_, slot)| slot)
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    pub(crate) fn make_index(&mut self) {
        self.index.get_or_insert_with(|| Index::of(&self.slab));
    }

    /// The entries of a namespace in the order of their digests, from one on or after it. The shard is
    /// indexed.
    pub(crate) fn ordered(&self, space: u64, start: Bound<Digest>) -> impl Iterator<Item = &Slot> {
        let found = self.index.iter().flat_map(move |index| index.from(space, start));
        found.filter_map(|index| self.slab.get(index))
    }
}

#[cfg(test)]
impl Shard {
    /// Every entry is where it is looked for, once.
    pub(crate) fn check(&self) {
        let indexed = self.index.as_ref().map(Index::len);
        assert!(indexed.is_none_or(|len| len == self.slab.iter().count()), "the index has others");
        assert_eq!(self.table.len(), self.slab.iter().count());
    }
}

/// Where a shard stands among the others, by the first bits of a digest.
#[inline]
pub(crate) fn shard_of(digest: &Digest, bits: u32) -> usize {
    let [first, second, ..] = digest.as_bytes();
    usize::from(u16::from_be_bytes([*first, *second]) >> (u16::BITS - bits))
}
