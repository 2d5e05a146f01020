use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, EntryRead, GetOptions, Key, PutEntry, PutOptions, PutOutcome, Result, Store,
    collect_capped,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "collects_before_it_stores",
        fault: "It collects what streams in, and then stores a copy.",
        killed_by: &["streamed_put_takes_what_it_keeps"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CollectsBeforeItStores(reference.store(setup)?)),
    },
    Mutant {
        id: "streams_from_a_copy",
        fault: "It has a copy of the whole in memory when it streams.",
        killed_by: &["streamed_get_takes_some_pieces", "streamed_entry_takes_some_pieces"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsFromACopy(reference.store(setup)?)),
    },
    Mutant {
        id: "keeps_what_has_ended",
        fault: "It never lets go of the pieces of a stream that was not stored.",
        killed_by: &["ended_streams_leave_no_memory"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(KeepsWhatHasEnded { store: reference.store(setup)?, pieces: Arc::default() })
        },
    },
];

#[derive(Debug)]
struct CollectsBeforeItStores(ReferenceStore);

#[async_trait]
impl Twist for CollectsBeforeItStores {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut collected = PutEntry::default();
        for (name, blob) in entry.into_blobs() {
            let bytes = collect_capped(blob.into_checked_stream(&name, None), u64::MAX).await?;
            collected = collected.with(name, bytes);
        }
        self.0.put(key, collected, options).await
    }
}

#[derive(Debug)]
struct StreamsFromACopy(ReferenceStore);

impl StreamsFromACopy {
    async fn copied(blob: Blob) -> Result<Blob> {
        let (len, total) = (blob.len(), blob.total_len());
        if blob.bytes().is_some() {
            return Ok(blob);
        }
        let whole = blob.collect(u64::MAX).await?;
        Ok(Blob::from_stream(len, total, stream::iter([Ok(whole)]).boxed()))
    }
}

#[async_trait]
impl Twist for StreamsFromACopy {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.0.get(key, blob, options).await? {
            Some(blob) => Self::copied(blob).await.map(Some),
            None => Ok(None),
        }
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let Some(mut read) = self.0.get_entry(key, options).await? else { return Ok(None) };
        for (name, blob) in std::mem::take(&mut read.blobs) {
            read.blobs.push((name, Self::copied(blob).await?));
        }
        Ok(Some(read))
    }
}

#[derive(Debug)]
struct KeepsWhatHasEnded {
    store: ReferenceStore,
    pieces: Arc<Mutex<Vec<Bytes>>>,
}

#[async_trait]
impl Twist for KeepsWhatHasEnded {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut watched = PutEntry::default();
        for (name, blob) in entry.into_blobs() {
            let pieces = Arc::clone(&self.pieces);
            let stream = blob.into_checked_stream(&name, None);
            let stream = stream
                .inspect_ok(move |piece| {
                    pieces.lock().unwrap_or_else(PoisonError::into_inner).push(piece.clone());
                })
                .boxed();
            watched = watched.with_stream(name, None, stream);
        }
        let outcome = self.store.put(key, watched, options).await?;
        if outcome.is_stored() {
            self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(outcome)
    }
}
