use async_trait::async_trait;
use cache_core::{GetOptions, Key, KeyManagement, PutEntry, PutMode, PutOptions, PutOutcome, Result, Store};
use futures::StreamExt;

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "keeps_what_a_broken_stream_gave",
        fault: "A stream that breaks off is stored as far as it went.",
        killed_by: &[
            "streamed_put_that_fails_changes_nothing",
            "streamed_put_of_a_wrong_length_changes_nothing",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(KeepsWhatABrokenStreamGave(reference.store(setup)?)),
    },
    Mutant {
        id: "loses_concurrent_merges",
        fault: "A merge reads, waits, and writes what it has read.",
        killed_by: &["concurrent_merges_lose_no_blob"],
        fresh: Reference::default,
        open: |reference, setup| twisted(LosesConcurrentMerges(reference.store(setup)?)),
    },
    Mutant {
        id: "drops_what_a_dropped_put_was_to_replace",
        fault: "A put removes the old entry, waits, and writes the new one, if it comes to that.",
        killed_by: &["dropped_put_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(DropsWhatADroppedPutWasToReplace(reference.store(setup)?)),
    },
    Mutant {
        id: "publishes_blob_by_blob",
        fault: "The blobs of one put appear one after the other.",
        killed_by: &["concurrent_puts_leave_one_whole_entry", "dropped_put_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(PublishesBlobByBlob(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct KeepsWhatABrokenStreamGave(ReferenceStore);

#[async_trait]
impl Twist for KeepsWhatABrokenStreamGave {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut kept = PutEntry::default();
        for (name, blob) in entry.into_blobs() {
            let pieces = blob.into_checked_stream(&name, None);
            let whole = pieces.take_while(|piece| std::future::ready(piece.is_ok()));
            kept = kept.with_stream(name, None, whole.boxed());
        }
        self.0.put(key, kept, options).await
    }
}

#[derive(Debug)]
struct LosesConcurrentMerges(ReferenceStore);

#[async_trait]
impl Twist for LosesConcurrentMerges {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, mut entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode != PutMode::Merge {
            return self.0.put(key, entry, options).await;
        }
        let read = self.0.get_entry(key, GetOptions::default()).await?;
        tokio::task::yield_now().await;
        for (name, blob) in read.into_iter().flat_map(|read| read.blobs) {
            if entry.blobs().iter().all(|(new, _)| *new != name) {
                entry = entry.with(name, blob.collect(u64::MAX).await?);
            }
        }
        self.0.put(key, entry, PutOptions::default()).await
    }
}

#[derive(Debug)]
struct PublishesBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for PublishesBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.0.info().max_blob_bytes)?;
        let mut outcome = PutOutcome::stored();
        for (name, blob) in entry.into_blobs() {
            let entry = PutEntry::default().with_blob(name, blob);
            outcome = self.0.put(key, entry, options.clone()).await?;
            tokio::task::yield_now().await;
            if options.mode == PutMode::Replace {
                options.mode = PutMode::Merge;
            }
        }
        Ok(outcome)
    }
}

twist! { DropsWhatADroppedPutWasToReplace {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.0.info().max_blob_bytes)?;
        if options.mode == PutMode::Replace {
            self.0.evict(key).await?;
            tokio::task::yield_now().await;
        }
        self.0.put(key, entry, options).await
    }
} }
