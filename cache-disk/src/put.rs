//! The write path: stage, publish, and leave evictions to the background.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use bytes::{Bytes, BytesMut};
use cache_core::{
    BlobName, ByteStream, Error, ErrorKind, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, Refusal,
    Result,
};
use futures::{TryStreamExt, try_join};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    budget::hard_limit,
    cancel::Cancel,
    disk::{DiskStore, Inner},
    evict,
    index::{Wait, compact},
    publish::publish,
    stage::Stage,
    staged_blob::StagedBlob,
};

/// Bytes of a stream gathered for one hop while writing.
const WRITE: u64 = 1 << 20;
/// Pieces of fewer bytes are copied together.
const SMALL: usize = 4096;

impl DiskStore {
    pub(crate) async fn put_entry(
        &self,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<(PutOutcome, u64)> {
        self.is_open("put")?;
        let limits = &self.0.options;
        entry.check(limits.max_blob_bytes)?;
        let (mode, max) = (options.mode, limits.max_bytes.unwrap_or(u64::MAX));
        if let Some(reason) = entry.refusal(limits.max_bytes) {
            return Ok((self.refuse(key, mode, reason).await?, 0));
        }
        let created = options.created.unwrap_or_else(|| self.0.clock.now());
        let blobs = entry.into_blobs();
        let (outcome, bytes) = if blobs.iter().all(|(_, blob)| matches!(blob, PutBlob::Bytes(_))) {
            self.put_in_hand(key, blobs, mode, created).await?
        } else {
            self.put_streamed(key, blobs, mode, created, max).await?
        };
        if outcome.is_stored() {
            self.compact();
            self.start_eviction();
        }
        Ok((outcome, bytes))
    }

    async fn put_in_hand(
        &self,
        key: &Key,
        blobs: Vec<(BlobName, PutBlob)>,
        mode: PutMode,
        created: SystemTime,
    ) -> Result<(PutOutcome, u64)> {
        let key = key.clone();
        let bytes = blobs.iter().map(|(_, blob)| match blob {
            PutBlob::Bytes(bytes) => bytes.len() as u64,
            PutBlob::Stream { .. } => 0,
        });
        let room = self.room_for(bytes.fold(0, u64::saturating_add)).await;
        self.run_write("put", move |inner, cancel| {
            let _room = room;
            let mut stage = Stage::begin(inner, &key, created)?;
            for (name, blob) in &blobs {
                if let PutBlob::Bytes(bytes) = blob {
                    stage.write(name, bytes)?;
                }
            }
            settle(inner, stage, mode, cancel)
        })
        .await
    }

    async fn put_streamed(
        &self,
        key: &Key,
        blobs: Vec<(BlobName, PutBlob)>,
        mode: PutMode,
        created: SystemTime,
        max: u64,
    ) -> Result<(PutOutcome, u64)> {
        let mut staged = Staged { key: key.clone(), created, stage: None, open: None };
        let mut total = 0_u64;
        let mut blobs = blobs.into_iter().peekable();
        while let Some((name, blob)) = blobs.next() {
            let mut stream = blob.into_checked_stream(&name, self.0.options.max_blob_bytes);
            let mut next = gather(&mut stream).await?;
            loop {
                let Gathered { pieces, bytes, is_last } = next;
                total = total.saturating_add(bytes);
                if total > max {
                    return Ok((self.refuse(key, mode, Refusal::OverBudget).await?, 0));
                }
                if is_last && blobs.peek().is_none() {
                    let room = self.room_for(total).await;
                    let end = move |inner: &Arc<Inner>, cancel: &Cancel| {
                        let _room = room;
                        let stage = staged.write(inner, &name, &pieces, true)?.into_stage(inner)?;
                        settle(inner, stage, mode, cancel)
                    };
                    return self.run_write("put", end).await;
                }
                let name = name.clone();
                let write = self.run("put", move |inner| staged.write(inner, &name, &pieces, is_last));
                if is_last {
                    staged = write.await?;
                    break;
                }
                // The source goes on while its last pieces are written.
                (staged, next) = try_join!(write, gather(&mut stream))?;
            }
        }
        let room = self.room_for(total).await;
        self.run_write("put", move |inner, cancel| {
            let _room = room;
            settle(inner, staged.into_stage(inner)?, mode, cancel)
        })
        .await
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> Result<PutOutcome> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok(PutOutcome::refused(reason))
    }

    /// Waits while much too much is held, or will be when the puts that are on their way are visible.
    /// If evictions do not help there is no use in waiting: a failure comes back with the next flush, which
    /// finds the store still over its budget.
    async fn room_for(&self, bytes: u64) -> Option<Room> {
        let max = self.0.options.max_bytes?;
        let budget = &self.0.budget;
        let (ended, in_vain) = (budget.evictions(), budget.evictions_in_vain());
        while !budget.take_room(bytes, max) {
            let relieved = budget.relieved.notified();
            let mut relieved = std::pin::pin!(relieved);
            relieved.as_mut().enable();
            self.start_eviction();
            if budget.take_room(bytes, max) {
                break;
            }
            // One that ran already may have ended too early, the next one does what can be done.
            let is_hopeless = budget.evictions_in_vain() >= in_vain + 2;
            // Smaller puts may take the room again and again.
            let is_starved = bytes > max / 16 && budget.evictions() >= ended + 2;
            if is_hopeless || is_starved || self.is_closed() {
                return None;
            }
            relieved.await;
        }
        Some(Room { inner: Arc::clone(&self.0), bytes })
    }

    /// Leaves the compaction of a log that is due to the background.
    fn compact(&self) {
        let Some(shard) = self.0.index.take_long() else { return };
        let inner = Arc::clone(&self.0);
        // If it fails, the log grows on and it is tried again.
        self.0.tasks.spawn(move || _ = compact(&inner.index, &inner.root, &inner.session(), shard));
    }

    /// Begins an eviction in the background if one is due and none runs.
    pub(crate) fn start_eviction(&self) {
        let Some(max) = self.0.options.max_bytes else { return };
        let budget = &self.0.budget;
        if !(budget.is_over(max) || budget.is_suspect()) || self.0.closed.load(Ordering::Acquire) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0.evicting).try_acquire_owned() else { return };
        let inner = Arc::clone(&self.0);
        let evicting = Evicting { inner, permit: Some(permit), begun: None };
        self.0.tasks.spawn(move || {
            // While another process evicts, only who would have to wait does.
            let far_over = evicting.inner.budget.is_far_over(max);
            let wait = if far_over { Wait::Until(hard_limit(max)) } else { Wait::No };
            _ = evict::enforce(&evicting.begin().inner, "evict", wait);
        });
    }

    /// Counts what other stores of this directory have put, too.
    pub(crate) async fn enforce_for_flush(&self) -> Result<()> {
        let Some(max) = self.0.options.max_bytes else { return Ok(()) };
        let evicting = self.evicting("flush").await?;
        self.run("flush", move |_| evict::enforce(&evicting.begin().inner, "flush", Wait::Until(max))).await
    }

    /// Waits until no other eviction runs.
    pub(crate) async fn evicting(&self, operation: &'static str) -> Result<Evicting> {
        self.is_open(operation)?;
        // Before the wait: the turn may have come to a future that is dropped.
        let mut evicting = Evicting { inner: Arc::clone(&self.0), permit: None, begun: None };
        let permit = Arc::clone(&self.0.evicting).acquire_owned().await;
        evicting.permit = Some(
            permit.map_err(|error| Error::new(ErrorKind::Closed, "disk", operation).with_source(error))?,
        );
        Ok(evicting)
    }
}

/// What a put was granted of the budget, until its work has ended, whoever waits for that.
struct Room {
    inner: Arc<Inner>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.inner.budget.give_room(self.bytes);
    }
}

/// The turn to evict in this process. Puts that wait are told when it ends, however it does.
pub(crate) struct Evicting {
    inner: Arc<Inner>,
    permit: Option<OwnedSemaphorePermit>,
    /// When the budget began to be seen to: how many entries had been evicted.
    begun: Option<u64>,
}

impl Evicting {
    fn begin(mut self) -> Self {
        self.begun = Some(self.inner.counters.snapshot().evictions);
        self
    }
}

impl Drop for Evicting {
    fn drop(&mut self) {
        // First: who is woken begins the next one.
        drop(self.permit.take());
        let budget = &self.inner.budget;
        if let Some(before) = self.begun {
            let is_far_over = self.inner.options.max_bytes.is_some_and(|max| budget.is_far_over(max));
            budget.eviction_ended(is_far_over && self.inner.counters.snapshot().evictions == before);
        }
        budget.relieved.notify_waiters();
    }
}

/// Publishes a staged entry, on a blocking thread.
fn settle(inner: &Inner, stage: Stage, mode: PutMode, cancel: &Cancel) -> Result<(PutOutcome, u64)> {
    // A put that began before `close` must not bring anything back after it.
    if inner.closed.load(Ordering::Acquire) {
        return Err(Error::new(ErrorKind::Closed, "disk", "put"));
    }
    let bytes = match publish(inner, stage, mode, cancel)? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok((PutOutcome::refused(reason), 0)),
    };
    if inner.pending.is_full() {
        // The entry is visible whether or not this fails, and the next flush fails then.
        _ = inner.pending.flush(&inner.root);
    }
    Ok((PutOutcome::stored(), bytes))
}

/// What is there of an entry that streams in.
struct Staged {
    key: Key,
    created: SystemTime,
    stage: Option<Stage>,
    open: Option<StagedBlob>,
}

impl Staged {
    fn write(mut self, inner: &Arc<Inner>, name: &BlobName, pieces: &[Bytes], is_last: bool) -> Result<Self> {
        let mut stage = match self.stage.take() {
            Some(stage) => stage,
            None => Stage::begin(inner, &self.key, self.created)?,
        };
        let mut blob = match self.open.take() {
            Some(blob) => blob,
            None => stage.begin_blob(name)?,
        };
        if is_last {
            stage.end_blob(blob, pieces)?;
        } else {
            stage.append(&mut blob, pieces)?;
            self.open = Some(blob);
        }
        self.stage = Some(stage);
        Ok(self)
    }

    fn into_stage(self, inner: &Arc<Inner>) -> Result<Stage> {
        self.stage.map_or_else(|| Stage::begin(inner, &self.key, self.created), Ok)
    }
}

/// The next bytes of a stream, about as many as are worth a hop.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    bytes: u64,
    /// Whether the stream has ended.
    is_last: bool,
}

async fn gather(stream: &mut ByteStream) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut small = BytesMut::new();
    while gathered.bytes < WRITE {
        let Some(piece) = stream.try_next().await? else {
            gathered.is_last = true;
            break;
        };
        gathered.bytes += piece.len() as u64;
        if piece.len() < SMALL {
            small.extend_from_slice(&piece);
            continue;
        }
        if !small.is_empty() {
            gathered.pieces.push(small.split().freeze());
        }
        gathered.pieces.push(piece);
    }
    if !small.is_empty() {
        gathered.pieces.push(small.freeze());
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests;
