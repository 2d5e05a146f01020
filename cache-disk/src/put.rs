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
use futures::TryStreamExt;
use tokio::runtime::Handle;

use crate::{
    budget::hard_limit,
    disk::{DiskStore, Inner},
    evict, publish,
    stage::{Stage, StagedBlob},
};

/// Bytes of a stream gathered for one hop while writing.
const WRITE: usize = 1 << 20;

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
        let refusal = match entry.known_bytes() {
            _ if max == 0 => Some(Refusal::Disabled),
            Some(bytes) if bytes > max => Some(Refusal::OverBudget),
            _ => None,
        };
        if let Some(reason) = refusal {
            return Ok((self.refuse(key, mode, reason).await?, 0));
        }
        let created = options.created.unwrap_or_else(|| self.0.clock.now());
        let blobs = entry.into_blobs();
        let written = if blobs.iter().all(|(_, blob)| matches!(blob, PutBlob::Bytes(_))) {
            self.put_in_hand(key, blobs, mode, created).await?
        } else {
            self.put_streamed(key, blobs, mode, created, max).await?
        };
        match written {
            Ok(bytes) => {
                self.after_put(bytes);
                Ok((PutOutcome::stored(), bytes))
            }
            Err(reason) => Ok((self.refuse(key, mode, reason).await?, 0)),
        }
    }

    async fn put_in_hand(
        &self,
        key: &Key,
        blobs: Vec<(BlobName, PutBlob)>,
        mode: PutMode,
        created: SystemTime,
    ) -> Result<Result<u64, Refusal>> {
        let key = key.clone();
        self.run("put", move |inner| {
            let mut stage = Stage::begin(inner, &key, created)?;
            for (name, blob) in &blobs {
                if let PutBlob::Bytes(bytes) = blob {
                    stage.write(name, bytes)?;
                }
            }
            settle(inner, stage, mode)
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
    ) -> Result<Result<u64, Refusal>> {
        let begun = key.clone();
        let mut stage = self.run("put", move |inner| Stage::begin(inner, &begun, created)).await?;
        for (name, blob) in blobs {
            let mut stream = blob.into_checked_stream(&name, self.0.options.max_blob_bytes);
            let begin = self.run("put", move |_| stage.begin_blob(&name).map(|blob| (stage, blob))).await?;
            let (mut staged, mut blob): (Stage, StagedBlob) = begin;
            while let Some(piece) = gather(&mut stream).await? {
                if staged.bytes() + blob.bytes + piece.len() as u64 > max {
                    return Ok(Err(Refusal::OverBudget));
                }
                (staged, blob) = self
                    .run("put", move |_| staged.append(&mut blob, &piece).map(|()| (staged, blob)))
                    .await?;
            }
            stage = self.run("put", move |_| staged.end_blob(blob).map(|()| staged)).await?;
        }
        self.run("put", move |inner| settle(inner, stage, mode)).await
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> Result<PutOutcome> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok(PutOutcome::refused(reason))
    }

    /// Leaves an eviction that is due to the background.
    fn after_put(&self, bytes: u64) {
        let Some(max) = self.0.options.max_bytes else { return };
        let budget = &self.0.budget;
        budget.add(bytes);
        let Ok(handle) = Handle::try_current() else { return };
        if budget.is_over(max) && budget.schedule() {
            let inner = Arc::clone(&self.0);
            self.0.tasks.spawn_blocking_on(
                move || {
                    // A failure comes back with the next put or flush, which find the store still over.
                    _ = evict::enforce(&inner, "evict");
                    inner.budget.unschedule();
                },
                &handle,
            );
        }
    }
}

/// Publishes a staged entry, on a blocking thread.
fn settle(inner: &Inner, stage: Stage, mode: PutMode) -> Result<Result<u64, Refusal>> {
    // A put that began before `close` must not bring anything back after it.
    if inner.closed.load(Ordering::Acquire) {
        return Err(Error::new(ErrorKind::Closed, "disk", "put"));
    }
    let key = stage.key.clone();
    let bytes = match publish::publish(inner, stage, mode)? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    if inner.pending.add(&key) {
        inner.pending.flush(&inner.root)?;
    }
    if let (Some(max), Some(held)) = (inner.options.max_bytes, inner.budget.estimate())
        && held > hard_limit(max)
    {
        evict::enforce(inner, "put")?;
    }
    Ok(Ok(bytes))
}

/// The next bytes of a stream, about as many as are worth a hop.
async fn gather(stream: &mut ByteStream) -> Result<Option<Bytes>> {
    let Some(first) = stream.try_next().await? else { return Ok(None) };
    if first.len() >= WRITE {
        return Ok(Some(first));
    }
    let mut gathered = BytesMut::from(first);
    while gathered.len() < WRITE {
        match stream.try_next().await? {
            Some(piece) => gathered.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(Some(gathered.freeze()))
}
