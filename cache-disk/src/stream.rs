//! A blob that is handed out in pieces, each verified before it leaves.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use cache_core::{
    BLOCK_BYTES, BlobName, ByteStream, Checksum, Envelope, ErrorKind, Key, Result, SealedIndex,
};
use futures::{StreamExt, stream};

use crate::{
    at::At,
    disk::{DiskStore, Inner},
    entry_dir::{BlobFile, EntryDir},
    read::drop_damaged,
};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// A piece is read in one hop to a blocking thread: 1 MiB.
pub(crate) const PIECE: u64 = 16 * BLOCK;
const HEADER: u64 = Envelope::HEADER_BYTES as u64;
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
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let first = range.start / BLOCK;
        let start = first * BLOCK;
        let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(self.index.payload_len());
        let run = read_at(&self.file, HEADER + start, end - start, at)?;
        self.index.verify(first, &run).map_err(|error| at.named(error))?;
        // Both are less than the length of the run, which is in memory.
        let within = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(run.len());
        Ok(run.slice(within(range.start)..within(range.end)))
    }
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

/// Reads exactly `len` bytes; a file that ends before is damaged. Where there is no memory for them the
/// read is refused.
pub(crate) fn read_at(file: &File, offset: u64, len: u64, at: At<'_>) -> Result<Bytes> {
    let no_memory = || at.too_large("there is no memory for it");
    let len = usize::try_from(len).map_err(|_| no_memory())?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|error| no_memory().with_source(error))?;
    buffer.resize(len, 0);
    file.read_exact_at(&mut buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => at.corrupt("the file is cut off"),
        _ => at.failed(error),
    })?;
    Ok(buffer.into())
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
