//! Which entries were read, how often and when, until that is written to their rows.
//!
//! A hit only makes a note in memory. The writer takes the notes in batches: when there are many, before an eviction,
//! at `flush` and at the end.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use cache_core::{Key, KeyView};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::rows::Use;

const SHARDS: usize = 16;
/// What a table of 4,096 slots takes. A hit that finds it full is not noted.
const MOST: usize = 3_584;
/// From so many on it is time to write them down.
const MANY: usize = MOST / 2;
/// Room that is kept after the notes were written.
const KEPT: usize = 56;

/// Reads that no row tells of yet, of at most 57,344 entries (about 6 MB), and as many that are just being written. A
/// note stays until its row can be seen.
pub(crate) struct Recency {
    shards: [Shard; SHARDS],
    /// A caller must not be able to choose keys that share a slot.
    seed: u64,
    /// Whether somebody was told to have the notes written, and that was not begun yet.
    due: AtomicBool,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    fresh: HashTable<Note>,
    /// On their way into rows.
    leaving: HashTable<Note>,
}

/// The reads of an entry: the last one's stamp and time, and how many there were.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) key: Key,
    pub(crate) reads: Use,
}

impl Default for Recency {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(());
        Self { shards: Default::default(), seed, due: AtomicBool::new(false) }
    }
}

impl Recency {
    /// Notes that an entry was read. Answers whether the caller is to see to it that the notes are written.
    pub(crate) fn touch(&self, key: KeyView<'_>, stamp: u64, at: SystemTime) -> bool {
        let hash = hash(key, self.seed);
        let is_due = self.notes(hash).touch(hash, key, Use { stamp, at, count: 1 }, self.seed);
        is_due && !self.due.load(Ordering::Relaxed) && !self.due.swap(true, Ordering::AcqRel)
    }

    /// What an entry's row will be told: the reads that it does not know of.
    pub(crate) fn unwritten(&self, key: &Key) -> Option<Use> {
        let hash = hash(key.view(), self.seed);
        let notes = self.notes(hash);
        let find = |table: &HashTable<Note>| table.find(hash, |note| note.key == *key).map(|note| note.reads);
        match (find(&notes.fresh), find(&notes.leaving)) {
            (Some(fresh), Some(leaving)) => Some(fresh.after(leaving)),
            (fresh, leaving) => fresh.or(leaving),
        }
    }

    /// The entry went away.
    pub(crate) fn forget(&self, key: &Key) {
        let hash = hash(key.view(), self.seed);
        let mut notes = self.notes(hash);
        let Notes { fresh, leaving } = &mut *notes;
        for table in [fresh, leaving] {
            if let Ok(note) = table.find_entry(hash, |note| note.key == *key) {
                note.remove();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| {
            let notes = shard.lock();
            notes.fresh.is_empty() && notes.leaving.is_empty()
        })
    }

    /// Takes the notes, in the order of their stamps, to be written.
    pub(crate) fn take(&self) -> Vec<Note> {
        self.due.store(false, Ordering::Release);
        self.keep(&HashSet::new());
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut notes = shard.lock();
            notes.leaving = std::mem::take(&mut notes.fresh);
            taken.extend(notes.leaving.iter().cloned());
        }
        taken.sort_unstable_by_key(|note| note.reads.stamp);
        taken
    }

    /// The notes that were taken are in rows that can be seen.
    pub(crate) fn written(&self) {
        for shard in &self.shards {
            let mut leaving = std::mem::take(&mut shard.lock().leaving);
            leaving.clear();
            leaving.shrink_to(KEPT, |note| hash(note.key.view(), self.seed));
        }
    }

    /// The notes that were taken and are not known to be written.
    pub(crate) fn leaving(&self) -> Vec<Note> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().leaving.iter().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// The notes that were taken could not be written, but for those with these stamps.
    pub(crate) fn keep(&self, written: &HashSet<u64>) {
        for shard in &self.shards {
            let mut notes = shard.lock();
            for note in std::mem::take(&mut notes.leaving) {
                if written.contains(&note.reads.stamp) {
                    continue;
                }
                let hash = hash(note.key.view(), self.seed);
                if let Some(fresh) = notes.fresh.find_mut(hash, |other| other.key == note.key) {
                    fresh.reads = fresh.reads.after(note.reads);
                } else if notes.fresh.len() < MOST {
                    notes.fresh.insert_unique(hash, note, |note| self::hash(note.key.view(), self.seed));
                }
            }
        }
    }

    fn notes(&self, hash: u64) -> MutexGuard<'_, Notes> {
        let [first, ..] = &self.shards;
        // Not the bits that the tables go by.
        let at = usize::try_from(hash >> 40).unwrap_or(0) % SHARDS;
        self.shards.get(at).unwrap_or(first).lock()
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn touch(&mut self, hash: u64, key: KeyView<'_>, read: Use, seed: u64) -> bool {
        if let Some(note) = self.fresh.find_mut(hash, |note| note.key.view() == key) {
            note.reads = read.after(note.reads);
        } else if self.fresh.len() < MOST {
            let note = Note { key: key.to_key(), reads: read };
            self.fresh.insert_unique(hash, note, |note| self::hash(note.key.view(), seed));
        }
        self.fresh.len() >= MANY
    }
}

fn hash(key: KeyView<'_>, seed: u64) -> u64 {
    let seed = match key.namespace.encoded() {
        "" => seed,
        encoded => xxh3_64_with_seed(encoded.as_bytes(), seed),
    };
    xxh3_64_with_seed(key.digest.as_bytes(), seed)
}

impl std::fmt::Debug for Recency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recency").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
