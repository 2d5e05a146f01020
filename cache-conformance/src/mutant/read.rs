use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteRange, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Key, KeyView, Result,
    Store,
};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "answers_misses_with_errors",
        fault: "An absent blob is an error.",
        killed_by: &["miss_is_none", "absent_blob_name_is_none"],
        fresh: Reference::default,
        open: |reference, setup| twisted(AnswersMissesWithErrors(reference.store(setup)?)),
    },
    Mutant {
        id: "claims_shared_bytes",
        fault: "It declares shared bytes and copies them for every hit.",
        killed_by: &["hits_share_bytes_where_declared"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ClaimsSharedBytes(reference.store(setup)?)),
    },
    Mutant {
        id: "get_now_is_stale",
        fault: "`get_now` goes on to answer what it answered first.",
        killed_by: &["get_now_agrees_with_get", "put_is_visible"],
        fresh: Reference::default,
        open: |reference, setup| twisted(GetNowIsStale(reference.store(setup)?, Mutex::default())),
    },
    Mutant {
        id: "ranges_past_the_end_miss",
        fault: "A range that starts past the end is a miss.",
        killed_by: &["range_past_the_end_is_invalid"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RangesPastTheEndMiss(reference.store(setup)?)),
    },
    Mutant {
        id: "cuts_entries_by_a_range",
        fault: "`get_entry` hands out a range of each blob.",
        killed_by: &["get_entry_reads_all_blobs"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CutsEntriesByARange(reference.store(setup)?)),
    },
    Mutant {
        id: "drops_empty_blobs",
        fault: "A blob without bytes is a miss.",
        killed_by: &["empty_blob_round_trips"],
        fresh: Reference::default,
        open: |reference, setup| twisted(DropsEmptyBlobs(reference.store(setup)?)),
    },
    Mutant {
        id: "meta_forgets_places",
        fault: "`meta` does not tell where the entry is.",
        killed_by: &["meta_tells_sizes_and_times"],
        fresh: Reference::default,
        open: |reference, setup| twisted(MetaForgetsPlaces(reference.store(setup)?)),
    },
    Mutant {
        id: "ranges_are_not_clamped",
        fault: "A range that ends past the end is invalid.",
        killed_by: &["range_is_clamped_at_the_end"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RangesAreNotClamped(reference.store(setup)?)),
    },
    Mutant {
        id: "ranges_end_one_late",
        fault: "The end of a range counts as a part of it.",
        killed_by: &["range_is_a_slice"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RangesEndOneLate(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct AnswersMissesWithErrors(ReferenceStore);

#[async_trait]
impl Twist for AnswersMissesWithErrors {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.0.get(key, blob, options).await? {
            None => Err(Error::new(ErrorKind::NotFound, "mutant", "get")),
            found => Ok(found),
        }
    }
}

#[derive(Debug)]
struct ClaimsSharedBytes(ReferenceStore);

#[async_trait]
impl Twist for ClaimsSharedBytes {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options).await? else { return Ok(None) };
        let total = found.total_len();
        Ok(Some(Blob::part(total, Bytes::copy_from_slice(&found.collect(u64::MAX).await?))))
    }
}

#[derive(Debug)]
struct GetNowIsStale(ReferenceStore, Mutex<HashMap<(Key, BlobName), Bytes>>);

#[async_trait]
impl Twist for GetNowIsStale {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let found = self.0.get_now(key, blob)?;
        let mut seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        Some(seen.entry((key.to_key(), blob.clone())).or_insert(found).clone())
    }
}

#[derive(Debug)]
struct RangesPastTheEndMiss(ReferenceStore);

#[async_trait]
impl Twist for RangesPastTheEndMiss {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.0.get(key, blob, options).await {
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(None),
            found => found,
        }
    }
}

twist! { DropsEmptyBlobs {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        Ok(self.0.get(key, blob, options).await?.filter(|found| found.total_len() > 0))
    }
} }

twist! { MetaForgetsPlaces {
    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let mut meta = self.0.meta(key).await?;
        meta.iter_mut().for_each(|meta| meta.places.clear());
        Ok(meta)
    }
} }

twist! { RangesAreNotClamped {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let end = options.range.map_or(0, end_of);
        match self.0.get(key, blob, options).await? {
            Some(found) if end > found.total_len() => Err(Error::invalid("a range")),
            found => Ok(found),
        }
    }
} }

twist! { RangesEndOneLate {
    async fn get(&self, key: &Key, blob: &BlobName, mut options: GetOptions) -> Result<Option<Blob>> {
        if let Some(range) = options.range.and_then(|range| range.within(u64::MAX).ok()) {
            options.range = Some(ByteRange::new(range.start, Some(range.end.saturating_add(1)))?);
        }
        self.0.get(key, blob, options).await
    }
} }

/// Where a range ends; that of an open one is 0.
fn end_of(range: ByteRange) -> u64 {
    range.within(u64::MAX).map_or(0, |range| if range.end == u64::MAX { 0 } else { range.end })
}

twist! { CutsEntriesByARange {
    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let Some(mut read) = self.0.get_entry(key, options.clone()).await? else { return Ok(None) };
        for (name, blob) in &mut read.blobs {
            if let Some(part) = self.0.get(key, name, options.clone()).await? {
                *blob = part;
            }
        }
        Ok(Some(read))
    }
} }
