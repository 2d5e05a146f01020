//! The write path: collect what streams in under a reservation, make room, then show it in one step.

use std::sync::PoisonError;

use bytes::Bytes;
use cache_core::{
    Error, ErrorKind, EvictionSink, Handover, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome,
    Refusal, Result,
};
use futures::TryStreamExt;

use crate::{
    MemoryStore, Policy,
    engine::{Attempt, Leaving, Put},
    slot::{Blobs, Held},
};

/// How many victims are handed on at once.
const HANDED_AT_ONCE: usize = 64;
/// How often a put looks for victims in vain.
const PATIENCE: u32 = 1000;

impl MemoryStore {
    /// What a refused put leaves: nothing under its key, unless it was a fill.
    fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> PutOutcome {
        if mode != PutMode::Fill {
            drop(self.0.engine.remove(key, |_| true));
        }
        PutOutcome::refused(reason)
    }

    pub(crate) async fn put_entry(
        &self,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<(PutOutcome, u64)> {
        let limits = &self.0.options;
        entry.check(limits.max_blob_bytes)?;
        if let Some(reason) = entry.refusal(limits.max_bytes) {
            return Ok((self.refuse(key, options.mode, reason), 0));
        }
        let mut reservation = Reservation { store: self, key, bytes: 0 };
        let now = self.0.time.now();
        let created = options.created.unwrap_or(now);
        let (mut blobs, mut total) = (Blobs::default(), 0);
        for (name, blob) in entry.into_blobs() {
            let bytes = match blob {
                PutBlob::Bytes(bytes) => bytes,
                blob @ PutBlob::Stream { .. } => {
                    let mut stream = blob.into_checked_stream(&name, limits.max_blob_bytes);
                    let mut collected = Vec::new();
                    while let Some(piece) = stream.try_next().await? {
                        if let Err(reason) = reservation.grow(piece.len() as u64).await {
                            return Ok((self.refuse(key, options.mode, reason), 0));
                        }
                        // By an eighth at a time: what doubles its room takes up to twice what is counted.
                        if collected.capacity() - collected.len() < piece.len() {
                            collected.reserve_exact(piece.len().max(collected.len() / 8));
                        }
                        collected.extend_from_slice(&piece);
                    }
                    // Without the spare room that the vector grew: what is held is what is counted.
                    Bytes::from(collected.into_boxed_slice())
                }
            };
            total += bytes.len() as u64;
            blobs.insert(name, Held { bytes, created });
        }
        // A stream may have taken its time.
        let now = if reservation.bytes > 0 { self.0.time.now() } else { now };
        // From here on the engine gives back what was reserved, with the put.
        let mut put = Put { key, blobs, mode: options.mode, now, reserved: 0 };
        let mut search = Search::new();
        let refusal = loop {
            put.reserved = reservation.bytes;
            let attempt = self.0.engine.attempt(&mut put);
            reservation.bytes = put.reserved;
            match attempt {
                Attempt::Stored(old) => {
                    drop(old);
                    return Ok((PutOutcome::stored(), total));
                }
                Attempt::Closed => return Err(Error::new(ErrorKind::Closed, "memory", "put")),
                Attempt::Refused(refusal) => break refusal,
                // An entry that brings much bookkeeping needs no more to go than it has bytes at once.
                Attempt::NeedsRoom(missing) if self.make_room(key, missing.min(total), &mut search).await => {
                }
                Attempt::NeedsRoom(_) => break Refusal::NoRoom,
            }
        };
        Ok((self.refuse(key, options.mode, refusal), 0))
    }

    /// Has something go, other than the entry of `spared`; about so many bytes, if it is handed on. Whether
    /// there may be room now.
    async fn make_room<'a>(&'a self, spared: &Key, bytes: u64, search: &mut Search<'a>) -> bool {
        if self.0.options.policy == Policy::Unbounded {
            return false;
        }
        let engine = &self.0.engine;
        let sink = self.0.sink.read().unwrap_or_else(PoisonError::into_inner).clone();
        loop {
            let handed_over = engine.handed_over();
            let went = match &sink {
                Some(sink) => self.hand_on(sink.as_ref(), spared, bytes, &mut search.staying).await,
                None => engine.evict_next(spared).map(|slot| {
                    self.0.counters.eviction(slot.size().bytes);
                    true
                }),
            };
            match went {
                Some(true) => return true,
                // They stay; others may go.
                Some(false) => {}
                None if engine.is_handing_over() => {
                    handed_over.await;
                    return true;
                }
                None if search.staying.is_empty() && search.again() => {
                    // Though the entry fits: other puts are about to show what they have taken the room for.
                    engine.wait_for_puts();
                    return true;
                }
                None => return false,
            }
        }
    }

    /// Hands on what goes next, about so many bytes. Whether any of it went; `None` if there was nothing.
    async fn hand_on<'a>(
        &'a self,
        sink: &dyn EvictionSink,
        spared: &Key,
        bytes: u64,
        staying: &mut Vec<Leaving<'a>>,
    ) -> Option<bool> {
        let engine = &self.0.engine;
        let (mut leaving, mut sum) = (Vec::new(), 0);
        while sum < bytes.max(1) && leaving.len() < HANDED_AT_ONCE {
            let Some(victim) = engine.leave_next(spared) else { break };
            sum += victim.bytes;
            leaving.push(victim);
        }
        if leaving.is_empty() {
            return None;
        }
        let victims = leaving.iter_mut().filter_map(|leaving| leaving.victim()).collect();
        let mut answers = sink.take(victims).await.into_iter();
        let mut any = false;
        for mut victim in leaving {
            let answer = answers.next().unwrap_or(Handover::Busy);
            if !answer.leaves() {
                victim.answered();
                staying.push(victim);
                continue;
            }
            any = true;
            let bytes = victim.bytes;
            if victim.settle(answer).is_some() {
                self.0.counters.handover(answer, bytes);
            }
        }
        Some(any)
    }
}

/// What a put has tried to get room.
struct Search<'a> {
    /// Those that are to stay are held back, so that each is offered once.
    staying: Vec<Leaving<'a>>,
    patience: u32,
}

impl Search<'_> {
    fn new() -> Self {
        Self { staying: Vec::new(), patience: PATIENCE }
    }

    /// Whether it may go on in vain.
    fn again(&mut self) -> bool {
        self.patience = self.patience.saturating_sub(1);
        self.patience > 0
    }
}

/// Bytes of a stream on their way in; given back when dropped.
struct Reservation<'a> {
    store: &'a MemoryStore,
    key: &'a Key,
    bytes: u64,
}

impl Reservation<'_> {
    async fn grow(&mut self, by: u64) -> Result<(), Refusal> {
        let engine = &self.store.0.engine;
        if self.store.0.options.max_bytes.is_some_and(|max| self.bytes.saturating_add(by) > max) {
            return Err(Refusal::OverBudget);
        }
        let mut search = Search::new();
        while let Err(missing) = engine.reserve(by) {
            // If it cannot be, nothing goes.
            if !engine.could_reserve(by, self.key)
                || !self.store.make_room(self.key, missing.min(by), &mut search).await
            {
                return Err(Refusal::NoRoom);
            }
        }
        self.bytes += by;
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.store.0.engine.release(self.bytes);
        }
    }
}
