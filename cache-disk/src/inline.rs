//! Reads that the kernel's caches answer, on the caller's own thread: nothing here waits for a disk.
//!
//! Whatever is out of the ordinary, damage too, is left to the read that may wait.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use cache_core::{
    BLOCK_BYTES, Blob, BlobName, Checksum, Envelope, Error, ErrorKind, GetOptions, Key, Result, SealedIndex,
};

use crate::{
    disk::{DiskStore, Inner},
    entry_path::EntryPath,
    page_cache::{self, Cached},
    stream::{HEADER, read_blocks, zeros},
};

/// More than this, 4 MiB, is copied where it holds up no other tasks.
const MOST: u64 = 64 * BLOCK_BYTES as u64;
/// The sums of all blocks of 256 MiB.
const MOST_TRAILER: u64 = BLOCK_BYTES as u64;

impl DiskStore {
    /// Reads a blob, or a part of one. The outer `None` means that it takes a read that may wait to know.
    pub(crate) fn get_inline(
        &self,
        key: &Key,
        name: &BlobName,
        options: &GetOptions,
    ) -> Option<Option<Found>> {
        if self.is_closed() {
            return None;
        }
        let found = get(&self.0, key, name, options)?;
        if found.is_some() && !options.quiet {
            self.0.touch(key.view());
        }
        Some(found)
    }
}

/// A blob or a part of it.
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    /// What the whole blob has.
    total: u64,
    checksum: Checksum,
}

impl From<Found> for Blob {
    fn from(found: Found) -> Self {
        Self::part(found.total, found.bytes).with_checksum(found.checksum)
    }
}

fn get(inner: &Inner, key: &Key, name: &BlobName, options: &GetOptions) -> Option<Option<Found>> {
    if !inner.inline {
        return None;
    }
    let root = inner.root.fd();
    match page_cache::open(root, EntryPath::blob(key.view(), name).as_c_str()) {
        Cached::File(file, len) => read_blob(inner, &file, len, key, name, options).map(Some),
        // The entry may have been exchanged on the way to the blob. There is none only if there is no entry.
        Cached::Absent => {
            page_cache::is_absent(root, EntryPath::entry(key.view()).as_c_str()).then_some(None)
        }
        Cached::Unknown => None,
    }
}

fn read_blob(
    inner: &Inner,
    file: &OwnedFd,
    len: u64,
    key: &Key,
    name: &BlobName,
    options: &GetOptions,
) -> Option<Found> {
    let total = Envelope::payload_len(len)?;
    if inner.options.max_blob_bytes.is_some_and(|max| total > max) {
        return None;
    }
    let range = match options.range {
        None => 0..total,
        Some(range) => range.within(total).ok()?,
    };
    if range.end - range.start > options.stream_above.min(MOST) || Envelope::trailer_len(total) > MOST_TRAILER
    {
        return None;
    }
    if total <= BLOCK_BYTES as u64 {
        let (mut bytes, checksum) = read_small(file, total, key, name)?;
        if options.range.is_some() {
            bytes = bytes.slice(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?);
        }
        return Some(Found { bytes, total, checksum });
    }
    let header = read(file, 0, HEADER)?;
    let trailer = read(file, HEADER + total, Envelope::trailer_len(total))?;
    let index = SealedIndex::read(key, name, &header, &trailer).ok()?;
    if index.payload_len() != total {
        return None;
    }
    let bytes = read_blocks(&index, range, |offset, into| fill(file, offset, into)).ok()?;
    Some(Found { bytes, total, checksum: index.checksum() })
}

/// Reads a blob of one block or none by one call.
fn read_small(file: &OwnedFd, total: u64, key: &Key, name: &BlobName) -> Option<(Bytes, Checksum)> {
    let mut header = [0; Envelope::HEADER_BYTES];
    let mut trailer = [0; Envelope::SUM_BYTES + Envelope::FOOTER_BYTES];
    let trailer = trailer.get_mut(..usize::try_from(Envelope::trailer_len(total)).ok()?)?;
    let mut payload = zeros(total).ok()?;
    if !page_cache::read(file, 0, [&mut header, &mut payload, trailer]) {
        return None;
    }
    let checksum = Envelope::verify(key, name, &header, &payload, trailer).ok()?;
    Some((payload.into(), checksum))
}

fn fill(file: &OwnedFd, offset: u64, into: &mut [u8]) -> Result<()> {
    let would_wait = || Error::new(ErrorKind::Unavailable, "disk", "get");
    page_cache::read(file, offset, [into]).then_some(()).ok_or_else(would_wait)
}

fn read(file: &OwnedFd, offset: u64, len: u64) -> Option<Bytes> {
    let mut buffer = zeros(len).ok()?;
    page_cache::read(file, offset, [&mut buffer]).then(|| buffer.into())
}

#[cfg(test)]
mod tests;
