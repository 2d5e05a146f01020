//! What goes wrong at the edges: of numbers, of times, of bytes that look like something else.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, EntryMeta, EntryRead, FlushReport, GetOptions, Key,
    KeyManagement, ListOptions, Namespace, PutEntry, PutMode, PutOptions, PutOutcome, Result, Store,
    SystemClock, Usage,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

macro_rules! mutants {
    ($($id:ident $twist:ident($($given:expr),*): $fault:literal, [$($killer:ident),*];)*) => {
        pub(super) static MUTANTS: &[Mutant] = &[$(Mutant {
            id: stringify!($id),
            fault: $fault,
            killed_by: &[$(stringify!($killer)),*],
            fresh: Reference::default,
            open: |reference, setup| twisted($twist(reference.store(setup)? $(, $given)*)),
        },)*
        Mutant {
            id: "reads_over_the_limit",
            fault: "Blobs that are larger than the limit are read all the same.",
            killed_by: &["blob_over_the_limit_is_not_read"],
            fresh: Reference::default,
            open: |reference, setup| {
                let mut unlimited = setup.clone();
                unlimited.max_blob_bytes = None;
                twisted(ReadsOverTheLimit(reference.store(setup)?, reference.store(&unlimited)?))
            },
        },
        Mutant {
            id: "overflows_budgets",
            fault: "A budget is rounded up to whole blocks, and may overflow.",
            killed_by: &["largest_budget_limits_nothing"],
            fresh: Reference::default,
            open: |reference, setup| {
                let mut setup = setup.clone();
                setup.max_bytes = setup.max_bytes.map(|max| max.div_ceil(4096).wrapping_mul(4096));
                Ok(std::sync::Arc::new(reference.store(&setup)?))
            },
        }];
    };
}

mutants! {
    mixes_up_creation_times MixesUpCreationTimes(): "`meta` gives the time of one blob to another.", [put_keeps_a_given_creation_time, put_without_a_time_is_made_now];
    rejuvenates_on_merge RejuvenatesOnMerge(): "A merge makes what it keeps new.", [put_keeps_a_given_creation_time, put_without_a_time_is_made_now];
    lists_by_text ListsByText(): "A recursive listing covers namespaces whose text begins alike.", [recursive_list_covers_namespaces_below, list_options_combine];
    uses_by_text UsesByText(): "Usage covers namespaces whose text begins alike.", [usage_counts_namespaces_below, namespaces_named_as_entries_stay_apart];
    cleans_by_text CleansByText(): "A clean covers namespaces whose text begins alike.", [clean_stays_in_its_scope, clean_covers_namespaces_below];
    counts_both_reasons CountsBothReasons(): "What is outdated and too much is reported twice.", [clean_by_both_takes_either];
    skips_identical_puts SkipsIdenticalPuts(): "A put of the bytes that are there does nothing.", [put_without_a_time_is_made_now];
    outdates_the_future OutdatesTheFuture(): "An entry from the future is outdated.", [clean_by_age_goes_by_the_newest_blob];
    overflows_ages OverflowsAges(): "An age that is longer than time is none.", [clean_by_age_goes_by_the_newest_blob];
    overflows_watermarks OverflowsWatermarks(): "A size to keep is a signed number.", [clean_by_size_takes_the_least_recent];
    epoch_is_no_time EpochIsNoTime(): "A creation time of zero is none.", [put_keeps_a_given_creation_time, clean_by_age_goes_by_the_newest_blob];
    ends_at_zeros EndsAtZeros(): "Zeros at the end of a blob are lost.", [any_bytes_round_trip];
    unpacks_what_looks_packed UnpacksWhatLooksPacked(): "What begins as a packed blob is unpacked.", [any_bytes_round_trip];
    zero_digest_is_none ZeroDigestIsNone(): "The digest of zeros stands for none.", [outermost_digests_are_digests];
    repeats_at_pages Pages(true): "The last entry of a page of a thousand begins the next one, too.", [list_of_many_entries_is_whole];
    skips_at_pages Pages(false): "The entry after a page of a thousand is skipped.", [list_of_many_entries_is_whole];
    lists_old_sizes ListsOldSizes(Mutex::default()): "A listing knows an entry as it was first listed.", [list_knows_stored_bytes];
    reads_old_meta ReadsOldMeta(Mutex::default()): "`get_entry` tells of the first version that it read.", [get_entry_reads_all_blobs];
    flushes_one_late FlushesOneLate(AtomicBool::new(false)): "A flush is durable with the next one.", [dropped_flush_forgets_nothing, kill_without_flush_leaves_whole_entries];
    fills_the_time FillsTheTime(): "A fill that adds nothing makes the entry new.", [put_without_a_time_is_made_now];
    cleans_largest_first CleansLargestFirst(): "A clean takes the largest entries first.", [a_write_makes_an_entry_recent];
    stores_in_no_bytes StoresInNoBytes(): "Usage tells no stored bytes.", [usage_is_true];
}

fn names(meta: &EntryMeta) -> impl Iterator<Item = &BlobName> {
    meta.blobs.iter().map(|blob| &blob.name)
}

twist! { MixesUpCreationTimes {
    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let mut meta = self.0.meta(key).await?;
        if let Some(meta) = &mut meta {
            let mut times: Vec<_> = meta.blobs.iter().map(|blob| blob.created).collect();
            times.reverse();
            meta.blobs.iter_mut().zip(times).for_each(|(blob, time)| blob.created = time);
        }
        Ok(meta)
    }
} }

twist! { RejuvenatesOnMerge {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let old = if options.mode == PutMode::Merge { self.0.meta(key).await? } else { None };
        let outcome = self.0.put(key, entry, options.clone()).await?;
        if let Some(old) = old {
            let kept = names(&old)
                .filter_map(|name| Some((name.clone(), self.0.peek_blob(key, name)?)))
                .fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes));
            self.0.put(key, kept, options).await?;
        }
        Ok(outcome)
    }
} }

fn begins_alike(scope: &Namespace, key: &Key) -> bool {
    key.namespace.encoded().starts_with(scope.encoded())
}

twist! { ListsByText {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        if !options.recursive {
            return self.0.list(options);
        }
        let scope = options.namespace.clone();
        let mut all = ListOptions::default().recursive();
        (all.prefix, all.start_after) = (options.prefix, options.start_after);
        let limit = options.limit.unwrap_or(usize::MAX);
        let alike = self.0.list(all).try_filter(move |entry| {
            let alike = begins_alike(&scope, &entry.key);
            async move { alike }
        });
        alike.take(limit).boxed()
    }
} }

twist! { UsesByText {
    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut all = self.0.list(ListOptions::default().recursive());
        while let Some(entry) = all.try_next().await? {
            if begins_alike(scope, &entry.key) {
                usage.add(entry.counted_bytes(), entry.stored_bytes);
            }
        }
        Ok(usage)
    }
} }

/// Cleans as a store does that knows no better than to list.
async fn clean_of(
    store: &ReferenceStore,
    entries: Vec<EntryMeta>,
    victims: impl FnOnce(Vec<EntryMeta>) -> Vec<EntryMeta>,
) -> Result<CleanReport> {
    let mut report = CleanReport::default();
    entries.iter().for_each(|entry| report.keep(entry.counted_bytes()));
    for victim in victims(entries) {
        // Evictions by others are counted elsewhere.
        store.evict(&victim.key).await?;
        report.evict(victim.counted_bytes());
    }
    Ok(report)
}

twist! { CleansByText {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let all: Vec<_> = self.0.list(ListOptions::default().recursive()).try_collect().await?;
        let alike: Vec<_> = all.into_iter().filter(|entry| begins_alike(scope, &entry.key)).collect();
        if alike.iter().all(|entry| scope.covers(&entry.key.namespace)) {
            return self.0.clean(scope, policy).await;
        }
        clean_of(&self.0, alike, |all| policy.victims(all, SystemClock.now())).await
    }
} }

twist! { CountsBothReasons {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut report = self.0.clean(scope, policy).await?;
        if policy.max_age.is_some() && policy.max_bytes.is_some() && report.evicted_entries > 0 {
            report.evicted_entries += 1;
        }
        Ok(report)
    }
} }

twist! { SkipsIdenticalPuts {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let held = self.0.meta(key).await?;
        let same = entry.blobs().iter().all(|(name, blob)| match blob {
            cache_core::PutBlob::Bytes(bytes) => self.0.peek_blob(key, name).as_ref() == Some(bytes),
            cache_core::PutBlob::Stream { .. } => false,
        });
        let all = held.is_some_and(|held| held.blobs.len() == entry.blobs().len());
        if same && all && !entry.blobs().is_empty() && options.created.is_none() {
            return self.0.put(key, entry, PutOptions::mode(PutMode::Fill)).await;
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { OutdatesTheFuture {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        if policy.max_age.is_some() {
            let all: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
            for entry in all {
                if entry.modified > Some(SystemClock.now()) {
                    self.0.evict(&entry.key).await?;
                }
            }
        }
        self.0.clean(scope, policy).await
    }
} }

twist! { OverflowsAges {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut policy = *policy;
        if let Some(age) = policy.max_age
            && SystemTime::UNIX_EPOCH.checked_add(age).is_none_or(|end| end > SystemClock.now())
        {
            policy.max_age = Some(Duration::ZERO);
        }
        self.0.clean(scope, &policy).await
    }
} }

twist! { OverflowsWatermarks {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut policy = *policy;
        policy.max_bytes = policy.max_bytes.map(|max| if i64::try_from(max).is_ok() { max } else { 0 });
        self.0.clean(scope, &policy).await
    }
} }

twist! { EpochIsNoTime {
    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        options.created = options.created.filter(|created| *created > SystemTime::UNIX_EPOCH);
        self.0.put(key, entry, options).await
    }
} }

/// The entry with other bytes where they are in hand.
fn changed(entry: PutEntry, change: impl Fn(Bytes) -> Bytes) -> PutEntry {
    entry.into_blobs().into_iter().fold(PutEntry::default(), |entry, (name, blob)| match blob {
        cache_core::PutBlob::Bytes(bytes) => entry.with(name, change(bytes)),
        blob @ cache_core::PutBlob::Stream { .. } => entry.with_blob(name, blob),
    })
}

twist! { EndsAtZeros {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let trimmed = changed(entry, |mut bytes| {
            let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
            bytes.truncate(bytes.len() - if zeros > 8 { zeros } else { 0 });
            bytes
        });
        self.0.put(key, trimmed, options).await
    }
} }

twist! { UnpacksWhatLooksPacked {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let unpacked = changed(entry, |bytes| match bytes.get(..4) {
            Some([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]) => bytes.slice(4..),
            _ => bytes,
        });
        self.0.put(key, unpacked, options).await
    }
} }

fn is_zero(key: &Key) -> bool {
    key.digest.as_bytes().iter().all(|byte| *byte == 0)
}

twist! { ZeroDigestIsNone {
    async fn contains(&self, key: &Key) -> Result<bool> {
        Ok(self.0.contains(key).await? && !is_zero(key))
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        Ok(self.0.get(key, blob, options).await?.filter(|_| !is_zero(key)))
    }
} }

twist! { Pages(bool) {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let repeats = self.1;
        self.0
            .list(options)
            .enumerate()
            .flat_map(move |(at, entry)| {
                let border = at > 0 && at % 1000 == 0;
                let times = if border { if repeats { 2 } else { 0 } } else { 1 };
                stream::iter(std::iter::repeat_n(entry, times))
            })
            .boxed()
    }
} }

type Seen = Mutex<BTreeMap<Key, EntryMeta>>;

fn first(seen: &Seen, meta: EntryMeta) -> EntryMeta {
    seen.lock().unwrap_or_else(PoisonError::into_inner).entry(meta.key.clone()).or_insert(meta).clone()
}

twist! { ListsOldSizes(Seen) {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let listed: Vec<_> = self
            .0
            .list(options)
            .map_ok(|entry| first(&self.1, entry))
            .collect::<Vec<_>>()
            .now_or_never_or_empty();
        stream::iter(listed).boxed()
    }
} }

/// What is ready at once.
trait AtOnce<T> {
    fn now_or_never_or_empty(self) -> Vec<T>;
}

impl<T, F: Future<Output = Vec<T>>> AtOnce<T> for F {
    fn now_or_never_or_empty(self) -> Vec<T> {
        futures::FutureExt::now_or_never(self).unwrap_or_default()
    }
}

twist! { ReadsOldMeta(Seen) {
    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = self.0.get_entry(key, options).await?;
        Ok(read.map(|read| EntryRead::new(first(&self.1, read.meta), read.blobs)))
    }
} }

twist! { FlushesOneLate(AtomicBool) {
    async fn flush(&self) -> Result<FlushReport> {
        if self.1.fetch_xor(true, Ordering::SeqCst) {
            return self.0.flush().await;
        }
        let durable = self.0.info().powers.durable;
        self.0.metrics();
        Ok(if durable { FlushReport::durable(0) } else { FlushReport::volatile() })
    }
} }

twist! { FillsTheTime {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let held = self.0.meta(key).await?;
        let idle = held.as_ref().is_some_and(|held| {
            entry.blobs().iter().all(|(name, _)| names(held).any(|other| other == name))
        });
        if let (PutMode::Fill, true, Some(held)) = (options.mode, idle && !entry.blobs().is_empty(), held) {
            let same = names(&held)
                .filter_map(|name| Some((name.clone(), self.0.peek_blob(key, name)?)))
                .fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes));
            return self.0.put(key, same, PutOptions::default()).await;
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { CleansLargestFirst {
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let Some(max) = policy.max_bytes.filter(|_| policy.max_age.is_none()) else {
            return self.0.clean(scope, policy).await;
        };
        let all: Vec<_> = self.0.list(ListOptions::below(scope)).try_collect().await?;
        clean_of(&self.0, all, |mut all| {
            all.sort_by_key(|entry| (std::cmp::Reverse(entry.counted_bytes()), entry.recency()));
            let mut held: u64 = all.iter().map(EntryMeta::counted_bytes).sum();
            let mut needed = Vec::new();
            for entry in all {
                if held > max {
                    held -= entry.counted_bytes();
                    needed.push(entry);
                }
            }
            needed
        })
        .await
    }
} }

twist! { StoresInNoBytes {
    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = self.0.usage(scope).await?;
        usage.stored_bytes = 0;
        Ok(usage)
    }
} }

twist! { ReadsOverTheLimit(ReferenceStore) {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.1.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.1.get_entry(key, options).await
    }
} }
