use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use cache_core::{
    CleanPolicy, CleanReport, Clock, EntryMeta, GetOptions, Key, KeyManagement, ListOptions, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, Store, SystemClock, Usage, VerifyOptions, VerifyReport,
};
use futures::TryStreamExt;

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "verify_is_a_use",
        fault: "`verify` reads every entry as callers do.",
        killed_by: &["verify_reads_every_entry"],
        fresh: Reference::default,
        open: |reference, setup| twisted(VerifyIsAUse(reference.store(setup)?)),
    },
    Mutant {
        id: "verify_is_a_listing",
        fault: "`verify` counts what is there, and reads nothing.",
        killed_by: &["verify_finds_all_damage"],
        fresh: Reference::default,
        open: |reference, setup| twisted(VerifyIsAListing(reference.store(setup)?)),
    },
    Mutant {
        id: "cleans_by_age_only",
        fault: "`clean` ignores the size it was given.",
        killed_by: &["clean_by_size_takes_the_least_recent", "clean_by_both_takes_either"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansByAgeOnly(reference.store(setup)?)),
    },
    Mutant {
        id: "cleans_by_the_oldest_blob",
        fault: "An entry is as old as its oldest blob.",
        killed_by: &["clean_by_age_goes_by_the_newest_blob"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansByTheOldestBlob(reference.store(setup)?)),
    },
    Mutant {
        id: "usage_is_stale_after_overwrites",
        fault: "Usage goes on counting what was overwritten.",
        killed_by: &["usage_is_true", "replace_leaves_exactly_the_new_blobs"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(UsageIsStaleAfterOverwrites(reference.store(setup)?, AtomicU64::new(0)))
        },
    },
    Mutant {
        id: "cleans_the_parent",
        fault: "`clean` of a namespace cleans everything.",
        killed_by: &["clean_stays_in_its_scope", "clean_covers_namespaces_below"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansTheParent(reference.store(setup)?)),
    },
    Mutant {
        id: "cleans_without_being_asked",
        fault: "A clean without a constraint removes everything.",
        killed_by: &["clean_without_constraint_removes_nothing"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CleansWithoutBeingAsked(reference.store(setup)?)),
    },
    Mutant {
        id: "forgets_what_it_kept",
        fault: "A clean does not report what it keeps.",
        killed_by: &["clean_report_is_true", "clean_without_constraint_removes_nothing"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ForgetsWhatItKept(reference.store(setup)?)),
    },
    Mutant {
        id: "dated_undeclared",
        fault: "It does not declare to be dated, and cleans by the times that puts were given.",
        killed_by: &["clean_by_age_goes_by_the_newest_blob"],
        fresh: undated,
        open: |reference, setup| twisted(DatedUndeclared(reference.store(setup)?)),
    },
    Mutant {
        id: "cleans_by_the_first_write",
        fault: "What is written again is as old as what was there before.",
        killed_by: &["clean_by_age_goes_by_the_newest_blob", "a_write_makes_an_entry_recent"],
        fresh: undated,
        open: |reference, setup| {
            twisted(CleansByTheFirstWrite(reference.store(setup)?, FirstWrites::default()))
        },
    },
    Mutant {
        id: "keeps_what_is_of_this_hour",
        fault: "A clean takes nothing that was written within an hour, whatever age it was given.",
        killed_by: &["clean_by_age_goes_by_the_newest_blob", "clean_report_is_true"],
        fresh: undated,
        open: |reference, setup| {
            twisted(CleansInSteps(reference.store(setup)?, |age| age.div_ceil(3600) * 3600))
        },
    },
    Mutant {
        id: "cleans_by_whole_minutes",
        fault: "A clean takes the seconds off the age that it was given, and what is new with it.",
        killed_by: &["clean_by_age_goes_by_the_newest_blob", "clean_report_is_true"],
        fresh: undated,
        open: |reference, setup| twisted(CleansInSteps(reference.store(setup)?, |age| age / 60 * 60)),
    },
];

/// Without recency, and cleaning goes by when entries were written.
fn undated() -> Reference {
    let mut powers = Reference::default().powers();
    (powers.dated, powers.recency) = (false, false);
    Reference::with_powers(powers)
}

#[derive(Debug)]
struct CleansByAgeOnly(ReferenceStore);

#[async_trait]
impl Twist for CleansByAgeOnly {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut policy = *policy;
        policy.max_bytes = None;
        self.0.clean(scope, &policy).await
    }
}

#[derive(Debug)]
struct CleansTheParent(ReferenceStore);

#[async_trait]
impl Twist for CleansTheParent {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn clean(&self, _scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.0.clean(&Namespace::root(), policy).await
    }
}

twist! { VerifyIsAUse {
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        let entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        for entry in entries {
            _ = self.0.get_entry(&entry.key, GetOptions::default()).await;
        }
        self.0.verify(scope, options).await
    }
} }

twist! { VerifyIsAListing {
    async fn verify(&self, scope: &Namespace, _options: &VerifyOptions) -> Result<VerifyReport> {
        let entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        let mut report = VerifyReport::default();
        for entry in entries {
            report.sound(entry.counted_bytes());
        }
        Ok(report)
    }
} }

twist! { CleansWithoutBeingAsked {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let all = CleanPolicy::default().with_max_bytes(0);
        self.0.clean(scope, if *policy == CleanPolicy::default() { &all } else { policy }).await
    }
} }

twist! { ForgetsWhatItKept {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut report = self.0.clean(scope, policy).await?;
        (report.kept_entries, report.kept_bytes) = (0, 0);
        Ok(report)
    }
} }

twist! { CleansByTheOldestBlob {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        for entry in &mut entries {
            entry.modified = entry.created;
        }
        clean_of(&self.0, entries, policy).await
    }
} }

twist! { UsageIsStaleAfterOverwrites(AtomicU64) {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let before = self.0.meta(key).await?;
        let outcome = self.0.put(key, entry, options).await?;
        self.1.fetch_add(before.map_or(0, |meta| meta.counted_bytes()), Ordering::SeqCst);
        Ok(outcome)
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = self.0.usage(scope).await?;
        usage.bytes += self.1.load(Ordering::SeqCst);
        Ok(usage)
    }
} }

/// Cleans by the times that these entries tell.
async fn clean_of(
    store: &ReferenceStore,
    entries: Vec<EntryMeta>,
    policy: &CleanPolicy,
) -> Result<CleanReport> {
    let mut report = CleanReport::default();
    entries.iter().for_each(|entry| report.keep(entry.counted_bytes()));
    for victim in policy.victims(entries, SystemClock.now()) {
        store.evict(&victim.key).await?;
        report.evict(victim.counted_bytes());
    }
    Ok(report)
}

twist! { DatedUndeclared {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        for entry in &mut entries {
            entry.modified = entry.blobs.iter().filter_map(|blob| blob.created).max();
        }
        clean_of(&self.0, entries, policy).await
    }
} }

type FirstWrites = Mutex<HashMap<Key, SystemTime>>;

twist! { CleansByTheFirstWrite(FirstWrites) {
    async fn evict(&self, key: &Key) -> Result<()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.0.evict(key).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let outcome = self.0.put(key, entry, options).await;
        let mut first = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        first.entry(key.clone()).or_insert_with(|| SystemClock.now());
        outcome
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut entries: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        for entry in &mut entries {
            let first = self.1.lock().unwrap_or_else(PoisonError::into_inner).get(&entry.key).copied();
            entry.modified = first.or(entry.modified);
        }
        clean_of(&self.0, entries, policy).await
    }
} }

#[derive(Debug)]
struct CleansInSteps(ReferenceStore, fn(u64) -> u64);

#[async_trait]
impl Twist for CleansInSteps {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut policy = *policy;
        policy.max_age = policy.max_age.map(|age| Duration::from_secs((self.1)(age.as_secs())));
        self.0.clean(scope, &policy).await
    }
}
