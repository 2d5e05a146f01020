//! The entries, the order in which they go and the one budget; all of it under the store's lock.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    time::SystemTime,
};

use bytes::Bytes;
use cache_core::{BlobMeta, BlobName, EntryMeta, Key, ListOptions, PutMode, Refusal};

use crate::{
    MemoryOptions,
    order::{Order, Standing},
};

/// Keys looked at under one hold of the lock while listing.
const PAGE: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Engine {
    entries: BTreeMap<Key, Slot>,
    order: Order,
    bytes: u64,
    /// Bytes of streams that are still coming in.
    reserved: u64,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
}

#[derive(Debug)]
struct Slot {
    blobs: BTreeMap<BlobName, Held>,
    bytes: u64,
    standing: Standing,
    last_accessed: SystemTime,
    access_count: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) created: SystemTime,
}

/// What left the engine. It is dropped outside of the lock: values may have owners that use the store.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The bytes of each entry that had to go.
    pub(crate) evicted: Vec<u64>,
    values: Vec<Held>,
}

impl Engine {
    pub(crate) fn new(options: &MemoryOptions) -> Self {
        Self {
            order: Order::new(options.policy),
            max_bytes: options.max_bytes,
            max_entries: options.max_entries,
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn clear(&mut self) -> Gone {
        let entries = std::mem::take(&mut self.entries);
        self.order.clear();
        self.bytes = 0;
        let values = entries.into_values().flat_map(|slot| slot.blobs.into_values()).collect();
        Gone { evicted: Vec::new(), values }
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// A blob, which counts as a use of its entry. The outer `None`: no such blob, and no use.
    pub(crate) fn get(&mut self, key: &Key, blob: &BlobName, now: SystemTime) -> Option<Bytes> {
        let bytes = self.entries.get(key)?.blobs.get(blob)?.bytes.clone();
        self.touch(key, now);
        Some(bytes)
    }

    /// All blobs, which counts as one use of the entry.
    pub(crate) fn get_entry(
        &mut self,
        key: &Key,
        now: SystemTime,
    ) -> Option<(EntryMeta, Vec<(BlobName, Bytes)>)> {
        self.touch(key, now);
        let slot = self.entries.get(key)?;
        let blobs = slot.blobs.iter().map(|(name, held)| (name.clone(), held.bytes.clone())).collect();
        Some((slot.meta(key), blobs))
    }

    pub(crate) fn meta(&self, key: &Key) -> Option<EntryMeta> {
        self.entries.get(key).map(|slot| slot.meta(key))
    }

    fn touch(&mut self, key: &Key, now: SystemTime) {
        let Some(slot) = self.entries.get_mut(key) else { return };
        self.order.touch(&mut slot.standing);
        slot.last_accessed = now;
        slot.access_count += 1;
    }

    /// Removes the entry; answers its bytes.
    pub(crate) fn remove(&mut self, key: &Key, gone: &mut Gone) -> Option<u64> {
        let slot = self.entries.remove(key)?;
        self.order.remove(&slot.standing);
        self.bytes -= slot.bytes;
        gone.values.extend(slot.blobs.into_values());
        Some(slot.bytes)
    }

    fn evict_next(&mut self, spared: &Key, gone: &mut Gone) -> bool {
        let Some(victim) = self.order.next(spared) else { return false };
        let bytes = self.remove(&victim, gone);
        gone.evicted.extend(bytes);
        true
    }

    fn room(&self) -> u64 {
        self.max_bytes.map_or(u64::MAX, |max| max.saturating_sub(self.bytes.saturating_add(self.reserved)))
    }

    /// Evicts until there is room for `bytes` more, but never the entry of `spared`. If that cannot be,
    /// nothing goes.
    fn make_room(&mut self, bytes: u64, spared: &Key, gone: &mut Gone) -> bool {
        let fixed = self.entries.get(spared).map_or(0, |slot| slot.bytes).saturating_add(self.reserved);
        if self.max_bytes.is_some_and(|max| max.saturating_sub(fixed) < bytes) {
            return false;
        }
        while self.room() < bytes {
            if !self.evict_next(spared, gone) {
                return false;
            }
        }
        true
    }

    /// Reserves bytes of a stream that comes in for `key`, whose older value stays: the stream may fail yet.
    pub(crate) fn reserve(&mut self, bytes: u64, key: &Key, gone: &mut Gone) -> bool {
        let granted = self.make_room(bytes, key, gone);
        if granted {
            self.reserved += bytes;
        }
        granted
    }

    pub(crate) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    /// Makes the blobs visible in one step, or refuses them; a refused value does not leave an older
    /// one behind, except that a fill never takes anything away.
    pub(crate) fn put(
        &mut self,
        key: &Key,
        new: Vec<(BlobName, Held)>,
        mode: PutMode,
        now: SystemTime,
        gone: &mut Gone,
    ) -> Result<(), Refusal> {
        let old = self.entries.get(key);
        let mut blobs = match (mode, old) {
            (PutMode::Replace, _) | (_, None) => BTreeMap::new(),
            (PutMode::Merge | PutMode::Fill, Some(old)) => old.blobs.clone(),
        };
        for (name, held) in new {
            match mode {
                PutMode::Fill if blobs.contains_key(&name) => gone.values.push(held),
                _ => gone.values.extend(blobs.insert(name, held)),
            }
        }
        let bytes: u64 = blobs.values().map(|held| held.bytes.len() as u64).sum();
        let (before, reads) = old.map_or((None, 0), |old| (Some(old.standing), old.access_count));
        let refusal = match self.max_bytes {
            Some(0) => Some(Refusal::Disabled),
            Some(max) if bytes > max => Some(Refusal::OverBudget),
            // What is reserved cannot be evicted.
            Some(max) if bytes > max.saturating_sub(self.reserved) => Some(Refusal::NoRoom),
            _ => None,
        };
        if refusal.is_none() || mode != PutMode::Fill {
            self.remove(key, gone);
        }
        if let Some(refusal) = refusal {
            gone.values.extend(blobs.into_values());
            return Err(refusal);
        }
        self.make_room(bytes, key, gone);
        while self.max_entries.is_some_and(|max| self.len() >= max) && self.evict_next(key, gone) {}
        let standing = self.order.insert(key.clone(), before);
        let slot = Slot { blobs, bytes, standing, last_accessed: now, access_count: reads };
        self.entries.insert(key.clone(), slot);
        self.bytes += bytes;
        Ok(())
    }

    /// The next entries after `after`, and where to go on; looks at a bounded number of keys.
    pub(crate) fn page(
        &self,
        options: &ListOptions,
        after: Option<&Key>,
    ) -> (VecDeque<EntryMeta>, Option<Key>) {
        let first = options.first();
        let from = after.map_or(Bound::Included(&first), Bound::Excluded);
        let mut found = VecDeque::new();
        let mut looked_at = 0;
        for (key, slot) in self.entries.range::<Key, _>((from, Bound::Unbounded)) {
            if options.ends_before(key) {
                return (found, None);
            }
            if options.admits(key) {
                found.push_back(slot.meta(key));
            }
            looked_at += 1;
            if looked_at == PAGE || options.limit.is_some_and(|limit| found.len() >= limit) {
                return (found, Some(key.clone()));
            }
        }
        (found, None)
    }

    /// What is known of every entry of a scope.
    pub(crate) fn scope(&self, options: &ListOptions) -> Vec<EntryMeta> {
        self.entries.iter().filter(|(key, _)| options.admits(key)).map(|(key, slot)| slot.meta(key)).collect()
    }
}

impl Slot {
    fn meta(&self, key: &Key) -> EntryMeta {
        let blobs = self
            .blobs
            .iter()
            .map(|(name, held)| BlobMeta::new(name.clone(), held.bytes.len() as u64, Some(held.created)))
            .collect();
        let mut meta = EntryMeta::new(key.clone(), self.bytes).with_blobs(blobs);
        meta.last_accessed = Some(self.last_accessed);
        meta.access_count = Some(self.access_count);
        meta.with_place("memory", "")
    }
}

#[cfg(test)]
mod tests;
