//! What stands in place of a large blob's bytes.
//!
//! ```text
//! 01 · id u64 · payload length u64 · envelope header 48 · xxh3-64 of all before · envelope trailer
//! ```
//!
//! Numbers and hashes are little endian. The header binds the hash to the blob's key and name; the trailer has
//! checksums of its own.

use bytes::Bytes;
use cache_core::{BlobName, Envelope, Error, Key, Result, SealedIndex};
use xxhash_rust::xxh3::xxh3_64;

use crate::chunks::chunk_count;

/// The first byte of a stub.
const STUB: u8 = 1;
/// The first byte of a sealed blob.
const SEALED: u8 = 0x8e;

/// What a value in the table of blobs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobValue {
    /// A whole sealed blob.
    Sealed,
    /// The stub of a blob that lies in chunks.
    Chunked,
}

impl BlobValue {
    /// Tells by the first byte; the rest is not looked at.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](cache_core::ErrorKind::Corrupt) if it is neither.
    pub(crate) fn of(value: &[u8]) -> Result<Self> {
        match value.first() {
            Some(&SEALED) => Ok(Self::Sealed),
            Some(&STUB) => Ok(Self::Chunked),
            Some(_) => Err(Error::corrupt("this is no blob")),
            None => Err(Error::corrupt("the blob is cut off")),
        }
    }
}

/// Where the chunks of a blob are, and what stands around its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stub {
    pub(crate) id: u64,
    pub(crate) payload_len: u64,
    pub(crate) header: [u8; Envelope::HEADER_BYTES],
    pub(crate) trailer: Bytes,
}

impl Stub {
    const HEAD_BYTES: usize = 1 + 8 + 8 + Envelope::HEADER_BYTES;

    /// Appends the stub.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(Self::HEAD_BYTES);
        head.push(STUB);
        head.extend_from_slice(&self.id.to_le_bytes());
        head.extend_from_slice(&self.payload_len.to_le_bytes());
        head.extend_from_slice(&self.header);
        into.extend_from_slice(&head);
        into.extend_from_slice(&xxh3_64(&head).to_le_bytes());
        into.extend_from_slice(&self.trailer);
    }

    /// Reads a stub. Nothing is allocated by the length that it claims.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](cache_core::ErrorKind::Corrupt) if it is damaged, as far as it tells without the blob's name.
    pub(crate) fn decode(value: &[u8]) -> Result<Self> {
        let damaged = || Error::corrupt("the stub is damaged");
        let (head, mut rest) = value.split_at_checked(Self::HEAD_BYTES).ok_or_else(damaged)?;
        if take::<8>(&mut rest) != Some(xxh3_64(head).to_le_bytes()) {
            return Err(damaged());
        }
        let mut head = head;
        let kind = take::<1>(&mut head).ok_or_else(damaged)?;
        let id = u64::from_le_bytes(take(&mut head).ok_or_else(damaged)?);
        let payload_len = u64::from_le_bytes(take(&mut head).ok_or_else(damaged)?);
        let header = take(&mut head).ok_or_else(damaged)?;
        if kind != [STUB]
            || chunk_count(payload_len).is_none()
            || Envelope::trailer_len(payload_len) != rest.len() as u64
        {
            return Err(damaged());
        }
        Ok(Self { id, payload_len, header, trailer: Bytes::copy_from_slice(rest) })
    }

    /// Verifies what stands around the payload.
    ///
    /// # Errors
    ///
    /// As [`SealedIndex::read`].
    pub(crate) fn index(&self, key: &Key, name: &BlobName) -> Result<SealedIndex> {
        let index = SealedIndex::read(key, name, &self.header, &self.trailer)?;
        if index.payload_len() != self.payload_len {
            return Err(Error::corrupt("the length is not the blob's"));
        }
        Ok(index)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
