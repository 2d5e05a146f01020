//! The entries, their order of use and the one budget; all of it under the store's lock.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    time::SystemTime,
};

use bytes::Bytes;
use cache_core::{BlobMeta, BlobName, Digest, EntryMeta, Key, ListOptions, Place, PutMode, Refusal};

/// Keys looked at under one hold of the lock while listing.
const PAGE: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Engine {
    entries: BTreeMap<Key, Slot>,
    /// Keys by their last use, oldest first.
    recency: BTreeMap<u64, Key>,
    tick: u64,
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
    tick: u64,
    last_accessed: SystemTime,
    access_count: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) created: SystemTime,
}

/// The bytes of each entry that had to go.
pub(crate) type Evicted = Vec<u64>;

impl Engine {
    pub(crate) fn new(max_bytes: Option<u64>, max_entries: Option<u64>) -> Self {
        Self { max_bytes, max_entries, ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.recency.clear();
        self.bytes = 0;
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
        let Some(shared_key) = self.recency.remove(&slot.tick) else { return };
        self.tick += 1;
        slot.tick = self.tick;
        slot.last_accessed = now;
        slot.access_count += 1;
        self.recency.insert(self.tick, shared_key);
    }

    /// Removes the entry; answers its bytes.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<u64> {
        let slot = self.entries.remove(key)?;
        self.recency.remove(&slot.tick);
        self.bytes -= slot.bytes;
        Some(slot.bytes)
    }

    fn room(&self) -> u64 {
        self.max_bytes.map_or(u64::MAX, |max| max.saturating_sub(self.bytes.saturating_add(self.reserved)))
    }

    /// Evicts until there is room for `bytes` more, but never the entry of `spared`. If that cannot be,
    /// nothing goes.
    fn make_room(&mut self, bytes: u64, spared: &Key, evicted: &mut Evicted) -> bool {
        let fixed = self.entries.get(spared).map_or(0, |slot| slot.bytes).saturating_add(self.reserved);
        if self.max_bytes.is_some_and(|max| max.saturating_sub(fixed) < bytes) {
            return false;
        }
        while self.room() < bytes {
            let Some(victim) = self.recency.values().find(|key| *key != spared).cloned() else {
                return false;
            };
            evicted.extend(self.remove(&victim));
        }
        true
    }

    /// Reserves bytes of a stream that comes in for `key`, whose older value stays: the stream may fail yet.
    pub(crate) fn reserve(&mut self, bytes: u64, key: &Key, evicted: &mut Evicted) -> bool {
        let granted = self.make_room(bytes, key, evicted);
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
        evicted: &mut Evicted,
    ) -> Result<(), Refusal> {
        let old = self.entries.get(key);
        let mut blobs = match (mode, old) {
            (PutMode::Replace, _) | (_, None) => BTreeMap::new(),
            (PutMode::Merge | PutMode::Fill, Some(old)) => old.blobs.clone(),
        };
        for (name, held) in new {
            match mode {
                PutMode::Fill => _ = blobs.entry(name).or_insert(held),
                PutMode::Replace | PutMode::Merge => _ = blobs.insert(name, held),
            }
        }
        let bytes: u64 = blobs.values().map(|held| held.bytes.len() as u64).sum();
        let uses = old.map_or(0, |old| old.access_count);
        let refusal = match self.max_bytes {
            Some(0) => Some(Refusal::Disabled),
            Some(max) if bytes > max => Some(Refusal::OverBudget),
            // What is reserved cannot be evicted.
            Some(max) if bytes > max.saturating_sub(self.reserved) => Some(Refusal::NoRoom),
            _ => None,
        };
        if refusal.is_none() || mode != PutMode::Fill {
            self.remove(key);
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.make_room(bytes, key, evicted);
        while self.max_entries.is_some_and(|max| self.len() >= max) {
            let Some(victim) = self.recency.values().next().cloned() else { break };
            evicted.extend(self.remove(&victim));
        }
        self.tick += 1;
        let slot = Slot { blobs, bytes, tick: self.tick, last_accessed: now, access_count: uses };
        self.recency.insert(self.tick, key.clone());
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
        let lowest = options.prefix.map_or(Digest::from_bytes([0; 32]), |prefix| prefix.first());
        let start = Key::new(options.namespace.clone(), lowest);
        let from = match after.max(options.start_after.as_ref()) {
            Some(after) if *after >= start => Bound::Excluded(after),
            _ => Bound::Included(&start),
        };
        let mut found = VecDeque::new();
        let mut looked_at = 0;
        for (key, slot) in self.entries.range::<Key, _>((from, Bound::Unbounded)) {
            let past = if options.recursive {
                !key.namespace.encoded().starts_with(options.namespace.encoded())
            } else {
                key.namespace != options.namespace
                    || options.prefix.is_some_and(|prefix| key.digest > prefix.last())
            };
            if past {
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
        meta.places = vec![Place::new("memory", "")];
        meta
    }
}

#[cfg(test)]
mod tests;
