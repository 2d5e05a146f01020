//! Blobs that are ready to be written by a transaction.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use cache_core::{BlobName, Envelope, Key, Sealer};

use crate::{chunks::Part, stage::StageQueue, stub::Stub};

/// Payloads of up to so many bytes stand in the blob's row; larger ones lie in chunks.
pub(crate) const INLINE_MAX: usize = (256 << 10) - (1 << 10);

/// A sealed blob.
#[derive(Debug)]
pub(crate) struct PreparedBlob {
    pub(crate) name: BlobName,
    /// The bytes of its payload.
    pub(crate) bytes: u64,
    pub(crate) body: Body,
}

/// Where the bytes of a sealed blob are.
#[derive(Debug)]
pub(crate) enum Body {
    /// Here.
    Inline { header: [u8; Envelope::HEADER_BYTES], payload: Bytes, trailer: Vec<u8> },
    /// In chunks: all but the last few are in the database.
    Chunked(Chunked),
}

/// A blob that was uploaded.
#[derive(Debug)]
pub(crate) struct Chunked {
    pub(crate) stub: Stub,
    /// What is left to be written with the entry; there may be nothing.
    pub(crate) tail: Part,
    /// Discards what was uploaded unless the entry was stored.
    pub(crate) upload: Upload,
}

impl PreparedBlob {
    /// Seals a payload that is in hand.
    pub(crate) fn inline(key: &Key, name: BlobName, payload: Bytes) -> Self {
        let mut sealer = Sealer::new(key, &name);
        sealer.update(&payload);
        Self::inline_sealed(name, sealer, payload)
    }

    /// A payload that the sealer has seen.
    pub(crate) fn inline_sealed(name: BlobName, sealer: Sealer, payload: Bytes) -> Self {
        let (header, (trailer, _)) = (sealer.header(), sealer.finish());
        Self { name, bytes: payload.len() as u64, body: Body::Inline { header, payload, trailer } }
    }

    /// How many bytes of the payload are written with the entry.
    pub(crate) fn in_hand(&self) -> u64 {
        match &self.body {
            Body::Inline { payload, .. } => payload.len() as u64,
            Body::Chunked(chunked) => chunked.tail.bytes(),
        }
    }

    /// The number of a large blob.
    pub(crate) fn id(&self) -> Option<u64> {
        match &self.body {
            Body::Inline { .. } => None,
            Body::Chunked(chunked) => Some(chunked.stub.id),
        }
    }
}

/// An id that chunks are uploaded under. What is not stored as part of an entry is discarded when this is dropped.
pub(crate) struct Upload {
    id: u64,
    /// Which may hold this upload as part of a put: then nobody else keeps it alive.
    queue: Weak<dyn StageQueue>,
    /// Whether there may be something to discard.
    is_armed: AtomicBool,
}

impl Upload {
    /// Nothing uploaded yet, under an id of its own.
    pub(crate) fn begin(queue: &Arc<dyn StageQueue>) -> Self {
        Self { id: queue.next_id(), queue: Arc::downgrade(queue), is_armed: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// From now on there may be chunks of it in the database.
    pub(crate) fn arm(&self) {
        self.is_armed.store(true, Ordering::Relaxed);
    }

    /// The entry was stored: the transaction is committed.
    pub(crate) fn keep(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Of a store that is gone it is swept by the next.
        if self.is_armed.load(Ordering::Relaxed)
            && let Some(queue) = self.queue.upgrade()
        {
            queue.discard(self.id);
        }
    }
}

#[cfg(test)]
mod tests;
