//! A payload is cut into chunks while it streams by.

use bytes::{Bytes, BytesMut};
use cache_core::{BlobName, ByteStream, Key, PutBlob, Result, Sealer};
use futures::TryStreamExt;

use crate::chunks::CHUNK;

/// Chunks that are gathered for one transaction: about 1 MiB.
pub(crate) const GATHERED: usize = 4;

/// Reads a blob, cuts it and seals it.
pub(crate) struct Cutter {
    stream: ByteStream,
    sealer: Sealer,
    /// Where the source gives all at once a part of that is kept as it is; else it may be a part of much more.
    is_in_hand: bool,
    /// What is not cut yet.
    piece: Bytes,
    open: Open,
    bytes: u64,
    has_ended: bool,
}

/// A chunk that is not full.
enum Open {
    Empty,
    Shared(Bytes),
    Copied(BytesMut),
}

impl Cutter {
    pub(crate) fn new(key: &Key, name: &BlobName, blob: PutBlob, max_blob_bytes: Option<u64>) -> Self {
        Self {
            is_in_hand: matches!(blob, PutBlob::Bytes(_)),
            stream: blob.into_checked_stream(name, max_blob_bytes),
            sealer: Sealer::new(key, name),
            piece: Bytes::new(),
            open: Open::Empty,
            bytes: 0,
            has_ended: false,
        }
    }

    /// How many bytes were cut.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The sealer, which has seen all that was cut.
    pub(crate) fn into_sealer(self) -> Sealer {
        self.sealer
    }

    /// The next chunks; fewer than can be gathered only at the end.
    ///
    /// # Errors
    ///
    /// What ends the source.
    pub(crate) async fn gather(&mut self) -> Result<Vec<Bytes>> {
        let mut chunks = Vec::with_capacity(GATHERED);
        while chunks.len() < GATHERED && !self.has_ended {
            if self.piece.is_empty() {
                match self.stream.try_next().await? {
                    Some(piece) => self.piece = piece,
                    None => {
                        self.has_ended = true;
                        chunks.extend(self.close());
                    }
                }
                continue;
            }
            if self.cut() {
                chunks.extend(self.close());
            }
        }
        Ok(chunks)
    }

    /// Moves bytes into the open chunk. Answers whether it is full.
    fn cut(&mut self) -> bool {
        let in_open = self.open.len();
        let part = self.piece.split_to(self.piece.len().min(CHUNK - in_open));
        self.sealer.update(&part);
        self.bytes += part.len() as u64;
        let len = in_open + part.len();
        self.open = match std::mem::replace(&mut self.open, Open::Empty) {
            Open::Empty if len == CHUNK || self.is_in_hand => Open::Shared(part),
            Open::Empty => {
                // A short blob often is one piece; a long one fills its chunks.
                let room = if self.bytes > CHUNK as u64 { CHUNK } else { part.len() };
                let mut copied = BytesMut::with_capacity(room);
                copied.extend_from_slice(&part);
                Open::Copied(copied)
            }
            Open::Shared(first) => {
                let mut copied = BytesMut::with_capacity(CHUNK);
                copied.extend_from_slice(&first);
                copied.extend_from_slice(&part);
                Open::Copied(copied)
            }
            Open::Copied(mut copied) => {
                copied.extend_from_slice(&part);
                Open::Copied(copied)
            }
        };
        len == CHUNK
    }

    fn close(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.open, Open::Empty) {
            Open::Empty => None,
            Open::Shared(chunk) => Some(chunk),
            Open::Copied(chunk) => Some(chunk.freeze()),
        }
    }
}

impl Open {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Shared(bytes) => bytes.len(),
            Self::Copied(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests;
