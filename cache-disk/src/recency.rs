//! Which entries were read and when, until that is written to their directories' modification times.
//!
//! A hit only makes a note in memory. The notes are written in batches, off the read path: when there are many, when a
//! hit finds that one is a second old, before an eviction, at `flush` and at the end.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use cache_core::{Key, KeyView};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{entry_dir::EntryDir, root::Root};

const SHARDS: usize = 16;
/// What a table of 1,024 slots takes. A hit that finds it full is not noted.
const MOST: usize = 896;
/// From so many on it is time to write them down.
const MANY: usize = MOST / 2;
const OLD: Duration = Duration::from_secs(1);
/// Room that is kept after the notes were written.
const KEPT: usize = 56;

/// Reads that are not on disk yet, at most 14,336 of them (about 1.2 MB). A note stays until it is written, so that
/// who asks for it, or for the directory's time after it, never misses a read.
pub(crate) struct Recency {
    shards: [Shard; SHARDS],
    /// A caller must not be able to choose keys that share a slot.
    seed: u64,
    /// Whether somebody was told to drain and has not done it yet.
    due: AtomicBool,
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    table: HashTable<Note>,
    /// The first of the notes, or earlier.
    oldest: Option<SystemTime>,
}

#[derive(Clone)]
struct Note {
    key: Key,
    at: SystemTime,
}

impl Default for Recency {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            seed: RandomState::new().hash_one(()),
            due: AtomicBool::new(false),
        }
    }
}

impl Recency {
    fn hash(&self, key: KeyView<'_>) -> u64 {
        hash(key, self.seed)
    }

    fn notes(&self, hash: u64) -> MutexGuard<'_, Notes> {
        let [first, ..] = &self.shards;
        // Not the bits that the tables go by.
        let at = usize::try_from(hash >> 40).unwrap_or(0) % SHARDS;
        self.shards.get(at).unwrap_or(first).lock()
    }

    /// Notes that an entry was read. Answers whether the caller is to see to it that the notes are
    /// [drained](Self::drain).
    pub(crate) fn touch(&self, key: KeyView<'_>, now: SystemTime) -> bool {
        let hash = self.hash(key);
        let is_due = self.notes(hash).touch(hash, key, now, self.seed);
        is_due && !self.due.load(Ordering::Relaxed) && !self.due.swap(true, Ordering::AcqRel)
    }

    /// When an entry was read last, if that is not on disk yet.
    pub(crate) fn last(&self, key: &Key) -> Option<SystemTime> {
        let hash = self.hash(key.view());
        self.notes(hash).table.find(hash, |note| note.key == *key).map(|note| note.at)
    }

    /// The entry went away, or another took its place.
    pub(crate) fn forget(&self, key: &Key) {
        let hash = self.hash(key.view());
        if let Ok(note) = self.notes(hash).table.find_entry(hash, |note| note.key == *key) {
            note.remove();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().table.is_empty())
    }

    /// Writes all notes that were made before. Not being able to, on a read-only file system say, is fine. Blocks.
    pub(crate) fn drain(&self, root: &Root, now: impl Fn() -> SystemTime) {
        for shard in &self.shards {
            let noted: Vec<Note> = shard.lock().table.iter().cloned().collect();
            for note in &noted {
                write(root, note, &now);
            }
            if !noted.is_empty() {
                self.forget_written(shard, &noted);
            }
        }
        self.due.store(false, Ordering::Release);
    }

    fn forget_written(&self, shard: &Shard, written: &[Note]) {
        let mut notes = shard.lock();
        for done in written {
            let same = |note: &Note| note.at == done.at && note.key == done.key;
            if let Ok(note) = notes.table.find_entry(self.hash(done.key.view()), same) {
                note.remove();
            }
        }
        notes.oldest = notes.table.iter().map(|note| note.at).min();
        notes.table.shrink_to(KEPT, |note| self.hash(note.key.view()));
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn touch(&mut self, hash: u64, key: KeyView<'_>, now: SystemTime, seed: u64) -> bool {
        if let Some(note) = self.table.find_mut(hash, |note| note.key.view() == key) {
            note.at = now;
        } else if self.table.len() < MOST {
            let note = Note { key: key.to_key(), at: now };
            self.table.insert_unique(hash, note, |note| self::hash(note.key.view(), seed));
        }
        let oldest = *self.oldest.get_or_insert(now);
        self.table.len() >= MANY || now.duration_since(oldest).is_ok_and(|age| age >= OLD)
    }
}

fn hash(key: KeyView<'_>, seed: u64) -> u64 {
    let seed = match key.namespace.encoded() {
        "" => seed,
        encoded => xxh3_64_with_seed(encoded.as_bytes(), seed),
    };
    xxh3_64_with_seed(key.digest.as_bytes(), seed)
}

/// Sets the time of an entry's directory, unless it was used since. What is still to come is no use: the clock was
/// set back.
fn write(root: &Root, note: &Note, now: impl Fn() -> SystemTime) {
    if let Ok(Some(dir)) = EntryDir::open(root, &note.key, "get")
        && !(note.at..=now()).contains(&dir.last_used())
    {
        dir.touch(note.at);
    }
}

impl std::fmt::Debug for Recency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recency").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
