//! An entry as it stands in memory: two cache lines, and a hit on the blob `data` needs nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use bytes::Bytes;
use cache_core::{Blob, BlobMeta, BlobName, Digest, EntryMeta, EntryRead, Key, KeyView, PutMode};

use crate::{account::Size, clock, space::Space};

/// A blob, and when it was made.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) created: SystemTime,
}

/// All blobs of an entry; most entries have the one named `data`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blobs {
    data: Option<Held>,
    /// In the order of their names.
    more: Vec<(BlobName, Held)>,
}

impl Blobs {
    /// Adds a blob, or takes its place.
    pub(crate) fn insert(&mut self, name: BlobName, held: Held) {
        // The first clone of bytes allocates what the clones share: not in a hit.
        drop(held.bytes.clone());
        if name == BlobName::DATA {
            self.data = Some(held);
            return;
        }
        match self.more.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(at) => {
                if let Some(place) = self.more.get_mut(at) {
                    place.1 = held;
                }
            }
            Err(at) => self.more.insert(at, (name, held)),
        }
    }

    /// What an entry of these blobs is after a put of new ones; `None` for a fill that adds nothing.
    pub(crate) fn after(mut self, mode: PutMode, new: &Self) -> Option<Self> {
        let mut changed = false;
        match mode {
            PutMode::Replace => return Some(new.clone()),
            PutMode::Merge | PutMode::Fill => {
                for (name, held) in new.iter() {
                    if mode == PutMode::Merge || self.get(&name).is_none() {
                        changed = true;
                        self.insert(name, held.clone());
                    }
                }
            }
        }
        changed.then_some(self)
    }

    fn get(&self, name: &BlobName) -> Option<&Held> {
        if *name == BlobName::DATA {
            return self.data.as_ref();
        }
        let at = self.more.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
        self.more.get(at).map(|(_, held)| held)
    }

    /// In the order of the names.
    fn iter(&self) -> impl Iterator<Item = (BlobName, &Held)> {
        let before = self.more.partition_point(|(name, _)| *name < BlobName::DATA);
        let (first, rest) = self.more.split_at_checked(before).unwrap_or_default();
        let data = self.data.iter().map(|held| (BlobName::DATA, held));
        first
            .iter()
            .map(|(name, held)| (name.clone(), held))
            .chain(data)
            .chain(rest.iter().map(|(name, held)| (name.clone(), held)))
    }

    /// What an entry of these blobs takes.
    pub(crate) fn size(&self) -> Size {
        let more: u64 = self.more.iter().map(|(_, held)| held.bytes.len() as u64).sum();
        let bytes = self.data.as_ref().map_or(0, |held| held.bytes.len() as u64) + more;
        Size::of(bytes, self.more.len() as u64)
    }
}

/// An entry.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Slot {
    digest: Digest,
    data: Option<Bytes>,
    created: SystemTime,
    space: Arc<Space>,
    more: Option<Box<More>>,
    /// In nanoseconds since 1970.
    accessed: AtomicU64,
    reads: AtomicU64,
    /// No other entry that this shard has or had under this index has it.
    version: u64,
    /// How often it was used since its place in the order was last looked at, up to a few times.
    uses: AtomicU8,
    /// It is being handed on, and is in no order.
    pub(crate) leaving: bool,
}

#[derive(Debug)]
struct More(Vec<(BlobName, Held)>);

impl Slot {
    pub(crate) fn new(
        key: KeyView<'_>,
        space: Arc<Space>,
        blobs: Blobs,
        version: u64,
        now: SystemTime,
    ) -> Self {
        let created = blobs.data.as_ref().map_or(SystemTime::UNIX_EPOCH, |held| held.created);
        Self {
            digest: *key.digest,
            data: blobs.data.map(|held| held.bytes),
            created,
            space,
            more: (!blobs.more.is_empty()).then(|| Box::new(More(blobs.more))),
            accessed: AtomicU64::new(clock::nanos(now)),
            reads: AtomicU64::new(0),
            version,
            uses: AtomicU8::new(0),
            leaving: false,
        }
    }

    /// Takes over what is counted of the entry that it replaces; a put over an entry is a use of it.
    pub(crate) fn follow(&mut self, old: &Self) {
        *self.reads.get_mut() = old.reads.load(Relaxed);
        // A put that took its time began before what was read meanwhile.
        let accessed = self.accessed.get_mut();
        *accessed = old.accessed.load(Relaxed).max(*accessed);
        *self.uses.get_mut() = old.uses.load(Relaxed).saturating_add(1);
    }

    /// The uses since the last look.
    pub(crate) fn take_uses(&mut self) -> u8 {
        std::mem::take(self.uses.get_mut())
    }

    #[inline]
    pub(crate) fn is(&self, key: KeyView<'_>) -> bool {
        self.digest == *key.digest && self.space.namespace == *key.namespace
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(crate) fn space(&self) -> &Arc<Space> {
        &self.space
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn view(&self) -> KeyView<'_> {
        KeyView { namespace: &self.space.namespace, digest: &self.digest }
    }

    pub(crate) fn key(&self) -> Key {
        self.view().to_key()
    }

    #[inline]
    pub(crate) fn blob(&self, name: &BlobName) -> Option<&Bytes> {
        if *name == BlobName::DATA {
            return self.data.as_ref();
        }
        let more = &self.more.as_ref()?.0;
        let at = more.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
        more.get(at).map(|(_, held)| &held.bytes)
    }

    /// Counts a read by whoever has the shard alone.
    #[inline]
    pub(crate) fn read_alone(&mut self, now: u64) {
        *self.reads.get_mut() += 1;
        let accessed = self.accessed.get_mut();
        *accessed = now.max(*accessed);
        let uses = self.uses.get_mut();
        *uses = uses.saturating_add(1);
    }

    /// Counts a read by one of several.
    #[inline]
    pub(crate) fn read_beside(&self, now: u64) {
        self.reads.fetch_add(1, Relaxed);
        if self.accessed.load(Relaxed) < now {
            self.accessed.fetch_max(now, Relaxed);
        }
        let uses = self.uses.load(Relaxed);
        if uses < u8::MAX {
            // A use that is lost among several at once makes no difference.
            self.uses.store(uses + 1, Relaxed);
        }
    }

    pub(crate) fn blobs(&self) -> Blobs {
        let data = self.data.as_ref().map(|bytes| Held { bytes: bytes.clone(), created: self.created });
        Blobs { data, more: self.more.as_ref().map(|more| more.0.clone()).unwrap_or_default() }
    }

    pub(crate) fn size(&self) -> Size {
        let data = self.data.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let more = self.more.iter().flat_map(|more| &more.0);
        let (bytes, count) =
            more.fold((data, 0), |(bytes, count), (_, held)| (bytes + held.bytes.len() as u64, count + 1));
        Size::of(bytes, count)
    }

    pub(crate) fn meta(&self) -> EntryMeta {
        let blobs = self.blobs();
        let metas =
            blobs.iter().map(|(name, held)| BlobMeta::new(name, held.bytes.len() as u64, Some(held.created)));
        let mut meta = EntryMeta::new(self.key(), self.size().bytes).with_blobs(metas.collect());
        meta.last_accessed = Some(clock::time(self.accessed.load(Relaxed)));
        meta.access_count = Some(self.reads.load(Relaxed));
        meta.with_place("memory", "")
    }

    /// All of the entry, as a read answers it.
    pub(crate) fn read(&self) -> EntryRead {
        let blobs = self.blobs();
        let blobs = blobs.iter().map(|(name, held)| (name, Blob::from_bytes(held.bytes.clone()))).collect();
        EntryRead::new(self.meta(), blobs)
    }

    /// Whether the entry was neither written nor read since it was looked at.
    pub(crate) fn is_as(&self, seen: &EntryMeta) -> bool {
        let now = self.meta();
        (now.modified, now.last_accessed, now.access_count)
            == (seen.modified, seen.last_accessed, seen.access_count)
    }
}

#[cfg(test)]
mod tests;
