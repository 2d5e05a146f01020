//! What a faster tier evicts is kept by the one below it.
//!
//! Of a key there is one version: either tier may have it, or both. So a put, a merge and an eviction change
//! both under the key's turn, and what is handed on is kept under it, too. Who hands on may hold the turn of
//! another key meanwhile, and so waits for none.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use cache_core::{
    Counters, EntryMeta, EntryRead, ErrorKind, EvictionSink, GetOptions, Handover, Key, PutMode, PutOptions,
    PutStatus, Result, SpillSource, Store,
};
use futures::{StreamExt, stream};
use tokio_util::task::TaskTracker;

use crate::{
    key_lock::KeyLocks,
    layered::to_its_end,
    limbo::{InLimbo, Limbo, Mark},
    policy::WritePolicy,
    tier::Tier,
    write::whole,
};

/// How many entries are written below at the same time.
const AT_ONCE: usize = 4;

/// The two tiers between which entries move, and what is needed to keep them in step.
#[derive(Clone)]
pub(crate) struct Spilling {
    /// Where the tier that evicts stands.
    at: usize,
    source: Arc<dyn SpillSource>,
    below: Tier,
    /// Whether it is by the lower one that the stack is durable.
    carries: bool,
    /// What the lower one lacks, where it is to be durable.
    unwritten: Arc<Mutex<Unwritten>>,
    limbo: Limbo,
    locks: KeyLocks,
    counters: Arc<Counters>,
    tasks: TaskTracker,
}

/// From which tier entries move down, and those that are in neither tier meanwhile.
pub(crate) struct Moving {
    pub(crate) source: usize,
    pub(crate) limbo: Limbo,
}

/// Keys, and in which order they were written.
#[derive(Debug, Default)]
struct Unwritten {
    keys: HashMap<Key, u64>,
    writes: u64,
}

impl Unwritten {
    fn insert(&mut self, key: &Key) {
        self.writes += 1;
        self.keys.insert(key.clone(), self.writes);
    }
}

impl Spilling {
    pub(crate) fn of(
        tiers: &[Tier],
        locks: &KeyLocks,
        counters: &Arc<Counters>,
        tasks: &TaskTracker,
    ) -> Option<Self> {
        let (at, pair) = tiers.windows(2).enumerate().find_map(|(at, pair)| {
            let [faster, below] = pair else { return None };
            let source = faster.source.clone().filter(|_| below.options.write == WritePolicy::Spill)?;
            Some((at, (source, below.clone())))
        })?;
        let (source, below) = pair;
        Some(Self {
            at,
            source,
            // What stands behind it is others', or a copy that nobody reads.
            carries: below.info.powers.durable && tiers.iter().skip(at + 2).all(|tier| !tier.is_kept()),
            below,
            unwritten: Arc::default(),
            limbo: Limbo::default(),
            locks: locks.clone(),
            counters: Arc::clone(counters),
            tasks: tasks.clone(),
        })
    }

    /// From here on takes what is evicted; `false` if somebody else does already.
    pub(crate) fn begin(&self) -> bool {
        let before = self.source.set_sink(Some(Arc::new(self.sink())));
        let is_free = before.is_none();
        if !is_free {
            self.source.set_sink(before);
        }
        is_free
    }

    /// Leaves the source to evict on its own.
    pub(crate) fn end(&self) {
        self.source.set_sink(None);
    }

    /// Where the tier that takes stands.
    pub(crate) fn below_at(&self) -> usize {
        self.at + 1
    }

    pub(crate) fn source_at(&self) -> usize {
        self.at
    }

    /// What a listing needs to know, so that it misses nothing that moves.
    pub(crate) fn moving(&self) -> Moving {
        Moving { source: self.at, limbo: self.limbo.clone() }
    }

    /// Whether a copy of the entry that was given up may still come to the lower tier. To be asked before
    /// [`is_below`](Self::is_below), as it may come in between.
    pub(crate) fn may_come_below(&self, key: &Key) -> bool {
        self.below.lingers(key)
    }

    /// Whether the lower tier has the entry.
    pub(crate) async fn is_below(&self, key: &Key) -> Result<bool> {
        self.below.store.contains(key).await.map_err(|error| self.below.failed("put", error))
    }

    /// The value that the source alone has, and may drop for a newer one that it refuses. The key's turn is
    /// taken.
    pub(crate) fn begin_replacing(&self, key: &Key) -> Option<(EntryRead, InLimbo)> {
        let older = self.source.peek(key)?;
        let in_limbo = self.limbo.enter(key, older.meta.clone());
        Some((older, in_limbo))
    }

    /// Has the source take back a value that it dropped for one that could not be written.
    pub(crate) async fn restore(&self, key: &Key, older: EntryRead) {
        let mut options = PutOptions::mode(PutMode::Fill);
        options.created = older.meta.modified;
        _ = self.source.put(key, whole(older), options).await;
    }

    /// To be taken before tiers are asked for a key.
    pub(crate) fn mark(&self, key: &Key) -> Mark {
        self.limbo.mark(key)
    }

    /// Whether the entry may have been nowhere when tiers were asked since `mark`, although it was not
    /// removed. Waits until it is somewhere, and makes `mark` one for asking them again, which other keys
    /// leave as it is: who asks again does so as often as the key itself moves, and once for all others.
    pub(crate) async fn was_between(&self, key: &Key, mark: &mut Mark) -> bool {
        // In this order: a key counts before it leaves.
        let is_between = self.limbo.has(key);
        if is_between {
            self.locks.quiet(key).await;
        } else if !self.limbo.has_left(key, mark) {
            return false;
        }
        *mark = self.limbo.watch(key);
        true
    }

    /// Takes note of where the entry is once its turn to be written ends.
    pub(crate) fn wrote(&self, key: &Key, is_below: bool) {
        if is_below || !self.carries {
            self.unwritten().keys.remove(key);
        } else {
            self.unwritten().insert(key);
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the entry of the source below, too: whether it is there now. The key's turn is taken.
    pub(crate) async fn copy_down(&self, key: &Key) -> Result<bool> {
        let Some(entry) = self.source.peek(key) else { return Ok(false) };
        match keep(&self.below, entry).await {
            Ok(Kept::Refused) => Ok(false),
            Ok(Kept::Known | Kept::Written) => Ok(true),
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(false),
            Err(error) => Err(self.below.failed("spill", error)),
        }
    }

    /// Writes below what is only in the source, so that a flush of the lower tier covers it. Goes on after
    /// a failure and reports the first.
    pub(crate) async fn write_down(&self) -> Result<()> {
        let mut keys: Vec<_> = self.unwritten().keys.iter().map(|(key, at)| (key.clone(), *at)).collect();
        // The least recent first and one by one: below they are as recent as they are written.
        keys.sort_by_cached_key(|(key, at)| {
            (self.source.peek(key).and_then(|entry| entry.meta.recency()), *at)
        });
        let mut all = Ok(());
        for (key, _) in keys {
            let spilling = self.clone();
            let one = to_its_end(&self.tasks, "flush", async move {
                let _turn = spilling.locks.write(&key).await;
                if spilling.unwritten().keys.contains_key(&key) {
                    spilling.copy_down(&key).await?;
                    spilling.unwritten().keys.remove(&key);
                }
                Ok(())
            });
            all = all.and(one.await);
        }
        all
    }

    /// Puts up to this size are held in hand, so that the source can refuse them: what the default read
    /// holds, if the source has the room at all.
    pub(crate) fn most_in_hand(&self) -> u64 {
        let room = self.source.info().max_bytes.unwrap_or(u64::MAX);
        GetOptions::default().stream_above.min(room)
    }

    /// How many entries a close leaves behind.
    pub(crate) fn left(&self) -> u64 {
        self.unwritten().keys.len() as u64
    }

    fn sink(&self) -> Sink {
        Sink {
            source: Arc::downgrade(&self.source),
            below: self.below.clone(),
            unwritten: Arc::clone(&self.unwritten),
            locks: self.locks.clone(),
            counters: Arc::clone(&self.counters),
            tasks: self.tasks.clone(),
        }
    }
}

/// What the source hands its victims to. It does not keep the source, which holds it.
#[derive(Clone)]
struct Sink {
    source: Weak<dyn SpillSource>,
    below: Tier,
    unwritten: Arc<Mutex<Unwritten>>,
    locks: KeyLocks,
    counters: Arc<Counters>,
    tasks: TaskTracker,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("below", &self.below).finish_non_exhaustive()
    }
}

#[async_trait]
impl EvictionSink for Sink {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        let each: Vec<_> = victims.into_iter().map(|victim| self.clone().take_one(victim)).collect();
        stream::iter(each).buffered(AT_ONCE).collect().await
    }
}

impl Sink {
    async fn take_one(self, victim: EntryRead) -> Handover {
        let key = victim.meta.key.clone();
        let Some(turn) = self.locks.try_spill(&key) else { return Handover::Busy };
        // Nothing of it is to be written: the source finds that it has gone.
        let Some(victim) = self.as_it_is(victim) else { return Handover::Known };
        let tasks = self.tasks.clone();
        let taken = to_its_end(&tasks, "spill", async move {
            let _turn = turn;
            let handover = match keep(&self.below, victim).await {
                Ok(Kept::Written) => Handover::Taken,
                Ok(Kept::Known) => Handover::Known,
                Ok(Kept::Refused) | Err(_) => Handover::Lost,
            };
            match handover {
                Handover::Taken => self.counters.spill(true),
                Handover::Lost => self.counters.spill(false),
                _ => {}
            }
            self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).keys.remove(&key);
            Ok(handover)
        });
        // What panics has not been taken.
        taken.await.unwrap_or(Handover::Lost)
    }

    /// The victim, unless it was replaced or removed since it was handed on. Its turn is taken.
    fn as_it_is(&self, victim: EntryRead) -> Option<EntryRead> {
        let Some(source) = self.source.upgrade() else { return Some(victim) };
        source.peek(&victim.meta.key).filter(|now| is_same_version(&now.meta, &victim.meta))
    }
}

enum Kept {
    /// It was there.
    Known,
    Written,
    Refused,
}

/// Writes an entry to a tier unless this version of it is there.
async fn keep(tier: &Tier, entry: EntryRead) -> Result<Kept> {
    let key = entry.meta.key.clone();
    // A tier that cannot tell is written to.
    let there = tier.store.meta(&key).await.ok().flatten();
    if there.as_ref().is_some_and(|there| is_same_version(&entry.meta, there)) {
        return Ok(Kept::Known);
    }
    if tier.is_entry_too_large(entry.meta.counted_bytes()) {
        tier.store.evict(&key).await?;
        return Ok(Kept::Refused);
    }
    let mut options = PutOptions::default();
    options.created = entry.meta.modified;
    match tier.store.put(&key, whole(entry), options).await {
        Ok(outcome) if outcome.status == PutStatus::Stored => Ok(Kept::Written),
        Ok(_) => Ok(Kept::Refused),
        Err(error) => {
            // Another version must not come back for this one.
            if there.is_some() {
                _ = tier.store.evict(&key).await;
            }
            Err(error)
        }
    }
}

/// Whether two tiers have the same put of an entry, as far as they tell.
fn is_same_version(one: &EntryMeta, other: &EntryMeta) -> bool {
    let sizes =
        |meta: &EntryMeta| meta.blobs.iter().map(|blob| (blob.name.clone(), blob.bytes)).collect::<Vec<_>>();
    let same_time = match (one.modified, other.modified) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    same_time && sizes(one) == sizes(other)
}
