//! What may be found under each key.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::PutMode;

use super::script::{SCRATCH, Script, Step};

/// The version of each blob of an entry; `None` is a miss.
pub(crate) type State = Option<BTreeMap<String, u64>>;

/// What is known of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Done,
    /// Refused for its size.
    Refused,
    /// It failed, or it is not known whether it ended.
    Perhaps,
}

/// What the store went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Its process died at most: what was visible is.
    Kill,
    /// What was not flushed may be gone.
    PowerCut,
}

#[derive(Clone, Debug)]
struct Track {
    now: BTreeSet<State>,
    since_flush: BTreeSet<State>,
    /// Changed since the last flush.
    dirty: bool,
    /// Stored bytes were changed behind the store: a read may say so.
    damaged: bool,
}

impl Default for Track {
    fn default() -> Self {
        let absent = BTreeSet::from([None]);
        Self { now: absent.clone(), since_flush: absent, dirty: false, damaged: false }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    tracks: BTreeMap<u32, Track>,
    /// There is a budget, so that any entry may be gone.
    evicts: bool,
}

impl Model {
    pub(crate) fn new(script: &Script) -> Self {
        Self { tracks: BTreeMap::new(), evicts: script.budget.is_some() }
    }

    pub(crate) fn keys(&self) -> Vec<u32> {
        self.tracks.keys().copied().collect()
    }

    fn change(&mut self, key: u32, known: Known, to: impl Fn(&State) -> State) {
        let evicts = self.evicts;
        let track = self.tracks.entry(key).or_default();
        if evicts {
            track.now.insert(None);
        }
        let mut after: BTreeSet<State> = match known {
            Known::Done => track.now.iter().map(&to).collect(),
            Known::Refused => BTreeSet::from([None]),
            Known::Perhaps => track.now.iter().map(&to).chain(track.now.iter().cloned()).collect(),
        };
        std::mem::swap(&mut track.now, &mut after);
        track.since_flush.extend(track.now.iter().cloned());
        track.dirty = true;
    }

    pub(crate) fn step(&mut self, version: u64, step: &Step, known: Known) {
        match step {
            Step::Put { key, mode, blobs, .. } => {
                let new: BTreeMap<String, u64> =
                    blobs.iter().map(|(name, _)| ((*name).to_owned(), version)).collect();
                self.change(*key, known, |old| {
                    let mut entry = old.clone().unwrap_or_default();
                    match mode {
                        PutMode::Replace => entry = new.clone(),
                        PutMode::Merge => entry.extend(new.clone()),
                        PutMode::Fill => {
                            for (name, version) in &new {
                                entry.entry(name.clone()).or_insert(*version);
                            }
                        }
                    }
                    Some(entry)
                });
                if *mode == PutMode::Replace && known == Known::Done {
                    self.tracks.entry(*key).or_default().damaged = false;
                }
            }
            Step::Evict(key) => self.change(*key, known, |_| None),
            Step::CleanScratch => {
                for key in self.keys().into_iter().filter(|key| *key >= SCRATCH) {
                    self.change(key, known, |_| None);
                }
            }
            Step::CleanTo(_) => {
                for key in self.keys() {
                    self.change(key, Known::Perhaps, |_| None);
                }
            }
            Step::Damage(key) => {
                self.change(*key, Known::Done, |_| None);
                self.tracks.entry(*key).or_default().damaged = true;
            }
            Step::Flush if known == Known::Done => {
                for track in self.tracks.values_mut() {
                    track.since_flush = track.now.clone();
                    track.dirty = false;
                }
            }
            Step::Get { key, .. } | Step::GetEntry(key) | Step::Contains(key) | Step::Meta(key) => {
                self.tracks.entry(*key).or_default();
            }
            Step::Open | Step::List | Step::Usage | Step::Flush => {}
        }
    }

    /// Whether such an entry may be found.
    pub(crate) fn allows(&self, key: u32, past: Past, found: impl Fn(&State) -> bool) -> bool {
        let Some(track) = self.tracks.get(&key) else { return found(&None) };
        let (states, may_be_gone) = match past {
            Past::Kill => (&track.now, self.evicts),
            Past::PowerCut => (&track.since_flush, self.evicts || track.dirty),
        };
        states.iter().any(&found) || (may_be_gone && found(&None))
    }

    /// Remembers what was found: the next read has to find the same.
    pub(crate) fn saw(&mut self, key: u32, found: impl Fn(&State) -> bool) {
        let evicts = self.evicts;
        let track = self.tracks.entry(key).or_default();
        if evicts {
            track.now.insert(None);
        }
        track.now.retain(found);
    }

    /// Whether a read may say that it found damage, which is a miss.
    pub(crate) fn is_damaged(&self, key: u32, past: Past) -> bool {
        self.tracks.get(&key).is_some_and(|track| track.damaged || (past == Past::PowerCut && track.dirty))
    }

    /// Those that were changed since the last flush and may be there.
    pub(crate) fn dirty(&self) -> Vec<u32> {
        let is_dirty = |track: &Track| track.dirty && track.now.iter().any(Option::is_some);
        self.tracks.iter().filter(|(_, track)| is_dirty(track)).map(|(key, _)| *key).collect()
    }
}
