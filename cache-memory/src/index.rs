//! The entries of a shard in their order, for listings.

use std::{collections::BTreeMap, ops::Bound};

use cache_core::Digest;

use crate::slab::Slab;

/// Made when the shard is first listed: a store that never is has no use for it.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeMap<(u64, Digest), u32>);

impl Index {
    pub(crate) fn of(slab: &Slab) -> Self {
        Self(slab.iter().map(|(index, slot)| ((slot.space().id, *slot.digest()), index)).collect())
    }

    pub(crate) fn insert(&mut self, space: u64, digest: Digest, index: u32) {
        self.0.insert((space, digest), index);
    }

    pub(crate) fn remove(&mut self, space: u64, digest: Digest) {
        self.0.remove(&(space, digest));
    }

    /// The entries of a namespace from a digest on, or after it.
    pub(crate) fn from(&self, space: u64, start: Bound<Digest>) -> impl Iterator<Item = u32> {
        let end = Bound::Included((space, Digest::from_bytes([0xff; 32])));
        let start = start.map(|digest| (space, digest));
        // A range that begins after its end is refused by the map.
        let empty = matches!(start, Bound::Excluded((_, digest)) if digest.as_bytes() == &[0xff; 32]);
        let range = (!empty).then(|| self.0.range((start, end)));
        range.into_iter().flatten().map(|(_, index)| *index)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
