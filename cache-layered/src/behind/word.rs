//! What is to become of a key: an entry, or nothing.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cache_core::{
    Blob, BlobMeta, BlobName, EntryMeta, EntryRead, GetOptions, Key, PutEntry, Result, StoreInfo, slice_range,
};

/// What a word takes beside its bytes and names.
const FIXED_COST: u64 = 256;

#[derive(Clone, Debug)]
pub(super) struct Word {
    /// Words are numbered in the order in which they came.
    pub(super) number: u64,
    pub(super) what: What,
    pub(super) cost: u64,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Put(Arc<Held>),
    Evict,
}

/// An entry in hand.
#[derive(Debug)]
pub(super) struct Held {
    blobs: BTreeMap<BlobName, Bytes>,
    pub(super) created: SystemTime,
    accepted: SystemTime,
}

impl What {
    /// The memory that it takes.
    pub(super) fn cost(&self, key: &Key) -> u64 {
        let blobs = match self {
            Self::Put(held) => held.cost(),
            Self::Evict => 0,
        };
        let key = key.namespace.encoded().len() as u64;
        FIXED_COST.saturating_add(key).saturating_add(blobs)
    }
}

impl Held {
    pub(super) fn new(
        blobs: impl IntoIterator<Item = (BlobName, Bytes)>,
        created: Option<SystemTime>,
        now: SystemTime,
    ) -> Self {
        // Fixed here, so that it is the same before and after it is written.
        Self { blobs: blobs.into_iter().collect(), created: created.unwrap_or(now), accepted: now }
    }

    fn cost(&self) -> u64 {
        let blobs = self.blobs.iter().map(|(name, bytes)| (name.as_str().len() + bytes.len()) as u64);
        blobs.fold(0, u64::saturating_add)
    }

    /// What the tier is to write.
    pub(super) fn entry(&self) -> PutEntry {
        let blobs = self.blobs.iter();
        blobs.fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name.clone(), bytes.clone()))
    }

    /// One blob, or a range of it. It is in hand whatever its size: no stream would take less memory.
    pub(super) fn blob(
        &self,
        info: &StoreInfo,
        name: &BlobName,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        self.blobs.get(name).map(|whole| hand_out(info, whole, options)).transpose()
    }

    pub(super) fn read(&self, info: &StoreInfo, key: &Key, options: &GetOptions) -> Result<EntryRead> {
        let blobs =
            self.blobs.iter().map(|(name, whole)| Ok((name.clone(), hand_out(info, whole, options)?)));
        Ok(EntryRead::new(self.meta(info, key), blobs.collect::<Result<_>>()?))
    }

    pub(super) fn meta(&self, info: &StoreInfo, key: &Key) -> EntryMeta {
        let blobs: Vec<_> = self
            .blobs
            .iter()
            .map(|(name, bytes)| BlobMeta::new(name.clone(), bytes.len() as u64, Some(self.created)))
            .collect();
        let stored = blobs.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add);
        let mut meta = EntryMeta::new(key.clone(), stored).with_blobs(blobs);
        meta.last_accessed = info.powers.recency.then_some(self.accepted);
        meta.with_place(info.kind.clone(), "")
    }

    /// What a listing tells of it.
    pub(super) fn listed(&self, info: &StoreInfo, key: &Key) -> EntryMeta {
        let mut meta = self.meta(info, key);
        if !info.powers.dated {
            meta.modified = Some(self.accepted);
        }
        meta
    }
}

fn hand_out(info: &StoreInfo, whole: &Bytes, options: &GetOptions) -> Result<Blob> {
    let part = slice_range(whole, options.range)?;
    // As the tier would: nobody is to tell by a hit whether it waits.
    let part = if info.powers.shared_bytes { part } else { Bytes::copy_from_slice(&part) };
    Ok(Blob::part(whole.len() as u64, part))
}
