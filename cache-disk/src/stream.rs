//! A blob that is handed out in pieces, each verified before it leaves.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use cache_core::{
    BLOCK_BYTES, BlobName, ByteStream, Checksum, Envelope, Error, ErrorKind, Key, Result, SealedIndex,
};
use futures::{StreamExt, stream};

use crate::{
    at::At,
    damage::drop_damaged,
    disk::{DiskStore, Inner},
    entry_dir::{BlobFile, EntryDir},
};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// A piece is read in one hop to a blocking thread: 1 MiB.
pub(crate) const PIECE: u64 = 16 * BLOCK;
pub(crate) const HEADER: u64 = Envelope::HEADER_BYTES as u64;
/// Read and verified at a time, so that the second pass finds the first one's bytes in the processor's cache.
const RUN: usize = 4 * BLOCK_BYTES;
const FOOTER: u64 = Envelope::FOOTER_BYTES as u64;

/// An open blob whose header and trailer are verified.
pub(crate) struct BlobReader {
    file: File,
    index: SealedIndex,
}

impl BlobReader {
    /// Verifies the ends of a blob before anything is read whose length they tell.
    pub(crate) fn open(blob: BlobFile, payload_len: u64, name: &BlobName, at: At<'_>) -> Result<Self> {
        let BlobFile { file, len } = blob;
        let header = read_at(&file, 0, HEADER, at)?;
        let footer = read_at(&file, len.saturating_sub(FOOTER), FOOTER, at)?;
        if !Envelope::footer_tells(&footer, payload_len) {
            // If the header is fine it may say that a newer version wrote this.
            let damage = SealedIndex::read(at.key, name, &header, &footer).map(|_| ());
            return Err(damage.map_or_else(|error| at.named(error), |()| at.corrupt("the footer is damaged")));
        }
        let mut trailer = read_table(&file, HEADER + payload_len..len.saturating_sub(FOOTER), at)?;
        trailer.extend_from_slice(&footer);
        let index =
            SealedIndex::read(at.key, name, &header, &trailer.into()).map_err(|error| at.named(error))?;
        if index.payload_len() != payload_len {
            return Err(at.corrupt("the file's length is not the blob's"));
        }
        Ok(Self { file, index })
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.index.checksum()
    }

    /// Reads a range of the payload: the blocks that it touches, verified.
    pub(crate) fn read(&self, range: Range<u64>, at: At<'_>) -> Result<Bytes> {
        read_blocks(&self.index, range, |offset, into| fill_at(&self.file, offset, into, at))
            .map_err(|error| at.named(error))
    }
}

/// Reads a range of a payload by the blocks that it touches, each verified. `fill` reads at an offset in the file.
pub(crate) fn read_blocks(
    index: &SealedIndex,
    range: Range<u64>,
    mut fill: impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<Bytes> {
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    let mut block = range.start / BLOCK;
    let start = block * BLOCK;
    let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(index.payload_len());
    let mut blocks = empty_buffer(end - start)?;
    let len = usize::try_from(end - start).unwrap_or(0);
    while blocks.len() < len {
        let at = blocks.len();
        blocks.resize(len.min(at + RUN), 0);
        let run = blocks.get_mut(at..).unwrap_or_default();
        fill(HEADER + block * BLOCK, run)?;
        index.verify(block, run)?;
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

/// Reads the table of block sums, a piece at a time: the file may be a hole that has nothing but a length.
fn read_table(file: &File, mut range: Range<u64>, at: At<'_>) -> Result<Vec<u8>> {
    let mut table = Vec::new();
    while !range.is_empty() {
        let len = PIECE.min(range.end - range.start);
        let piece = read_at(file, range.start, len, at)?;
        // No block has this sum, so it stands where nothing was ever written.
        if piece.chunks(Envelope::SUM_BYTES).any(|sum| sum.iter().all(|byte| *byte == 0)) {
            return Err(at.corrupt("the table of block sums is damaged"));
        }
        table.try_reserve(piece.len() + Envelope::FOOTER_BYTES).map_err(|error| {
            at.too_large("there is no memory for the table of block sums").with_source(error)
        })?;
        table.extend_from_slice(&piece);
        range.start += len;
    }
    Ok(table)
}

/// Reads exactly `len` bytes; a file that ends before is damaged.
pub(crate) fn read_at(file: &File, offset: u64, len: u64, at: At<'_>) -> Result<Bytes> {
    let mut buffer = zeros(len).map_err(|error| at.named(error))?;
    fill_at(file, offset, &mut buffer, at)?;
    Ok(buffer.into())
}

fn fill_at(file: &File, offset: u64, into: &mut [u8], at: At<'_>) -> Result<()> {
    file.read_exact_at(into, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => at.corrupt("the file is cut off"),
        _ => at.failed(error),
    })
}

/// A buffer of `len` bytes, which is had faster like this than by a call that may get it from the system.
pub(crate) fn zeros(len: u64) -> Result<Vec<u8>> {
    let mut buffer = empty_buffer(len)?;
    buffer.resize(usize::try_from(len).unwrap_or(0), 0);
    Ok(buffer)
}

/// Room for `len` bytes. Where there is no memory for them the read is refused.
fn empty_buffer(len: u64) -> Result<Vec<u8>> {
    let no_memory = || Error::new(ErrorKind::TooLarge, "", "").with_detail("there is no memory for it");
    let mut buffer = Vec::new();
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    buffer.try_reserve_exact(len).map_err(|error| no_memory().with_source(error))?;
    Ok(buffer)
}

/// Streams a range of a blob, 1 MiB at a time. Damage ends the stream and drops the entry.
pub(crate) fn pieces(
    inner: Arc<Inner>,
    key: Key,
    dir: Arc<EntryDir>,
    reader: BlobReader,
    range: Range<u64>,
) -> ByteStream {
    let state = Some((Arc::new((key, dir, reader)), range));
    stream::unfold(state, move |state| {
        let inner = Arc::clone(&inner);
        async move {
            let (open, range) = state?;
            if range.is_empty() {
                return None;
            }
            let end = ((range.start / PIECE + 1) * PIECE).min(range.end);
            let piece = range.start..end;
            let source = Arc::clone(&open);
            let read = DiskStore::of(inner)
                .run("get", move |inner| {
                    let (key, dir, reader) = &*source;
                    let at = At { root: &inner.root, key, operation: "get" };
                    let read = reader.read(piece, at);
                    if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                        inner.counters.corrupt();
                        drop_damaged(inner, at, Some(dir));
                    }
                    read
                })
                .await;
            match read {
                Ok(bytes) => Some((Ok(bytes), Some((open, end..range.end)))),
                Err(error) => Some((Err(error), None)),
            }
        }
    })
    .fuse()
    .boxed()
}
