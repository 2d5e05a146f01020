//! Reads of a blob that lies in chunks: by the blocks that a range touches, each verified.

use std::ops::Range;

use bytes::Bytes;
use cache_core::{BLOCK_BYTES, BlobName, Checksum, Error, ErrorKind, Key, Result, SealedIndex};
use redb::{AccessGuard, ReadableTable};

use crate::{
    chunks::{CHUNK, ChunkTable},
    contain::{Fault, contain},
    stub::Stub,
};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// Copied and verified at a time, so that the second pass finds the first one's bytes in the processor's cache.
const RUN: usize = 4 * BLOCK_BYTES;

/// A blob in chunks whose header and trailer are verified.
#[derive(Clone, Debug)]
pub(crate) struct LargeBlob {
    id: u64,
    index: SealedIndex,
}

/// Why some bytes of a blob cannot be had.
#[derive(Debug)]
enum ReadFault {
    /// The blob is damaged.
    Blob(Error),
    /// The database failed.
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for ReadFault {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

fn damaged(detail: String) -> ReadFault {
    ReadFault::Blob(Error::corrupt(detail))
}

impl LargeBlob {
    /// Verifies what a stub says.
    ///
    /// # Errors
    ///
    /// As [`SealedIndex::read`].
    pub(crate) fn open(key: &Key, name: &BlobName, stub: &Stub) -> Result<Self> {
        Ok(Self { id: stub.id, index: stub.index(key, name)? })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The length of the payload in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.index.payload_len()
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.index.checksum()
    }

    /// Reads a range of the payload, which is within its length. Blocks.
    ///
    /// # Errors
    ///
    /// The inner one is [`Corrupt`](ErrorKind::Corrupt) if this blob is damaged, and
    /// [`TooLarge`](ErrorKind::TooLarge) if there is no memory for the range.
    pub(crate) fn read(&self, chunks: &ChunkTable, range: Range<u64>) -> Result<Result<Bytes>, Fault> {
        contain(|| match self.read_blocks(chunks, range) {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(ReadFault::Blob(error)) => Ok(Err(error)),
            Err(ReadFault::Database(error)) => Err(error),
        })
    }

    fn read_blocks(&self, chunks: &ChunkTable, range: Range<u64>) -> Result<Bytes, ReadFault> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let mut block = range.start / BLOCK;
        let start = block * BLOCK;
        let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(self.len());
        let len = end.saturating_sub(start);
        let mut blocks = empty_buffer(len).map_err(ReadFault::Blob)?;
        let len = usize::try_from(len).unwrap_or(0);
        let mut chunk = None;
        while blocks.len() < len {
            let at = blocks.len();
            self.append(chunks, &mut chunk, block * BLOCK, RUN.min(len - at), &mut blocks)?;
            self.index.verify(block, blocks.get(at..).unwrap_or_default()).map_err(ReadFault::Blob)?;
            block += (RUN / BLOCK_BYTES) as u64;
        }
        let blocks = Bytes::from(blocks);
        if range == (start..end) {
            return Ok(blocks);
        }
        // Both are less than the length of the blocks, which are in memory.
        let within = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(len);
        Ok(blocks.slice(within(range.start)..within(range.end)))
    }

    /// Appends exactly `len` bytes from an offset in the payload on. `last` is the chunk that was read last: the
    /// next bytes may be in it, and it may be in no cache any more.
    fn append<'a>(
        &self,
        chunks: &'a ChunkTable,
        last: &mut Option<(u64, AccessGuard<'a, &'static [u8]>)>,
        mut offset: u64,
        mut len: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), ReadFault> {
        while len > 0 {
            let (index, within) =
                (offset / CHUNK as u64, usize::try_from(offset % CHUNK as u64).unwrap_or(0));
            let expected = self.len().saturating_sub(index * CHUNK as u64).min(CHUNK as u64);
            let row = match last.take().filter(|(read, _)| *read == index) {
                Some((_, row)) => row,
                None => self.chunk(chunks, index)?,
            };
            let (_, row) = last.insert((index, row));
            let chunk = row.value();
            let rest = chunk.get(within..).filter(|rest| !rest.is_empty() && chunk.len() as u64 == expected);
            let rest = rest
                .ok_or_else(|| damaged(format!("chunk {index} has {} bytes of {expected}", chunk.len())))?;
            let part = rest.get(..len).unwrap_or(rest);
            into.extend_from_slice(part);
            offset += part.len() as u64;
            len -= part.len();
        }
        Ok(())
    }

    fn chunk<'a>(
        &self,
        chunks: &'a ChunkTable,
        index: u64,
    ) -> Result<AccessGuard<'a, &'static [u8]>, ReadFault> {
        let row = match u32::try_from(index) {
            Ok(index) => ReadableTable::get(chunks, (self.id, index))?,
            Err(_) => None,
        };
        row.ok_or_else(|| damaged(format!("chunk {index} is missing")))
    }
}

/// Room for `len` bytes. Where there is no memory for them the read is refused.
fn empty_buffer(len: u64) -> Result<Vec<u8>> {
    let no_memory = || Error::new(ErrorKind::TooLarge, "", "").with_detail("there is no memory for it");
    let mut buffer = Vec::new();
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    buffer.try_reserve_exact(len).map_err(|error| no_memory().with_source(error))?;
    Ok(buffer)
}

#[cfg(test)]
mod tests;
