//! What a store may answer, as a map.

mod ask;
mod replay;
mod search;
mod step;

use std::{collections::BTreeMap, fmt::Write, time::SystemTime};

use bytes::Bytes;
use cache_core::{Key, ListOptions, PutMode};

pub(crate) use self::{
    replay::replay,
    search::{draw, search},
    step::NAMES,
};

/// The blobs of an entry by name.
pub(crate) type Entry = BTreeMap<String, Written>;

/// A blob, and how it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    /// When it was made, if that was given; else while the sequence ran.
    pub(crate) created: Option<SystemTime>,
    /// The number of the step that wrote it.
    pub(crate) step: usize,
}

/// What a put writes.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) blobs: Entry,
    /// Whether any of it comes in as a stream.
    pub(crate) streams: bool,
}

/// Up to which size an entry is stored, and beyond which it is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) stores: u64,
    pub(crate) holds: u64,
}

/// The states that each entry may be in: without a budget exactly one. Under a budget any entry may be
/// absent at any time, and what a merge found there shows only later.
#[derive(Debug, Default)]
pub(crate) struct Model {
    budget: Option<Budget>,
    /// Whether cleaning and listings go by the times that puts are given.
    dated: bool,
    /// Whether the store has tiers. A copy from one to another has one time for all blobs, that of the newest: of what
    /// is left of it after a merge, that may be later than when it was made.
    has_tiers: bool,
    states: BTreeMap<Key, Vec<Option<Entry>>>,
}

impl Model {
    pub(crate) fn new(budget: Option<Budget>, (dated, has_tiers): (bool, bool)) -> Self {
        Self { budget, dated, has_tiers, states: BTreeMap::new() }
    }

    /// Whether an entry may be said to be newer than it is. Without a budget no tier loses what another one keeps, and
    /// what is merged into is no copy.
    pub(crate) fn may_be_told_later(&self) -> bool {
        self.has_tiers && self.budget.is_some()
    }

    pub(crate) fn is_dated(&self) -> bool {
        self.dated
    }

    pub(crate) fn budget(&self) -> Option<Budget> {
        self.budget
    }

    pub(crate) fn states(&self, key: &Key) -> Vec<Option<Entry>> {
        self.states.get(key).cloned().unwrap_or_else(|| vec![None])
    }

    fn set(&mut self, key: &Key, mut states: Vec<Option<Entry>>) {
        if self.budget.is_some() && !states.contains(&None) {
            states.push(None);
        }
        self.states.insert(key.clone(), states);
    }

    /// A put that was stored or refused.
    pub(crate) fn put(&mut self, key: &Key, put: &Put, mode: PutMode, stored: bool) -> Result<(), String> {
        let (new, mut after) = (&put.blobs, Vec::new());
        for old in self.states(key) {
            let next = put_over(old.as_ref(), new, mode);
            let fits = self.budget.is_none_or(|budget| size(&next) <= budget.holds);
            let may_be_refused = self.budget.is_some_and(|budget| {
                // While a stream comes in, the older value has to stay. A fill may turn out to be smaller
                // than what was given to it.
                let beside = old.as_ref().filter(|_| put.streams).map_or(0, size);
                size(&next).max(size(new) + beside) > budget.stores
            });
            let state = match (stored, mode) {
                (true, _) if fits => Some(next),
                (false, PutMode::Fill) if may_be_refused => old,
                (false, _) if may_be_refused => None,
                _ => continue,
            };
            if !after.contains(&state) {
                after.push(state);
            }
        }
        if after.is_empty() {
            let verb = if stored { "stored" } else { "refused" };
            return Err(format!("put of {key} is {verb}, with {} bytes", size(new)));
        }
        self.set(key, after);
        Ok(())
    }

    pub(crate) fn evict(&mut self, key: &Key) {
        self.set(key, vec![None]);
    }

    /// Nothing is left.
    pub(crate) fn clear(&mut self) {
        self.states.clear();
    }

    /// Keeps the states with which an answer agrees; there has to be one.
    pub(crate) fn observe(
        &mut self,
        key: &Key,
        answer: &str,
        agrees: impl Fn(Option<&Entry>) -> bool,
    ) -> Result<(), String> {
        let states = self.states(key);
        let (kept, other): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| agrees(state.as_ref()));
        if kept.is_empty() {
            let right: Vec<_> = other.iter().map(|state| describe(state.as_ref())).collect();
            return Err(format!("{answer}\nThe entry {key} is {}.", right.join(", or ")));
        }
        // An eviction may be half done: what was absent to one read need not be to the next.
        if self.budget.is_none() || !agrees(None) {
            self.set(key, kept);
        }
        Ok(())
    }

    /// The keys that `options` admit: those that may be there, in order, and whether they have to be.
    pub(crate) fn admitted(&self, options: &ListOptions) -> Vec<(Key, bool)> {
        let scope = options.namespace.encoded();
        let below = if scope.is_empty() { String::new() } else { format!("{scope}/") };
        let admits = |key: &Key| {
            let at = key.namespace.encoded();
            let inside = at == scope || options.recursive && at.starts_with(&below);
            let prefix = options.prefix.map(|prefix| prefix.to_string()).unwrap_or_default();
            let order = |key: &Key| (key.namespace.encoded().to_owned(), key.digest.to_string());
            inside
                && key.digest.to_string().starts_with(&prefix)
                && options.start_after.as_ref().is_none_or(|after| order(key) > order(after))
        };
        let known = self.states.iter().filter(|(key, _)| admits(key));
        let possible = known.filter(|(_, states)| states.iter().any(Option::is_some));
        possible.map(|(key, states)| (key.clone(), !states.contains(&None))).collect()
    }
}

/// What a put makes of an entry.
fn put_over(old: Option<&Entry>, new: &Entry, mode: PutMode) -> Entry {
    let mut next = new.clone();
    for (name, blob) in old.into_iter().flatten() {
        match mode {
            PutMode::Replace => {}
            PutMode::Merge => _ = next.entry(name.clone()).or_insert_with(|| blob.clone()),
            PutMode::Fill => _ = next.insert(name.clone(), blob.clone()),
        }
    }
    next
}

pub(crate) fn size(entry: &Entry) -> u64 {
    entry.values().map(|blob| blob.bytes.len() as u64).sum()
}

/// When the newest blob was made, if that is known.
pub(crate) fn modified(entry: &Entry) -> Option<SystemTime> {
    entry
        .values()
        .map(|blob| blob.created)
        .try_fold(SystemTime::UNIX_EPOCH, |newest, made| Some(newest.max(made?)))
}

/// An entry in words.
pub(crate) fn describe(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "absent".to_owned() };
    let mut text = String::new();
    for (name, Written { bytes, step, .. }) in entry {
        let separator = if text.is_empty() { "" } else { ", " };
        _ = write!(text, "{separator}{name}: {} of step {step}", counted(bytes.len()));
    }
    format!("{{{text}}}")
}

/// So many bytes in words.
pub(crate) fn counted(len: usize) -> String {
    if len == 1 { "1 byte".to_owned() } else { format!("{len} bytes") }
}
