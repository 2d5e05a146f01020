use std::sync::Arc;

use cache_core::{
    Clock, Error, ErrorKind, Powers, PutEntry, Result, SpillSource, Store, StoreInfo, SystemClock,
};

use crate::{LayeredStore, WritePolicy, policy::contradiction};

/// A named store of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) name: Arc<str>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) info: StoreInfo,
    pub(crate) write: WritePolicy,
    /// Whether the stack goes by what this one tells of accesses, as all of them know.
    pub(crate) recency: bool,
    /// The store once more, if it hands on what it evicts.
    pub(crate) source: Option<Arc<dyn SpillSource>>,
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
        self.info.max_bytes.is_none_or(|max| bytes <= max) && !self.is_too_large(largest_blob)
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
    clock: Arc<dyn Clock>,
    /// A policy was set before there was a tier.
    is_misplaced: bool,
}

impl LayeredBuilder {
    pub(crate) fn new() -> Self {
        Self { tiers: Vec::new(), clock: Arc::new(SystemClock), is_misplaced: false }
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
        self.tiers.push(Tier { name, store, info, write: WritePolicy::default(), recency: false, source });
        self
    }

    /// Says when the tier that was added last is written; [`Through`](WritePolicy::Through) by default.
    pub fn write(mut self, policy: WritePolicy) -> Self {
        match self.tiers.last_mut() {
            Some(tier) => tier.write = policy,
            None => self.is_misplaced = true,
        }
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
    /// store, or if the slowest tier ends with the process and another does not: merges live in the slowest
    /// tier, and what a flush calls durable must outlive them. So are policies that contradict each other, and
    /// a store that hands on to another stack.
    pub fn build(self) -> Result<LayeredStore> {
        let refuse = |why: String| Err(Error::invalid(why).at("layered", "open"));
        if self.is_misplaced {
            return refuse("a policy is set before there is a tier".into());
        }
        if self.tiers.is_empty() {
            return refuse("a layered store has at least one tier".into());
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            if tier.name.is_empty() {
                return refuse("a tier's name is empty".into());
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
        if let Some(slowest) = self.tiers.last().filter(|slowest| !is_durable(slowest))
            && let Some(durable) = self.tiers.iter().find(|tier| is_durable(tier))
        {
            return refuse(format!(
                "the slowest tier {:?} ends with the process, and {:?} does not: tiers stand fastest first",
                slowest.name, durable.name
            ));
        }
        if let Some(why) = contradiction(&self.tiers) {
            return refuse(why);
        }
        LayeredStore::of(self.tiers, self.clock)
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
    powers.durable = tiers.last().is_some_and(|tier| tier.info.powers.durable);
    // Merges live in the slowest tier: where that is one process's own, another does not see them.
    let last = |of: fn(&Powers) -> bool| tiers.last().is_some_and(|tier| of(&tier.info.powers));
    // What was not evicted yet is one process's own, too.
    let is_last_through = tiers.last().is_some_and(|tier| tier.write == WritePolicy::Through);
    powers.shared =
        is_last_through && last(|powers| powers.shared) && all(|powers| powers.shared || !powers.durable);
    powers.bounded = all(|powers| powers.bounded);
    powers.recency = all(|powers| powers.recency);
    powers.dated = all(|powers| powers.dated);
    powers.shared_bytes = tiers.first().is_some_and(|tier| tier.info.powers.shared_bytes);
    powers.cross_process_merge = powers.shared && last(|powers| powers.cross_process_merge);
    powers.streaming = all(|powers| powers.streaming);
    let largest_blob = tiers
        .iter()
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
        .with_tiers(tiers.iter().map(|tier| (Arc::clone(&tier.name), tier.info.clone())).collect())
}
