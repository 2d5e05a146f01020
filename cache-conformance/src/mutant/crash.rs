use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    BlobName, EntryMeta, EntryRead, FlushReport, GetOptions, Key, KeyManagement, ListOptions, PutBlob,
    PutEntry, PutOptions, PutOutcome, Result, Store,
};
use futures::{StreamExt, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "flushes_nothing",
        fault: "It reports what is written as durable, and does nothing for it.",
        killed_by: &["flushed_entries_survive_a_kill", "flush_after_a_dropped_one_survives_a_kill"],
        fresh: Reference::default,
        open: |reference, setup| twisted(FlushesNothing(reference.store(setup)?)),
    },
    Mutant {
        id: "evictions_are_never_durable",
        fault: "What was evicted is there again after a kill, whether or not it was flushed.",
        killed_by: &["flushed_entries_survive_a_kill"],
        fresh: Reference::default,
        open: |reference, setup| {
            let evicted = Mutex::default();
            twisted(EvictionsAreNeverDurable { store: reference.store(setup)?, evicted })
        },
    },
    Mutant {
        id: "persists_the_first_blob_at_once",
        fault: "The first blob of a put is durable before the others are.",
        killed_by: &["kill_without_flush_leaves_whole_entries"],
        fresh: Reference::default,
        open: |reference, setup| twisted(PersistsTheFirstBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "persists_blob_by_blob",
        fault: "A put makes one blob durable after the other.",
        killed_by: &["kill_during_puts_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(PersistsBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "counts_what_a_kill_left",
        fault: "What a put prepares is an entry that only listings hide, and nobody sweeps it.",
        killed_by: &["killed_store_counts_truly_and_works_on"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CountsWhatAKillLeft(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct FlushesNothing(ReferenceStore);

#[async_trait]
impl Twist for FlushesNothing {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn flush(&self) -> Result<FlushReport> {
        Ok(FlushReport::durable(0))
    }
}

#[derive(Debug)]
struct EvictionsAreNeverDurable {
    store: ReferenceStore,
    evicted: Mutex<Vec<EntryRead>>,
}

impl EvictionsAreNeverDurable {
    fn evicted(&self) -> Vec<EntryRead> {
        std::mem::take(&mut self.evicted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Twist for EvictionsAreNeverDurable {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let read = self.store.get_entry(key, GetOptions::default()).await?;
        self.evicted.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
        self.store.evict(key).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        let mut back = Vec::new();
        for read in self.evicted() {
            let key = read.meta.key;
            if !self.store.contains(&key).await? {
                let blobs =
                    read.blobs.into_iter().filter_map(|(name, blob)| Some((name, blob.bytes()?.clone())));
                let entry = blobs.fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes));
                self.store.put(&key, entry, PutOptions::default()).await?;
                back.push(key);
            }
        }
        let flushed = self.store.flush().await;
        for key in back {
            self.store.evict(&key).await?;
        }
        flushed
    }
}

/// The first blob of an entry, and the whole, of blobs in hand.
fn halves(entry: &PutEntry) -> Option<(PutEntry, PutEntry)> {
    let whole = entry.blobs().iter().map(|(name, blob)| match blob {
        PutBlob::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        PutBlob::Stream { .. } => None,
    });
    let whole: Vec<_> = whole.collect::<Option<_>>()?;
    let put = |blobs: &[(BlobName, Bytes)]| {
        let blobs = blobs.iter().cloned();
        blobs.fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes))
    };
    Some((put(whole.get(..1)?), put(&whole)))
}

#[derive(Debug)]
struct PersistsTheFirstBlob(ReferenceStore);

#[async_trait]
impl Twist for PersistsTheFirstBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if let Some((first, _)) = halves(&entry) {
            self.0.put(key, first, options.clone()).await?;
            self.0.flush().await?;
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct PersistsBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for PersistsBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if let Some((first, _)) = halves(&entry) {
            self.0.put(key, first, options.clone()).await?;
            self.0.flush().await?;
            tokio::task::yield_now().await;
        }
        let outcome = self.0.put(key, entry, options).await?;
        self.0.flush().await?;
        Ok(outcome)
    }
}

/// Where the mutant prepares what it puts.
const TEMPORARY: &str = "temporary";

#[derive(Debug)]
struct CountsWhatAKillLeft(ReferenceStore);

#[async_trait]
impl Twist for CountsWhatAKillLeft {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let hidden = |entry: &Result<EntryMeta>| {
            entry.as_ref().is_ok_and(|entry| entry.key.namespace.encoded().contains(TEMPORARY))
        };
        self.0.list(options).filter(move |entry| std::future::ready(!hidden(entry))).boxed()
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let temporary = Key::new(key.namespace.child(TEMPORARY)?, key.digest);
        self.0.put(&temporary, PutEntry::data("under way"), PutOptions::default()).await?;
        self.0.flush().await?;
        let outcome = self.0.put(key, entry, options).await;
        self.0.evict(&temporary).await?;
        outcome
    }
}
