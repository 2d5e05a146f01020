//! A blob that is handed out in pieces, each verified before it leaves.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use cache_core::{
    BLOCK_BYTES, BlobName, ByteStream, Checksum, Envelope, Error, ErrorKind, Key, Result, SealedIndex,
};
use futures::{StreamExt, stream};

use crate::{
    disk::{DiskStore, Inner},
    entry_dir::{BlobFile, EntryDir},
    publish,
    root::failed,
};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// A piece is read in one hop to a blocking thread: 1 MiB.
const PIECE: u64 = 16 * BLOCK;

/// An open blob whose header and trailer are verified.
pub(crate) struct BlobReader {
    file: File,
    index: SealedIndex,
    key: Key,
}

impl BlobReader {
    pub(crate) fn open(blob: BlobFile, payload_len: u64, key: &Key, name: &BlobName) -> Result<Self> {
        let BlobFile { file, .. } = blob;
        let header = read_at(&file, 0, Envelope::HEADER_BYTES as u64, key)?;
        let trailer = read_at(
            &file,
            Envelope::HEADER_BYTES as u64 + payload_len,
            Envelope::trailer_len(payload_len),
            key,
        )?;
        let index = SealedIndex::read(key, name, &header, &trailer)
            .map_err(|error| error.at("disk", "get").with_key(key))?;
        if index.payload_len() != payload_len {
            return Err(Error::corrupt("the file's length is not the blob's")
                .at("disk", "get")
                .with_key(key));
        }
        Ok(Self { file, index, key: key.clone() })
    }

    pub(crate) fn checksum(&self) -> Checksum {
        self.index.checksum()
    }

    /// Reads a range of the payload: the blocks that it touches, verified.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let first = range.start / BLOCK;
        let start = first * BLOCK;
        let end = range.end.div_ceil(BLOCK).saturating_mul(BLOCK).min(self.index.payload_len());
        let run = read_at(&self.file, Envelope::HEADER_BYTES as u64 + start, end - start, &self.key)?;
        self.index.verify(first, &run).map_err(|error| error.at("disk", "get").with_key(&self.key))?;
        // Both are less than the length of the run, which is in memory.
        let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(run.len());
        Ok(run.slice(at(range.start)..at(range.end)))
    }
}

/// Reads exactly `len` bytes; a file that ends before is damaged. The memory is that of a file that has
/// this length, and refused rather than fatal where there is none.
pub(crate) fn read_at(file: &File, at: u64, len: u64, key: &Key) -> Result<Bytes> {
    let too_large =
        || Error::new(ErrorKind::TooLarge, "disk", "get").with_key(key).with_detail("no memory for it");
    let len = usize::try_from(len).map_err(|_| too_large())?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|error| too_large().with_source(error))?;
    buffer.resize(len, 0);
    file.read_exact_at(&mut buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::corrupt("the file is cut off").at("disk", "get").with_key(key),
        _ => failed("get", key, error),
    })?;
    Ok(buffer.into())
}

/// Streams a range of a blob, 1 MiB at a time. Damage ends the stream and drops the entry.
pub(crate) fn pieces(inner: Arc<Inner>, dir: EntryDir, reader: BlobReader, range: Range<u64>) -> ByteStream {
    let state = Some((Arc::new((dir, reader)), range));
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
                    let (dir, reader) = &*source;
                    let read = reader.read(piece);
                    if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                        inner.counters.corrupt();
                        drop_damaged(inner, &reader.key, Some(dir));
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

/// Drops a damaged entry, so that the next read is a miss and the next put repairs it. The whole entry:
/// what is left of one must not pass for all of it.
pub(crate) fn drop_damaged(inner: &Inner, key: &Key, this: Option<&EntryDir>) {
    // If it cannot be dropped, the next read finds the same damage.
    if publish::remove(inner, key, this, "get").is_ok() {
        inner.pending.forget(key);
    }
}
