//! Puts: what streams in goes up as it comes; then, with the key locked, the rest and what makes it visible.

mod compose;

use std::{cmp::Reverse, mem, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cache_core::{
    BlobName, Envelope, Error, ErrorKind, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, Refusal,
    Result, Sealer, collect_capped,
};
use futures::TryStreamExt;

use self::compose::push_sealed;
use crate::{
    engine::Engine,
    failure::Failure,
    fetch::{CHANGES, FIRST_READ, INDEX_READ, MAX_INDEX},
    object::{Index, IndexedBlob},
    upload::{Condition, Upload},
};

/// Streams of at most so many promised bytes are held in hand, to lie near the end.
const SMALL: u64 = 64 << 10;

/// Why a put came to nothing that is an error.
enum Stop {
    Refused(Refusal),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.at("put").into_error(None))
    }
}

/// What a put writes, as far as it has come.
struct Staged {
    upload: Upload,
    /// What lies in the upload.
    index: Index,
    in_hand: Vec<(BlobName, Bytes)>,
    created: SystemTime,
}

impl Engine {
    pub(crate) async fn put_entry(
        self: &Arc<Self>,
        key: &Key,
        entry: PutEntry,
        options: &PutOptions,
    ) -> Result<PutOutcome> {
        self.gate.check("put")?;
        entry.check(self.options.max_blob_bytes)?;
        if let Some(refusal) = entry.refusal(self.options.max_bytes) {
            return self.refuse(key, options.mode, refusal).await;
        }
        match self.put_blobs(key, entry.into_blobs(), options).await {
            Ok(()) => Ok(PutOutcome::stored()),
            Err(Stop::Refused(refusal)) => self.refuse(key, options.mode, refusal).await,
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(self: &Arc<Self>, key: &Key, mode: PutMode, reason: Refusal) -> Result<PutOutcome> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok(PutOutcome::refused(reason))
    }

    /// Removes an entry, whole.
    pub(crate) async fn remove(self: &Arc<Self>, key: &Key, operation: &'static str) -> Result<()> {
        let (engine, key) = (Arc::clone(self), key.clone());
        let removal = async move {
            let _locked = engine.locks.lock(&key).await;
            engine.delete(operation, &key).await
        };
        self.gate.run(operation, removal).await
    }

    async fn put_blobs(
        self: &Arc<Self>,
        key: &Key,
        mut blobs: Vec<(BlobName, PutBlob)>,
        options: &PutOptions,
    ) -> Result<(), Stop> {
        let created = options.created.unwrap_or_else(|| self.clock.now());
        let streams = blobs.iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }));
        if options.mode == PutMode::Fill && streams {
            // What is there already is not read from its stream.
            if let Some(Ok(opened)) = self.opened("put", key, INDEX_READ).await? {
                blobs.retain(|(name, _)| opened.index.find(name).is_none());
            }
        }
        if blobs.is_empty() {
            return Ok(());
        }
        let known = blobs.iter().try_fold(0_u64, |sum, (_, blob)| {
            Some(sum.saturating_add(Envelope::sealed_len(blob.known_len()?)))
        });
        let upload = Upload::new(self, self.path(key)?, known);
        let mut staged = Staged { upload, index: Index::default(), in_hand: Vec::new(), created };
        // Streams are read in the order in which they were added: who feeds several stores waits for each of them.
        for (name, blob) in blobs {
            match blob {
                PutBlob::Bytes(bytes) => staged.in_hand.push((name, bytes)),
                small @ PutBlob::Stream { len: Some(..=SMALL), .. } => {
                    let stream = small.into_checked_stream(&name, self.options.max_blob_bytes);
                    let bytes = collect_capped(stream, SMALL).await?;
                    staged.in_hand.push((name, bytes));
                }
                stream @ PutBlob::Stream { .. } => self.stage(key, &mut staged, name, stream).await?,
            }
        }
        // The longest first, so that small ones lie near the end.
        staged.in_hand.sort_by_key(|(_, bytes)| Reverse(bytes.len()));
        self.check_budget(staged.sealed_len())?;
        if options.mode == PutMode::Replace {
            for (name, bytes) in mem::take(&mut staged.in_hand) {
                push_sealed(&mut staged.upload, &mut staged.index, key, name, bytes, created).await?;
            }
        }
        let (engine, key, mode) = (Arc::clone(self), key.clone(), options.mode);
        // Others wait for the key: whoever has it goes on even if nobody polls.
        let write = async move {
            let _locked = engine.locks.lock(&key).await;
            Ok(match mode {
                PutMode::Replace => engine.replace(&key, staged).await,
                mode => engine.change(&key, staged, mode).await,
            })
        };
        self.gate.run("put", write).await?
    }

    fn check_budget(&self, bytes: u64) -> Result<(), Stop> {
        match self.options.max_bytes {
            Some(max) if bytes > max => Err(Stop::Refused(Refusal::OverBudget)),
            _ => Ok(()),
        }
    }

    /// Writes a blob that streams in.
    async fn stage(&self, key: &Key, staged: &mut Staged, name: BlobName, blob: PutBlob) -> Result<(), Stop> {
        let mut sealer = Sealer::new(key, &name);
        let mut stream = blob.into_checked_stream(&name, self.options.max_blob_bytes);
        staged.upload.push(Bytes::copy_from_slice(&sealer.header())).await?;
        let mut bytes = 0_u64;
        while let Some(piece) = stream.try_next().await? {
            self.gate.check("put")?;
            bytes = bytes.saturating_add(piece.len() as u64);
            sealer.update(&piece);
            staged.upload.push(piece).await?;
            self.check_budget(staged.upload.bytes())?;
        }
        staged.upload.push(sealer.finish().0.into()).await?;
        staged.index.blobs.push(IndexedBlob { name, bytes, created: staged.created });
        Ok(())
    }

    /// The entry becomes exactly what was staged. Its key has to be locked.
    async fn replace(self: &Arc<Self>, key: &Key, staged: Staged) -> Result<(), Stop> {
        if self.commit(key, staged.upload, staged.index, None).await? {
            Ok(())
        } else {
            Err(self.unsteady("put", key).into())
        }
    }

    /// The entry keeps what it has, and takes what was staged over it or beneath it. Its key has to be
    /// locked.
    async fn change(self: &Arc<Self>, key: &Key, staged: Staged, mode: PutMode) -> Result<(), Stop> {
        let Staged { upload, index, in_hand, created } = staged;
        let mut whole = Some(upload);
        for attempt in 0..CHANGES {
            let fork = whole.as_ref().and_then(Upload::fork);
            let Some(upload) = fork.or_else(|| whole.take()) else {
                // It went up in parts, and those cannot be taken back.
                break;
            };
            let (old, condition) = match self.opened("put", key, FIRST_READ).await? {
                None => (None, Condition::Absent),
                Some(Ok(opened)) => {
                    let condition = Condition::Is(opened.tail.version.clone());
                    (Some(opened), condition)
                }
                // Of what is damaged nothing is kept.
                Some(Err((_, version))) => {
                    self.counters.corrupt();
                    (None, Condition::Is(version))
                }
            };
            let is_there = |name: &BlobName| old.as_ref().is_some_and(|old| old.index.find(name).is_some());
            let mut new = in_hand.clone();
            if mode == PutMode::Fill {
                if index.blobs.iter().any(|blob| is_there(&blob.name)) {
                    // Somebody else has put what has streamed in. All of that is dropped, as it cannot be taken apart.
                    if !index.blobs.iter().all(|blob| is_there(&blob.name)) {
                        return Err(self.unsteady("put", key).into());
                    }
                    return Box::pin(self.fill(key, new, created)).await;
                }
                new.retain(|(name, _)| !is_there(name));
                if new.is_empty() && index.blobs.is_empty() {
                    return Ok(());
                }
            }
            let Some((upload, index)) = self.compose(key, upload, index.clone(), new, old, created).await?
            else {
                continue;
            };
            if self.commit(key, upload, index, Some(&condition)).await? {
                return Ok(());
            }
            let pause = std::time::Duration::from_millis(fastrand::u64(..=(1 << attempt.min(7))));
            tokio::time::sleep(pause).await;
        }
        Err(self.unsteady("put", key).into())
    }

    /// Goes on with what is in hand alone.
    async fn fill(
        self: &Arc<Self>,
        key: &Key,
        in_hand: Vec<(BlobName, Bytes)>,
        created: SystemTime,
    ) -> Result<(), Stop> {
        if in_hand.is_empty() {
            return Ok(());
        }
        let upload = Upload::new(self, self.path(key)?, None);
        let staged = Staged { upload, index: Index::default(), in_hand, created };
        self.change(key, staged, PutMode::Fill).await
    }

    /// Makes an object visible; `false` if the condition does not hold.
    async fn commit(
        self: &Arc<Self>,
        key: &Key,
        mut upload: Upload,
        index: Index,
        condition: Option<&Condition>,
    ) -> Result<bool, Stop> {
        let index = index.encode(key);
        if index.len() as u64 > MAX_INDEX {
            let detail =
                format!("the names of its blobs take {} bytes, the limit is {MAX_INDEX}", index.len());
            return Err(Error::new(ErrorKind::TooLarge, "s3", "put").with_detail(detail).into());
        }
        upload.push(index.into()).await?;
        let bytes = upload.bytes();
        self.check_budget(bytes)?;
        let stored = upload.finish(condition).await.map_err(|failure| self.error(failure, "put", key))?;
        if stored {
            // Before the key is unlocked: whoever has decided to evict the old entry leaves this one alone.
            self.recent.note(key);
            self.stored(bytes);
        }
        Ok(stored)
    }
}

impl Staged {
    /// How long the data becomes that is known by now.
    fn sealed_len(&self) -> u64 {
        let in_hand = self.in_hand.iter().map(|(_, bytes)| Envelope::sealed_len(bytes.len() as u64));
        in_hand.fold(self.upload.bytes(), u64::saturating_add)
    }
}
