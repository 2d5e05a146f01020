use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, EntryMeta, ErrorKind, FlushReport, GetOptions, Key,
    KeyManagement, ListOptions, Metrics, Namespace, PutEntry, PutMode, PutOptions, PutOutcome, Result, Store,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "misses_when_it_cannot_tell",
        fault: "A read that fails is told as a miss.",
        killed_by: &["failed_read_is_no_miss", "failures_are_counted_apart"],
        fresh: Reference::default,
        open: |reference, setup| twisted(MissesWhenItCannotTell(reference.store(setup)?)),
    },
    Mutant {
        id: "evicts_before_it_puts",
        fault: "A put removes the old entry first, and may fail before the new one is there.",
        killed_by: &["failed_put_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EvictsBeforeItPuts(reference.store(setup)?)),
    },
    Mutant {
        id: "removes_blob_by_blob",
        fault: "Evictions and cleans take one blob after the other, and may fail between two.",
        killed_by: &["failed_evict_leaves_all_or_nothing", "failed_clean_leaves_whole_entries"],
        fresh: Reference::default,
        open: |reference, setup| twisted(RemovesBlobByBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "ends_listings_quietly",
        fault: "A listing that fails just ends.",
        killed_by: &["failed_listing_ends_in_the_error"],
        fresh: Reference::default,
        open: |reference, setup| twisted(EndsListingsQuietly(reference.store(setup)?)),
    },
    Mutant {
        id: "forgets_a_failed_flush",
        fault: "After a flush that failed, the next one has nothing to do.",
        killed_by: &["failed_flush_is_told_and_covered_by_the_next"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(ForgetsAFailedFlush(reference.store(setup)?, AtomicBool::new(false)))
        },
    },
    Mutant {
        id: "counts_failures_as_misses",
        fault: "A read that fails counts as a miss.",
        killed_by: &["failures_are_counted_apart"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CountsFailuresAsMisses(reference.store(setup)?)),
    },
    Mutant {
        id: "blames_the_caller",
        fault: "What failed below is told as bad input.",
        killed_by: &["failed_put_leaves_old_or_new"],
        fresh: Reference::default,
        open: |reference, setup| twisted(BlamesTheCaller(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct MissesWhenItCannotTell(ReferenceStore);

#[async_trait]
impl Twist for MissesWhenItCannotTell {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.0.get(key, blob, options).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(None),
            found => found,
        }
    }
}

#[derive(Debug)]
struct EvictsBeforeItPuts(ReferenceStore);

#[async_trait]
impl Twist for EvictsBeforeItPuts {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if options.mode == PutMode::Replace {
            self.0.evict(key).await?;
        }
        self.0.put(key, entry, options).await
    }
}

#[derive(Debug)]
struct RemovesBlobByBlob(ReferenceStore);

#[async_trait]
impl Twist for RemovesBlobByBlob {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        if let Some(mut read) = self.0.get_entry(key, GetOptions::default()).await?
            && read.blobs.len() > 1
        {
            let (name, blob) = read.blobs.swap_remove(0);
            let entry = PutEntry::default().with(name, blob.collect(u64::MAX).await?);
            self.0.put(key, entry, PutOptions::default()).await?;
        }
        self.0.evict(key).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        if policy.max_bytes == Some(0) {
            let entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
            let mut report = CleanReport::default();
            for entry in entries {
                report.keep(entry.counted_bytes());
                self.evict(&entry.key).await?;
                report.evict(entry.counted_bytes());
            }
            return Ok(report);
        }
        self.0.clean(scope, policy).await
    }
}

#[derive(Debug)]
struct EndsListingsQuietly(ReferenceStore);

#[async_trait]
impl Twist for EndsListingsQuietly {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.0.list(options).filter(|entry| std::future::ready(entry.is_ok())).boxed()
    }
}

#[derive(Debug)]
struct ForgetsAFailedFlush(ReferenceStore, AtomicBool);

#[async_trait]
impl Twist for ForgetsAFailedFlush {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn flush(&self) -> Result<FlushReport> {
        if self.1.swap(false, Ordering::SeqCst) {
            return Ok(FlushReport::durable(0));
        }
        let report = self.0.flush().await;
        self.1.store(report.is_err(), Ordering::SeqCst);
        report
    }
}

#[derive(Debug)]
struct CountsFailuresAsMisses(ReferenceStore);

#[async_trait]
impl Twist for CountsFailuresAsMisses {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.metrics();
        metrics.misses += metrics.errors;
        metrics
    }
}

#[derive(Debug)]
struct BlamesTheCaller(ReferenceStore);

#[async_trait]
impl Twist for BlamesTheCaller {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let put = self.0.put(key, entry, options).await;
        put.map_err(|error| match error.kind() {
            ErrorKind::Unavailable => cache_core::Error::invalid("something was wrong"),
            _ => error,
        })
    }
}
