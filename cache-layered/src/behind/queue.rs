//! What waits to be written: of each key the newest word, and the one that is being written.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use cache_core::{Error, Key};
use tokio::time::Instant;

use super::word::{What, Word};

/// Pauses after failures begin with this and double.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a tier is owed. Words of a key are written in the order in which they came; one that waits is replaced by a
/// newer one.
#[derive(Debug, Default)]
pub(super) struct Queue {
    max_bytes: u64,
    bytes: u64,
    /// The number of the newest word.
    newest: u64,
    slots: BTreeMap<Key, Slot>,
    /// The words that wait, the oldest first.
    order: BTreeMap<u64, Key>,
    pause: Option<Pause>,
    /// Puts that were given up, ever, and how many of them a flush has told of.
    losses: u64,
    told: u64,
    /// Why the newest of them was.
    loss: Option<Error>,
    pub(super) closed: bool,
    /// Whether a task writes what waits.
    pub(super) draining: bool,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Word>,
    writing: Option<Word>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    until: Instant,
}

/// Puts that no flush has told of yet.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) puts: u64,
    /// Why the newest of them was given up.
    pub(super) newest: Error,
    /// What to forget by, once they are told of.
    pub(super) up_to: u64,
}

impl Queue {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// Words of how many keys there are, and their bytes.
    pub(super) fn len(&self) -> (u64, u64) {
        (self.slots.len() as u64, self.bytes)
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether there is room for a word. One that needs no more than the one that it replaces always has.
    pub(super) fn has_room(&self, key: &Key, what: &What) -> bool {
        let cost = what.cost(key);
        let freed = self.waiting(key).map_or(0, |word| word.cost);
        let bytes = self.bytes.saturating_sub(freed).saturating_add(cost);
        !self.closed && (cost <= freed || bytes <= self.max_bytes)
    }

    /// Takes a word in.
    pub(super) fn accept(&mut self, key: &Key, what: What) {
        let cost = what.cost(key);
        self.replace(key, what, cost);
    }

    fn replace(&mut self, key: &Key, what: What, cost: u64) {
        self.newest += 1;
        let word = Word { number: self.newest, what, cost };
        self.bytes = self.bytes.saturating_add(cost);
        self.order.insert(word.number, key.clone());
        let before = self.slots.entry(key.clone()).or_default().waiting.replace(word);
        self.forget(before);
    }

    fn forget(&mut self, word: Option<Word>) {
        if let Some(word) = word {
            self.order.remove(&word.number);
            self.bytes = self.bytes.saturating_sub(word.cost);
        }
    }

    fn waiting(&self, key: &Key) -> Option<&Word> {
        self.slots.get(key)?.waiting.as_ref()
    }

    /// What is to be read of the key, instead of what the tier has.
    pub(super) fn word(&self, key: &Key) -> Option<&What> {
        self.slots.get(key)?.word()
    }

    /// All keys of which there is a word, from `first` on.
    pub(super) fn words_from(&self, first: Key) -> impl Iterator<Item = (&Key, &What)> {
        self.slots.range(first..).filter_map(|(key, slot)| Some((key, slot.word()?)))
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        // The oldest first, and what is being written before.
        let writing = self.slots.iter().filter(|(_, slot)| slot.waiting.is_none()).map(|(key, _)| key);
        writing.chain(self.order.values()).cloned().collect()
    }

    /// The key whose word waits longest, of those that are not being written.
    pub(super) fn oldest(&self, is_busy: impl Fn(&Key) -> bool) -> Option<Key> {
        self.order.values().find(|key| !is_busy(key)).cloned()
    }

    /// Has reads find nothing under the key although a put of it waits: whether a word is there.
    pub(super) fn hide(&mut self, key: &Key) -> bool {
        let Some(word) = self.waiting(key) else { return false };
        if matches!(word.what, What::Put(_)) {
            self.replace(key, What::Evict, What::Evict.cost(key));
        }
        true
    }

    /// Drops the word that waits, if it is no newer than `number`: the tier has what came after it.
    pub(super) fn supersede(&mut self, key: &Key, number: u64) {
        let Entry::Occupied(mut slot) = self.slots.entry(key.clone()) else { return };
        let word = slot.get_mut().waiting.take_if(|word| word.number <= number);
        if slot.get().is_empty() {
            slot.remove();
        }
        self.forget(word);
    }

    /// Begins to write the word that waits. The key's turn is taken.
    pub(super) fn begin(&mut self, key: &Key) -> Option<Word> {
        let slot = self.slots.get_mut(key)?;
        let word = slot.waiting.take()?;
        self.order.remove(&word.number);
        slot.writing = Some(word.clone());
        Some(word)
    }

    /// The tier has the word that was being written.
    pub(super) fn wrote(&mut self, key: &Key) {
        let Entry::Occupied(mut slot) = self.slots.entry(key.clone()) else { return };
        let word = slot.get_mut().writing.take();
        if slot.get().is_empty() {
            slot.remove();
        }
        self.forget(word);
    }

    /// The word that was being written waits again, unless a newer one does.
    pub(super) fn put_back(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(word) = slot.writing.take() else { return };
        if slot.waiting.is_some() {
            return self.forget(Some(word));
        }
        self.order.insert(word.number, key.clone());
        slot.waiting = Some(word);
    }

    /// Gives up the put that was being written. An older value in the tier must not come back for it: it is to be
    /// evicted now. `false` if a newer word waits, which does that.
    pub(super) fn lose(&mut self, key: &Key, error: &Error) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        if slot.waiting.is_some() {
            self.wrote(key);
            return false;
        }
        let Some(word) = &mut slot.writing else { return false };
        let cost = What::Evict.cost(key);
        self.bytes = self.bytes.saturating_sub(word.cost).saturating_add(cost);
        (word.what, word.cost) = (What::Evict, cost);
        self.losses += 1;
        self.loss = Some(error.clone());
        true
    }

    /// What was lost and not told of.
    pub(super) fn lost(&self) -> Option<Lost> {
        let puts = self.losses.saturating_sub(self.told);
        let newest = self.loss.clone().filter(|_| puts > 0)?;
        Some(Lost { puts, newest, up_to: self.losses })
    }

    /// Somebody knows of the losses up to this one.
    pub(super) fn told(&mut self, up_to: u64) {
        self.told = self.told.max(up_to);
    }

    /// The tier is sick: it is left alone for twice as long as before. Failures of what was under way then are one.
    pub(super) fn found_sick(&mut self) {
        let now = Instant::now();
        let length = match self.pause {
            Some(pause) if pause.until > now => return,
            Some(pause) => (pause.length * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.pause = Some(Pause { length, until: now + length });
    }

    pub(super) fn found_well(&mut self) {
        self.pause = None;
    }

    /// Until when the tier is left alone.
    pub(super) fn pauses_until(&self) -> Option<Instant> {
        self.pause.map(|pause| pause.until).filter(|until| *until > Instant::now())
    }
}

impl Slot {
    /// The newest.
    fn word(&self) -> Option<&What> {
        self.waiting.as_ref().or(self.writing.as_ref()).map(|word| &word.what)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_none() && self.writing.is_none()
    }
}
