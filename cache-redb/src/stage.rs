//! What a put does before its entry is written: seals its blobs, and uploads large ones.

use std::{fmt::Debug, sync::Arc};

use bytes::Bytes;
use cache_core::{BlobName, Error, ErrorKind, Key, PutBlob, Result};
use futures::{future::BoxFuture, try_join};

use crate::{
    chunks::{CHUNK, Part, chunk_count},
    cut::Cutter,
    prepared::{Body, Chunked, INLINE_MAX, PreparedBlob, Upload},
    stub::Stub,
};

/// Bytes of streams that one put keeps in memory until its entry is written. What a blob has beyond that is uploaded,
/// even if it is small.
const STREAMED_MAX: u64 = 2 << 20;
/// The same for bytes in hand, which are in memory anyway: what one transaction writes.
const IN_HAND_MAX: u64 = 16 << 20;

/// The way to the writer.
pub(crate) trait StageQueue: Debug + Send + Sync + 'static {
    /// An id for an upload.
    fn next_id(&self) -> u64;

    /// Has a part of an upload written, in one transaction with whatever else there is. Waits until it is.
    ///
    /// Dropping the future may leave the part to be written all the same: a [discard](Self::discard) that follows
    /// removes it.
    fn stage(&self, part: Part) -> BoxFuture<'_, Result<()>>;

    /// Has an upload removed, after all that was staged of it. Does nothing if it belongs to an entry by then.
    fn discard(&self, id: u64);
}

/// How much a put may bring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PutLimits {
    pub(crate) max_blob_bytes: Option<u64>,
    /// Of the whole entry.
    pub(crate) max_bytes: Option<u64>,
}

/// Prepares all blobs of an entry. `None` if they turn out to be more than the whole entry may have.
///
/// # Errors
///
/// What ends a stream, and what the writer answers to an upload.
///
/// # Cancel safety
///
/// Dropping the future discards what was uploaded; so does dropping its answer.
pub(crate) async fn prepare(
    queue: &Arc<dyn StageQueue>,
    key: &Key,
    blobs: Vec<(BlobName, PutBlob)>,
    limits: PutLimits,
) -> Result<Option<Vec<PreparedBlob>>> {
    let mut put = Preparing { queue, key, limits, total: 0, kept: 0 };
    let mut prepared = Vec::with_capacity(blobs.len());
    for (name, blob) in blobs {
        let Some(blob) = put.prepare(name, blob).await? else { return Ok(None) };
        prepared.push(blob);
    }
    Ok(Some(prepared))
}

struct Preparing<'a> {
    queue: &'a Arc<dyn StageQueue>,
    key: &'a Key,
    limits: PutLimits,
    /// Of all blobs so far.
    total: u64,
    kept: u64,
}

impl Preparing<'_> {
    async fn prepare(&mut self, name: BlobName, blob: PutBlob) -> Result<Option<PreparedBlob>> {
        if let PutBlob::Bytes(bytes) = &blob
            && bytes.len() <= INLINE_MAX
            && self.keep(bytes.len() as u64, IN_HAND_MAX)
        {
            let is_within = self.count(bytes.len() as u64);
            return Ok(is_within.then(|| PreparedBlob::inline(self.key, name, bytes.clone())));
        }
        let most = if matches!(blob, PutBlob::Bytes(_)) { IN_HAND_MAX } else { STREAMED_MAX };
        let mut cutter = Cutter::new(self.key, &name, blob, self.limits.max_blob_bytes);
        let mut chunks = cutter.gather().await?;
        if !self.count(cutter.bytes()) {
            return Ok(None);
        }
        if cutter.has_ended() && cutter.bytes() <= INLINE_MAX as u64 && self.keep(cutter.bytes(), most) {
            let payload = chunks.pop().unwrap_or_default();
            return Ok(Some(PreparedBlob::inline_sealed(name, cutter.into_sealer(), payload)));
        }
        let upload = Upload::begin(self.queue);
        let mut first_index = 0;
        while !cutter.has_ended() {
            let (before, part) = (cutter.bytes(), self.part(&upload, &mut first_index, chunks)?);
            // The source goes on while its last chunks are written.
            ((), chunks) = try_join!(self.queue.stage(part), cutter.gather())?;
            if !self.count(cutter.bytes() - before) {
                return Ok(None);
            }
        }
        let rest: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if !self.keep(rest, most) {
            let part = self.part(&upload, &mut first_index, std::mem::take(&mut chunks))?;
            self.queue.stage(part).await?;
        }
        let (bytes, sealer) = (cutter.bytes(), cutter.into_sealer());
        let (header, (trailer, _)) = (sealer.header(), sealer.finish());
        let stub = Stub { id: upload.id(), payload_len: bytes, header, trailer: trailer.into() };
        let tail = Part { id: upload.id(), first_index, chunks };
        Ok(Some(PreparedBlob { name, bytes, body: Body::Chunked(Chunked { stub, tail, upload }) }))
    }

    /// Counts bytes that are kept, if they are to be.
    fn keep(&mut self, bytes: u64, most: u64) -> bool {
        let kept = self.kept.saturating_add(bytes);
        let is_kept = bytes == 0 || kept <= most;
        if is_kept {
            self.kept = kept;
        }
        is_kept
    }

    /// Counts bytes of the entry. Answers whether it may have them.
    fn count(&mut self, bytes: u64) -> bool {
        self.total = self.total.saturating_add(bytes);
        self.limits.max_bytes.is_none_or(|max| self.total <= max)
    }

    /// The next chunks of an upload.
    fn part(&self, upload: &Upload, index: &mut u32, chunks: Vec<Bytes>) -> Result<Part> {
        let first_index = *index;
        let end = u64::from(first_index).saturating_add(chunks.len() as u64);
        *index = chunk_count(end.saturating_mul(CHUNK as u64)).ok_or_else(|| {
            Error::new(ErrorKind::TooLarge, "", "").with_detail("a blob has no more chunks than that")
        })?;
        upload.arm();
        Ok(Part { id: upload.id(), first_index, chunks })
    }
}

#[cfg(test)]
mod tests;
