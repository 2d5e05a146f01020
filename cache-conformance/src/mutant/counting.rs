use async_trait::async_trait;
use cache_core::{Blob, BlobName, GetOptions, Key, KeyManagement, Metrics, Result, Store, StoreInfo};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "counts_get_twice",
        fault: "A read counts twice.",
        killed_by: &["metrics_count_every_lookup_once"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CountsGetTwice(reference.store(setup)?)),
    },
    Mutant {
        id: "counts_no_evictions",
        fault: "Evictions are not counted.",
        killed_by: &["metrics_count_evictions"],
        fresh: Reference::default,
        open: |reference, setup| {
            let told = |metrics: &mut Metrics| {
                (metrics.evictions, metrics.evicted_bytes) = (0, 0);
            };
            twisted(Tells(reference.store(setup)?, told))
        },
    },
    Mutant {
        id: "counts_puts_as_entries",
        fault: "What it tells of entries held is how many were put.",
        killed_by: &["metrics_tell_what_is_held"],
        fresh: Reference::default,
        open: |reference, setup| {
            let told = |metrics: &mut Metrics| {
                metrics.entries = Some(metrics.puts);
            };
            twisted(Tells(reference.store(setup)?, told))
        },
    },
    Mutant {
        id: "counts_removals_of_what_is_there",
        fault: "An eviction of an absent entry is not counted.",
        killed_by: &["metrics_count_removals_and_flushes"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CountsRemovalsOfWhatIsThere(reference.store(setup)?)),
    },
    Mutant {
        id: "counters_start_again",
        fault: "Counters start again at 64.",
        killed_by: &["metrics_add_up_under_concurrency"],
        fresh: Reference::default,
        open: |reference, setup| {
            let told = |metrics: &mut Metrics| {
                (metrics.hits, metrics.misses) = (metrics.hits % 64, metrics.misses % 64);
            };
            twisted(Tells(reference.store(setup)?, told))
        },
    },
    Mutant {
        id: "errors_are_misses",
        fault: "A read that fails is counted as a miss.",
        killed_by: &["metrics_count_refused_reads_apart"],
        fresh: Reference::default,
        open: |reference, setup| {
            let told = |metrics: &mut Metrics| {
                (metrics.misses, metrics.errors) = (metrics.misses + metrics.errors, 0);
            };
            twisted(Tells(reference.store(setup)?, told))
        },
    },
    Mutant {
        id: "info_tells_what_is_held",
        fault: "`info` tells how much is held now.",
        killed_by: &["info_is_constant"],
        fresh: Reference::default,
        open: |reference, setup| twisted(InfoTellsWhatIsHeld(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct CountsGetTwice(ReferenceStore);

#[async_trait]
impl Twist for CountsGetTwice {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.0.get(key, blob, options.clone()).await?;
        self.0.get(key, blob, options).await
    }
}

twist! { CountsRemovalsOfWhatIsThere {
    async fn evict(&self, key: &Key) -> Result<()> {
        if self.0.meta(key).await?.is_none() {
            return Ok(());
        }
        self.0.evict(key).await
    }
} }

twist! { InfoTellsWhatIsHeld {
    fn info(&self) -> StoreInfo {
        let mut info = self.0.info();
        info.location = format!("{} entries put", self.0.metrics().puts);
        info
    }
} }

// Tells other metrics.
twist! { Tells(fn(&mut Metrics)) {
    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.metrics();
        (self.1)(&mut metrics);
        metrics
    }
} }
