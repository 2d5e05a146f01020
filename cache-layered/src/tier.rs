use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_core::{
    BlobName, Clock, CloseReport, Error, ErrorKind, FlushReport, Key, Powers, PutEntry, PutOptions, Result,
    SpillSource, Store, StoreInfo, SystemClock, TierMetrics,
};

use tokio_util::task::TaskTracker;

use crate::{
    LayeredStore, Quorum, TierOptions, WritePolicy,
    behind::{Behind, Loss},
    close::close_in_time,
    guard::Guarded,
    policy::contradiction,
    tally::Tally,
};

/// A named store of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) name: Arc<str>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) info: StoreInfo,
    pub(crate) options: TierOptions,
    pub(crate) tally: Arc<Tally>,
    /// Whether the stack goes by what this one tells of accesses, as all of them know.
    pub(crate) recency: bool,
    /// Whether the stack counts stored bytes, as some tier does.
    pub(crate) counts_stored: bool,
    /// The store once more, if it hands on what it evicts.
    pub(crate) source: Option<Arc<dyn SpillSource>>,
    /// What stands between the stack and the store, next to the store.
    guard: Option<Guarded>,
    /// What waits to be written to it.
    behind: Option<Behind>,
}

impl Tier {
    /// An error of this tier, named.
    pub(crate) fn failed(&self, operation: &'static str, error: Error) -> Error {
        match error.store().strip_prefix("layered/") {
            // A tier of a stack that is a tier itself.
            Some(inner) => {
                let name = format!("layered/{}/{inner}", self.name);
                error.at(name, operation)
            }
            None => error.at(format!("layered/{}", self.name), operation),
        }
    }

    fn is_same_place(&self, other: &Self) -> bool {
        let same_location = !self.info.location.is_empty()
            && (&self.info.kind, &self.info.location) == (&other.info.kind, &other.info.location);
        same_location || Arc::ptr_eq(&self.store, &other.store)
    }

    /// Whether the tier's limits let an entry of so many bytes in.
    pub(crate) fn admits(&self, bytes: u64, largest_blob: u64) -> bool {
        let max = self.info.max_bytes.into_iter().chain(self.options.max_entry_bytes).min();
        max.is_none_or(|max| bytes <= max) && !self.is_too_large(largest_blob)
    }

    /// Whether an entry, of which so many bytes are known, is larger than this tier is to have.
    pub(crate) fn is_entry_too_large(&self, bytes: u64) -> bool {
        self.options.max_entry_bytes.is_some_and(|max| bytes > max)
    }

    /// Goes around the store with what its role asks for.
    pub(crate) fn take_up(&mut self, quorum: Quorum, tasks: &TaskTracker, clock: &Arc<dyn Clock>) {
        // What evicts into a tier of this stack is memory, whose victims come past any decorator.
        if self.source.is_some() {
            return;
        }
        let (options, tally) = (&self.options, &self.tally);
        if options.deadline.is_some() || options.breaker.is_some() {
            let guard = Guarded::new(Arc::clone(&self.store), options, Arc::clone(tally), tasks.clone());
            self.store = Arc::new(guard.clone());
            self.guard = Some(guard);
        }
        let may_be_owed = quorum != Quorum::All && options.write == WritePolicy::Through;
        if options.write == WritePolicy::Behind || may_be_owed {
            let behind = Behind::new(Arc::clone(&self.store), options, Arc::clone(tally), Arc::clone(clock));
            self.store = Arc::new(behind.clone());
            self.behind = Some(behind);
        }
    }

    /// Whether entries are put here to be read here.
    pub(crate) fn is_kept(&self) -> bool {
        self.options.read && self.options.write != WritePolicy::Never
    }

    /// Whether the tier can be owed these blobs, or, without any, an eviction.
    pub(crate) fn has_room(&self, key: &Key, blobs: &[(BlobName, Bytes)]) -> bool {
        self.behind.as_ref().is_some_and(|behind| behind.has_room(key, blobs))
    }

    /// Owes the tier an entry that it failed to take, for which there was room.
    pub(crate) fn owe_put(&self, key: &Key, blobs: &[(BlobName, Bytes)], options: &PutOptions) {
        if let Some(behind) = &self.behind {
            behind.owe_put(key, blobs.to_vec(), options);
        }
    }

    /// Owes the tier an eviction, for which there was room.
    pub(crate) fn owe_evict(&self, key: &Key) {
        if let Some(behind) = &self.behind {
            behind.owe_evict(key);
        }
    }

    /// Whether a write of the key that was given up may still land here.
    pub(crate) fn lingers(&self, key: &Key) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.lingers(key))
    }

    /// Has what waits to be written under the key written here, or lost: from then on the tier itself knows what it has.
    pub(crate) async fn settle(&self, key: &Key) -> Result<()> {
        match &self.behind {
            Some(behind) => behind.settle(key).await,
            None => Ok(()),
        }
    }

    /// Flushes it. A loss is told again until it is [told](Self::told).
    pub(crate) async fn flush(&self) -> Result<Result<FlushReport, Loss>> {
        match &self.behind {
            Some(behind) => behind.flush_telling().await,
            None => self.store.flush().await.map(Ok),
        }
    }

    /// Closes it, and waits little longer than that.
    pub(crate) async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        if self.behind.is_some() {
            self.store.close(deadline).await
        } else {
            close_in_time(&*self.store, deadline).await
        }
    }

    pub(crate) fn told(&self, up_to: u64) {
        if let Some(behind) = &self.behind {
            behind.told(up_to);
        }
    }

    /// What a stack has to say of it.
    pub(crate) fn as_tier(&self) -> TierMetrics {
        let mut metrics = self.tally.snapshot();
        metrics.breaker = self.guard.as_ref().map(Guarded::state).unwrap_or_default();
        if let Some(behind) = &self.behind {
            (metrics.queued_entries, metrics.queued_bytes) = behind.queued();
        }
        metrics
    }

    /// Whether a blob of so many bytes is over the tier's limit.
    pub(crate) fn is_too_large(&self, blob: u64) -> bool {
        self.info.max_blob_bytes.is_some_and(|max| blob > max)
    }
}

/// The largest blob whose length is known.
pub(crate) fn largest_known(entry: &PutEntry) -> u64 {
    entry.blobs().iter().filter_map(|(_, blob)| blob.known_len()).max().unwrap_or(0)
}

/// The bytes of all blobs whose lengths are known.
pub(crate) fn known_bytes(entry: &PutEntry) -> u64 {
    entry.blobs().iter().filter_map(|(_, blob)| blob.known_len()).fold(0, u64::saturating_add)
}

/// Whether the caller is at fault, so that no other tier would answer otherwise.
pub(crate) fn is_callers_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid)
}

/// Takes the tiers of a [`LayeredStore`], fastest first.
#[derive(Debug)]
#[must_use]
pub struct LayeredBuilder {
    tiers: Vec<Tier>,
    quorum: Quorum,
    clock: Arc<dyn Clock>,
    /// A policy was set before there was a tier.
    is_misplaced: bool,
}

impl LayeredBuilder {
    pub(crate) fn new() -> Self {
        let (tiers, quorum) = (Vec::new(), Quorum::default());
        Self { tiers, quorum, clock: Arc::new(SystemClock), is_misplaced: false }
    }

    /// Adds the next slower tier.
    pub fn tier(self, name: impl Into<Arc<str>>, store: Arc<dyn Store>) -> Self {
        self.push(name.into(), store, None)
    }

    /// Adds the next slower tier, which hands on what it evicts to the one after it: that one has to be for
    /// [`Spill`](WritePolicy::Spill).
    ///
    /// The store hands on to this stack as long as it is open. A second stack over it is refused.
    pub fn spilling_tier(self, name: impl Into<Arc<str>>, source: Arc<dyn SpillSource>) -> Self {
        self.push(name.into(), Arc::clone(&source) as Arc<dyn Store>, Some(source))
    }

    fn push(mut self, name: Arc<str>, store: Arc<dyn Store>, source: Option<Arc<dyn SpillSource>>) -> Self {
        let info = store.info();
        let (options, tally) = (TierOptions::default(), Arc::default());
        self.tiers.push(Tier {
            name,
            store,
            info,
            options,
            tally,
            recency: false,
            counts_stored: false,
            source,
            guard: None,
            behind: None,
        });
        self
    }

    /// Says when the tier that was added last is written; [`Through`](WritePolicy::Through) by default.
    pub fn write(self, policy: WritePolicy) -> Self {
        self.role(|options| options.write = policy)
    }

    /// Says what the tier that was added last is for.
    pub fn options(self, options: TierOptions) -> Self {
        self.role(|role| *role = options)
    }

    fn role(mut self, set: impl FnOnce(&mut TierOptions)) -> Self {
        match self.tiers.last_mut() {
            Some(tier) => set(&mut tier.options),
            None => self.is_misplaced = true,
        }
        self
    }

    /// Says how many of the tiers that are written through have to take a put; [all](Quorum::All) by default.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.quorum = quorum;
        self
    }

    /// Sets the clock that `clean` goes by.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the stack.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) without tiers, if two have the same name, one has none or two are one
    /// store, if an option is out of its range, or if the slowest tier ends with the process and another does not: merges live in the slowest
    /// tier, and what a flush calls durable must outlive them. So are policies that contradict each other, and
    /// a store that hands on to another stack.
    pub fn build(self) -> Result<LayeredStore> {
        let refuse = |why: String| Err(Error::invalid(why).at("layered", "open"));
        if self.is_misplaced {
            return refuse("a role is given before there is a tier".into());
        }
        if self.tiers.is_empty() {
            return refuse("a layered store has at least one tier".into());
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            if tier.name.is_empty() {
                return refuse("a tier's name is empty".into());
            }
            if let Err(error) = tier.options.check() {
                return refuse(format!("tier {:?}: {}", tier.name, error.detail().unwrap_or_default()));
            }
            if self.tiers.iter().take(at).any(|other| other.name == tier.name) {
                return refuse(format!("two tiers are named {:?}", tier.name));
            }
            // Each write would be done and undone in the same place.
            if self.tiers.iter().take(at).any(|other| other.is_same_place(tier)) {
                return refuse(format!("tier {:?} is another tier's store", tier.name));
            }
        }
        let is_durable = |tier: &Tier| tier.info.powers.durable;
        let written = |tier: &&Tier| tier.options.write != WritePolicy::Never;
        if let Some(slowest) = self.tiers.iter().rfind(written).filter(|slowest| !is_durable(slowest))
            && let Some(durable) = self.tiers.iter().filter(written).find(|tier| is_durable(tier))
        {
            return refuse(format!(
                "the slowest tier {:?} ends with the process, and {:?} does not: tiers stand fastest first",
                slowest.name, durable.name
            ));
        }
        if let Some(why) = contradiction(&self.tiers, self.quorum) {
            return refuse(why);
        }
        LayeredStore::of(self.tiers, self.quorum, self.clock)
            .ok_or_else(|| Error::invalid("a tier hands on to another stack already").at("layered", "open"))
    }
}

/// What a stack of these tiers is. What it holds is at most what its tiers hold together.
pub(crate) fn info_of(tiers: &[Tier]) -> StoreInfo {
    let all = |of: fn(&Powers) -> bool| tiers.iter().all(|tier| of(&tier.info.powers));
    let sum = |of: fn(&StoreInfo) -> Option<u64>| {
        tiers.iter().map(|tier| of(&tier.info)).try_fold(0_u64, |sum, max| Some(sum.saturating_add(max?)))
    };
    let mut powers = Powers::default();
    let slowest = tiers.iter().rfind(|tier| tier.is_kept());
    powers.durable = slowest.is_some_and(|tier| tier.info.powers.durable);
    // Merges live in the slowest tier: where that is one process's own, another does not see them.
    let last = |of: fn(&Powers) -> bool| slowest.is_some_and(|tier| of(&tier.info.powers));
    // What was not evicted or written yet is one process's own, too.
    let is_written_at_once =
        tiers.iter().all(|tier| matches!(tier.options.write, WritePolicy::Through | WritePolicy::Never));
    powers.shared =
        is_written_at_once && last(|powers| powers.shared) && all(|powers| powers.shared || !powers.durable);
    powers.bounded = all(|powers| powers.bounded);
    powers.recency = all(|powers| powers.recency);
    powers.dated = all(|powers| powers.dated);
    powers.shared_bytes = tiers.first().is_some_and(|tier| tier.info.powers.shared_bytes);
    powers.cross_process_merge = powers.shared && last(|powers| powers.cross_process_merge);
    powers.streaming = all(|powers| powers.streaming);
    let largest_blob = tiers
        .iter()
        .filter(|tier| tier.is_kept())
        .map(|tier| tier.info.max_blob_bytes)
        .try_fold(0_u64, |largest, max| Some(largest.max(max?)));
    let locations: Vec<&str> = tiers
        .iter()
        .map(|tier| tier.info.location.as_str())
        .filter(|location| !location.is_empty())
        .collect();
    StoreInfo::new("layered", locations.join(" "), powers)
        .with_max_bytes(sum(|info| info.max_bytes))
        .with_max_entries(sum(|info| info.max_entries))
        .with_max_blob_bytes(largest_blob)
        .with_counts_stored(tiers.iter().any(|tier| tier.options.read && tier.info.counts_stored))
        .with_tiers(tiers.iter().map(|tier| (Arc::clone(&tier.name), tier.info.clone())).collect())
}
