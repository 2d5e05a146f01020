//! Keeps the tiers in step: writes of one key run one after another, and a promotion never brings
//! back what a write has replaced since the promotion's value was read.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use cache_core::Key;
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::fetch::{Boarded, Fetching, Flights, Landed, Registration, Want};

/// The keys that somebody works on now.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyLocks {
    slots: Arc<Mutex<Slots>>,
    landed: Arc<Landed>,
    /// The keys that were put while somebody wants to know.
    put: Arc<Mutex<Option<HashSet<Key>>>>,
}

/// Slots, and how many watch each.
type Slots = HashMap<Key, (usize, Arc<Slot>)>;

#[derive(Debug, Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Counts finished writes.
    writes: AtomicU64,
    /// Those who write, and those who wait for their turn to.
    writers: AtomicUsize,
    /// Tells that there is one more of them.
    called: Notify,
    /// Tells that a turn has ended.
    ended: Notify,
    flights: Flights,
}

impl KeyLocks {
    fn map(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, key: &Key) -> Watch {
        let mut map = self.map();
        let (watchers, slot) = map.entry(key.clone()).or_default();
        *watchers += 1;
        Watch { locks: self.clone(), key: key.clone(), slot: Arc::clone(slot) }
    }

    /// Waits for this key's turn to write. A promotion that waits for its source gives way.
    pub(crate) async fn write(&self, key: &Key) -> WriteGuard {
        self.turn(key, false).await
    }

    /// The same for a put, which is [noted](Self::note_puts).
    pub(crate) async fn put(&self, key: &Key) -> WriteGuard {
        self.turn(key, true).await
    }

    async fn turn(&self, key: &Key, is_put: bool) -> WriteGuard {
        let watch = self.watch(key);
        let writer = Writer::of(&watch.slot);
        let lock = Arc::clone(&watch.slot.lock).lock_owned().await;
        WriteGuard { is_put, writer, turn: Turn { lock: Some(lock), watch } }
    }

    fn put_keys(&self) -> MutexGuard<'_, Option<HashSet<Key>>> {
        self.put.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes from now on which keys are put, until the answer is dropped. Once at a time.
    pub(crate) fn note_puts(&self) -> Noted {
        self.put_keys().get_or_insert_default();
        Noted(self.clone())
    }

    /// Waits until nobody writes the key, or one of those who do has ended. Not in line with them: who waits may be
    /// a future that nobody polls, and must not be given the turn.
    pub(crate) async fn quiet(&self, key: &Key) {
        let watch = self.watch(key);
        let mut ended = std::pin::pin!(watch.slot.ended.notified());
        ended.as_mut().enable();
        if Turn::try_of(&watch).is_none() {
            ended.await;
        }
    }

    /// The right to copy the key's entry to another tier, unless somebody writes, copies or removes it now.
    pub(crate) fn try_spill(&self, key: &Key) -> Option<SpillGuard> {
        Turn::try_of(&self.watch(key)).map(SpillGuard)
    }

    /// Taken before a value is read that may be promoted.
    pub(crate) fn ticket(&self, key: &Key) -> Ticket {
        let watch = self.watch(key);
        let writes = watch.slot.writes.load(Ordering::Acquire);
        Ticket { watch, writes }
    }

    /// Taken before the fastest tier is asked by a reader who may have to ask the others, too.
    pub(crate) fn landed(&self, key: &Key) -> u64 {
        self.landed.seen(key)
    }

    /// Has a reader whom the fastest tier could not answer share the work of others who ask for the same, or
    /// begin it. `seen` is what `landed` said before; without it the reader is not sent back to the fastest tier.
    pub(crate) fn board(
        &self,
        key: &Key,
        want: &Want,
        seen: Option<u64>,
        begin: impl FnOnce(Registration) -> Fetching,
    ) -> Boarded {
        let watch = self.watch(key);
        // What a write in hand has not reached yet is for those alone who come before its end.
        if watch.slot.writers.load(Ordering::Acquire) > 0 {
            return Boarded::Alone;
        }
        let is_late = || seen.is_some_and(|seen| self.landed.seen(key) != seen);
        let registered = self.watch(key);
        let landed = Arc::clone(&self.landed);
        watch.slot.flights.board(want, is_late, move |left| begin(Registration::of(registered, left, landed)))
    }
}

/// As long as it lives, keys that are put are noted.
#[derive(Debug)]
pub(crate) struct Noted(KeyLocks);

impl Noted {
    /// Whether a put of the key has ended since.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.0.put_keys().as_ref().is_some_and(|put| put.contains(key))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.put_keys().take();
    }
}

/// Keeps a key's slot in the map while somebody needs it.
#[derive(Debug)]
pub(crate) struct Watch {
    locks: KeyLocks,
    key: Key,
    slot: Arc<Slot>,
}

impl Watch {
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.slot.flights
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut map = self.locks.map();
        if let Some((watchers, _)) = map.get_mut(&self.key) {
            *watchers -= 1;
            if *watchers == 0 {
                map.remove(&self.key);
            }
        }
    }
}

/// A key's turn: nobody else writes, copies or removes its entry. The key is watched as long: else its slot would be
/// forgotten, and who comes next would find another lock.
#[derive(Debug)]
struct Turn {
    /// Always there but while it is dropped.
    lock: Option<OwnedMutexGuard<()>>,
    watch: Watch,
}

impl Turn {
    /// The turn of a key that is watched, unless somebody has it.
    fn try_of(watch: &Watch) -> Option<Self> {
        let lock = Arc::clone(&watch.slot.lock).try_lock_owned().ok()?;
        Some(Self { lock: Some(lock), watch: watch.locks.watch(&watch.key) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.lock.take());
        self.watch.slot.ended.notify_waiters();
    }
}

/// One who writes, or waits for the turn.
#[derive(Debug)]
struct Writer(Arc<Slot>);

impl Writer {
    fn of(slot: &Arc<Slot>) -> Self {
        slot.writers.fetch_add(1, Ordering::AcqRel);
        slot.called.notify_waiters();
        Self(Arc::clone(slot))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.writers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to write a key.
#[derive(Debug)]
pub(crate) struct WriteGuard {
    is_put: bool,
    /// Goes before the turn does: who takes that next is the only one again.
    writer: Writer,
    turn: Turn,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let watch = &self.turn.watch;
        if self.is_put
            && let Some(put) = watch.locks.put_keys().as_mut()
        {
            put.insert(watch.key.clone());
        }
        // Before the lock is given back, so that whoever gets it next sees the write.
        self.writer.0.writes.fetch_add(1, Ordering::AcqRel);
        // Before the caller is answered: who comes then finds what was written.
        self.writer.0.flights.forget();
    }
}

/// The right to copy a key's entry, which stays the version that it is.
#[derive(Debug)]
pub(crate) struct SpillGuard(Turn);

impl Drop for SpillGuard {
    fn drop(&mut self) {
        // Who was told that the entry is not below was told so before it came there.
        self.0.watch.slot.flights.forget();
    }
}

/// The right to copy a key's entry into faster tiers, also when the ticket for it is gone.
#[derive(Debug)]
pub(crate) struct PromotionGuard {
    _turn: Turn,
}

/// What a promotion needs to know that its value is still the newest.
#[derive(Debug)]
pub(crate) struct Ticket {
    watch: Watch,
    writes: u64,
}

impl Ticket {
    /// The right to promote; `None` if a write came in between or is under way, or if another
    /// promotion of the key is.
    pub(crate) fn claim(&self) -> Option<PromotionGuard> {
        let turn = Turn::try_of(&self.watch)?;
        self.is_newest().then_some(PromotionGuard { _turn: turn })
    }

    /// Whether no write has ended since.
    fn is_newest(&self) -> bool {
        self.watch.slot.writes.load(Ordering::Acquire) == self.writes
    }

    /// Whether nobody has written since, or is about to.
    pub(crate) fn is_untouched(&self) -> bool {
        self.watch.slot.writers.load(Ordering::Acquire) == 0 && self.is_newest()
    }

    /// Waits until somebody wants to write the key.
    pub(crate) async fn called(&self) {
        loop {
            let mut called = std::pin::pin!(self.watch.slot.called.notified());
            called.as_mut().enable();
            if self.watch.slot.writers.load(Ordering::Acquire) > 0 {
                return;
            }
            called.await;
        }
    }
}

#[cfg(test)]
mod tests;
