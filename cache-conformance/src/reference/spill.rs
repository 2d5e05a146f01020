//! How the reference store makes room with a sink: it asks for one victim after the other until there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, Clock, EntryRead, EvictionSink, Handover, Key, PutMode, PutOptions, PutOutcome, Refusal,
    Result, SpillSource, SystemClock,
};

use super::{
    ReferenceStore,
    medium::{Held, Sealed, State},
};

/// What it takes to write.
enum Room {
    Made(PutOutcome),
    /// This entry has to go first.
    Needs(Box<Victim>),
}

struct Victim {
    key: Key,
    version: u64,
    bytes: u64,
    /// Nothing if it is damaged.
    read: Option<EntryRead>,
}

impl SpillSource for ReferenceStore {
    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
        let mut kept = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let sink = sink.filter(|_| !self.0.closed.load(std::sync::atomic::Ordering::SeqCst));
        std::mem::replace(&mut kept, sink)
    }

    fn peek(&self, key: &Key) -> Option<EntryRead> {
        let state = self.state("peek").ok()?;
        self.whole(key, state.entries.get(key)?)
    }
}

impl ReferenceStore {
    pub(super) fn sink(&self) -> Option<Arc<dyn EvictionSink>> {
        self.0.sink.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes an entry, and hands on what has to go before it is there.
    pub(super) async fn write_after(
        &self,
        sink: &dyn EvictionSink,
        key: &Key,
        blobs: Vec<(BlobName, Sealed)>,
        options: &PutOptions,
    ) -> Result<PutOutcome> {
        drop(self.access("put")?);
        let mut staying = BTreeSet::new();
        if let Room::Made(outcome) = self.try_write(key, &blobs, options, &staying)? {
            return Ok(outcome);
        }
        // One at a time, so that a victim is handed on once.
        let _turn = self.0.spilling.lock().await;
        loop {
            match self.try_write(key, &blobs, options, &staying)? {
                Room::Made(outcome) => return Ok(outcome),
                Room::Needs(victim) => self.hand_on(sink, *victim, &mut staying).await,
            }
        }
    }

    /// Hands on what is over the budget, as far as it goes.
    pub(super) async fn spill_down(&self, sink: &dyn EvictionSink) -> Result<()> {
        drop(self.access("flush")?);
        let _turn = self.0.spilling.lock().await;
        let mut staying = BTreeSet::new();
        loop {
            let victim = {
                let state = self.state("flush")?;
                let is_over = state.held_bytes() > self.0.info.max_bytes.unwrap_or(u64::MAX);
                is_over.then(|| self.victim(&state, &staying)).flatten()
            };
            let Some(victim) = victim else { return Ok(()) };
            self.hand_on(sink, victim, &mut staying).await;
        }
    }

    fn try_write(
        &self,
        key: &Key,
        blobs: &[(BlobName, Sealed)],
        options: &PutOptions,
        staying: &BTreeSet<Key>,
    ) -> Result<Room> {
        let mut state = self.state("put")?;
        let next = self.next(&mut state, key, blobs.to_vec(), options);
        let max = self.0.info.max_bytes.unwrap_or(u64::MAX);
        let before = state.entries.get(key).map_or(0, Held::bytes);
        let reason = if max == 0 {
            Refusal::Disabled
        } else if next.bytes() > max {
            Refusal::OverBudget
        } else if state.held_bytes() - before + next.bytes() <= max {
            state.entries.insert(key.clone(), next);
            return Ok(Room::Made(PutOutcome::stored()));
        } else {
            let mut others = staying.clone();
            others.insert(key.clone());
            match self.victim(&state, &others) {
                Some(victim) => return Ok(Room::Needs(Box::new(victim))),
                None => Refusal::NoRoom,
            }
        };
        if options.mode != PutMode::Fill {
            state.entries.remove(key);
        }
        Ok(Room::Made(PutOutcome::refused(reason)))
    }

    /// What the entry is once these blobs are in it.
    pub(super) fn next(
        &self,
        state: &mut State,
        key: &Key,
        blobs: Vec<(BlobName, Sealed)>,
        options: &PutOptions,
    ) -> Held {
        state.uses += 1;
        let there: BTreeMap<_, _> = state.entries.get(key).map(|held| held.blobs.clone()).unwrap_or_default();
        let blobs = options.mode.apply(there, blobs);
        let (version, now) = (state.uses, SystemClock.now());
        Held { blobs, version, written: now, use_number: version, accessed: now, accesses: 0 }
    }

    /// The least recent entry but those that stay.
    fn victim(&self, state: &State, staying: &BTreeSet<Key>) -> Option<Victim> {
        let leaving = state.entries.iter().filter(|(key, _)| !staying.contains(key));
        let (key, held) = leaving.min_by_key(|(_, held)| held.use_number)?;
        let read = self.whole(key, held);
        Some(Victim { key: key.clone(), version: held.version, bytes: held.bytes(), read })
    }

    /// The entry as it is handed on, if it is not damaged.
    fn whole(&self, key: &Key, held: &Held) -> Option<EntryRead> {
        let blobs = held.blobs.iter().map(|(name, sealed)| {
            let bytes = sealed.open(key, name)?;
            let shared = self.0.info.powers.shared_bytes;
            Ok((name.clone(), Blob::from_bytes(if shared { bytes } else { Bytes::copy_from_slice(&bytes) })))
        });
        let blobs: Result<Vec<_>> = blobs.collect();
        Some(EntryRead::new(self.describe(key, held), blobs.ok()?))
    }

    /// Has the sink take the victim, and lets it go by the answer if it is still that version.
    async fn hand_on(&self, sink: &dyn EvictionSink, victim: Victim, staying: &mut BTreeSet<Key>) {
        let answer = match victim.read {
            Some(read) => sink.take(vec![read]).await.first().copied().unwrap_or(Handover::Busy),
            None => Handover::Lost,
        };
        let mut state = self.0.medium.lock();
        if !answer.leaves() {
            staying.insert(victim.key);
        } else if state.entries.get(&victim.key).is_some_and(|held| held.version == victim.version) {
            state.entries.remove(&victim.key);
            self.0.counters.handover(answer, victim.bytes);
        }
    }
}
