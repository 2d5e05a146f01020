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

use crate::{
    cancel::Cancel,
    disk::{DiskStore, Inner},
    evict,
    publish::publish,
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
            self.keep_budget().await;
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
        self.run_write("put", move |inner, cancel| {
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
        let begun = key.clone();
        let mut stage = self.run("put", move |inner| Stage::begin(inner, &begun, created)).await?;
        for (name, blob) in blobs {
            let mut stream = blob.into_checked_stream(&name, self.0.options.max_blob_bytes);
            let begin = self.run("put", move |_| stage.begin_blob(&name).map(|blob| (stage, blob))).await?;
            let (mut staged, mut blob): (Stage, StagedBlob) = begin;
            while let Some(piece) = gather(&mut stream).await? {
                if staged.bytes().saturating_add(blob.bytes).saturating_add(piece.len() as u64) > max {
                    return Ok((self.refuse(key, mode, Refusal::OverBudget).await?, 0));
                }
                (staged, blob) = self
                    .run("put", move |_| staged.append(&mut blob, &piece).map(|()| (staged, blob)))
                    .await?;
            }
            stage = self.run("put", move |_| staged.end_blob(blob).map(|()| staged)).await?;
        }
        self.run_write("put", move |inner, cancel| settle(inner, stage, mode, cancel)).await
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> Result<PutOutcome> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok(PutOutcome::refused(reason))
    }

    /// Leaves an eviction that is due to the background, and waits for it only if much too much is held.
    /// A failure comes back with the next flush, which finds the store still over its budget.
    async fn keep_budget(&self) {
        let Some(max) = self.0.options.max_bytes else { return };
        let budget = &self.0.budget;
        if budget.is_far_over(max) {
            let Ok(permit) = self.evicting("evict").await else { return };
            if budget.is_far_over(max) {
                let enforce = move |inner: &Arc<Inner>| {
                    let _permit = permit;
                    evict::enforce(inner, "evict", false)
                };
                _ = self.run("evict", enforce).await;
            }
        } else if budget.is_over(max)
            && let Ok(permit) = Arc::clone(&self.0.evicting).try_acquire_owned()
        {
            let inner = Arc::clone(&self.0);
            let enforce = move || {
                let _permit = permit;
                _ = evict::enforce(&inner, "evict", false);
            };
            self.0.tasks.spawn(enforce);
        }
    }

    /// Other stores of this directory may have filled it, so their presence calls for a scan.
    pub(crate) async fn enforce_for_flush(&self) -> Result<()> {
        if self.0.options.max_bytes.is_none() {
            return Ok(());
        }
        let permit = self.evicting("flush").await?;
        self.run("flush", move |inner| {
            let _permit = permit;
            evict::enforce(inner, "flush", inner.session().has_company())
        })
        .await
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
