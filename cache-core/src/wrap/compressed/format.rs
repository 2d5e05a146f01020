//! What stands in the place of a blob that is not stored as it is: a frame, version 1.
//!
//! ```text
//! header  48 bytes   magic 9e 'CZBLOB' 1a · version u16 = 1 · algorithm u16 · flags u32 · length u64 · tag 16
//!                    · xxh3-64 of the 40 bytes before it
//! chunks             packed length u32 · length u32 · xxh3-64 of these 8 bytes and the packed ones, seeded with
//!                    the chunk's number, from 0 on · the packed bytes
//! footer  40 bytes   length u64 · content checksum 16 · xxh3-64 of the header and the 24 bytes before it
//!                    · end magic 'CZEND' 1a 0d 0a
//! ```
//!
//! Numbers and hashes are little endian. The algorithm is 0 (stored) or 1 (zstd). Flag 0 is "open"; all other
//! flags are 0. In a closed frame, `length` and `tag` of the header are the length and the checksum of the
//! content, and there is no footer. In an open frame, whose writer did not know the content's end when it
//! began, `length` is 0 and `tag` is a number that no other frame has; the footer tells both, and its hash
//! binds it to the header.
//!
//! A chunk holds 256 KiB of the content, the last one what is left. It is a zstd frame of its own, or the
//! content as it is where the two lengths are equal; under algorithm 0 all are. The header's length, magic,
//! version and hash are those of all versions to come.
//!
//! Everything else is the blob itself, but never one that begins *like* a frame: with 5 or more of the
//! magic's 8 bytes in their places, or, if it has less than 8 bytes, with nothing but the magic's first
//! ones. Such a blob is put into a frame, so that a frame whose magic is damaged is no plain blob.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{Checksum, Error, ErrorKind, Result};

pub(super) const MAGIC: [u8; 8] = *b"\x9eCZBLOB\x1a";
const END: [u8; 8] = *b"CZEND\x1a\r\n";
pub(super) const VERSION: u16 = 1;
const OPEN: u32 = 1;
/// How many bytes of the magic make bytes look like a frame.
const ALIKE: usize = 5;

pub(super) const HEADER_BYTES: usize = 48;
pub(super) const CHUNK_HEAD_BYTES: usize = 16;
pub(super) const FOOTER_BYTES: usize = 40;
/// The content of one chunk.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// No frame with any content is shorter.
pub(super) const SMALLEST_FRAME: u64 = (HEADER_BYTES + CHUNK_HEAD_BYTES + 1) as u64;

/// How the chunks of a frame are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Stored,
    Zstd,
}

impl Algorithm {
    fn id(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Zstd => 1,
        }
    }

    fn of_id(id: u16) -> Option<Self> {
        [Self::Stored, Self::Zstd].into_iter().find(|algorithm| algorithm.id() == id)
    }
}

/// What a frame tells of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) len: u64,
    pub(super) checksum: Checksum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// The header tells all.
    Closed(Told),
    /// The footer does; the tag is the frame's own.
    Open([u8; 16]),
}

/// A verified header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) ends: Ends,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let (flags, len, tag) = match self.ends {
            Ends::Closed(told) => (0, told.len, told.checksum.to_le_bytes()),
            Ends::Open(tag) => (OPEN, 0, tag),
        };
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&self.algorithm.id().to_le_bytes());
        header.extend_from_slice(&flags.to_le_bytes());
        header.extend_from_slice(&len.to_le_bytes());
        header.extend_from_slice(&tag);
        header.extend_from_slice(&xxh3_64(&header).to_le_bytes());
        let mut fixed = [0; HEADER_BYTES];
        fixed.copy_from_slice(&header);
        fixed
    }

    /// What a stored form that begins with `start` is: a frame with this header, or, with `None`, the blob
    /// itself. `start` has as many bytes as a header, or all there are.
    pub(super) fn read(start: &[u8]) -> Result<Option<Self>> {
        if !is_alike(start) {
            return Ok(None);
        }
        let damaged = || Error::corrupt("the header of a compressed blob is damaged");
        let mut rest = start.get(..HEADER_BYTES).ok_or_else(damaged)?;
        let summed = rest.get(..HEADER_BYTES - 8).ok_or_else(damaged)?;
        let magic: [u8; 8] = take(&mut rest).ok_or_else(damaged)?;
        let version = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let algorithm = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let flags = u32::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let len = u64::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let tag: [u8; 16] = take(&mut rest).ok_or_else(damaged)?;
        if magic != MAGIC || rest != xxh3_64(summed).to_le_bytes() {
            return Err(damaged());
        }
        let newer = |what: String| {
            Error::new(ErrorKind::Unsupported, "", "").with_detail(format!(
                "{what} of a compressed blob is newer than this program, which reads version {VERSION}"
            ))
        };
        if version != VERSION || flags & !OPEN != 0 {
            return Err(newer(format!("version {version} with flags {flags:#x}")));
        }
        let algorithm = Algorithm::of_id(algorithm).ok_or_else(|| newer(format!("algorithm {algorithm}")))?;
        let ends = match flags {
            OPEN => Ends::Open(tag),
            _ => Ends::Closed(Told { len, checksum: Checksum::from_le_bytes(tag) }),
        };
        Ok(Some(Self { algorithm, ends }))
    }

    /// What stands behind the chunks of an open frame.
    pub(super) fn footer(self, told: Told) -> [u8; FOOTER_BYTES] {
        let mut summed = self.to_bytes().to_vec();
        summed.extend_from_slice(&told.len.to_le_bytes());
        summed.extend_from_slice(&told.checksum.to_le_bytes());
        let sum = xxh3_64(&summed).to_le_bytes();
        let mut footer = [0; FOOTER_BYTES];
        let parts = summed.iter().skip(HEADER_BYTES).chain(&sum).chain(&END);
        for (byte, value) in footer.iter_mut().zip(parts) {
            *byte = *value;
        }
        footer
    }

    /// What the footer of this very frame tells; `None` if it is damaged or another frame's.
    pub(super) fn read_footer(self, footer: &[u8]) -> Option<Told> {
        let mut rest = footer;
        let len = u64::from_le_bytes(take(&mut rest)?);
        let checksum = Checksum::from_le_bytes(take(&mut rest)?);
        let told = Told { len, checksum };
        (self.footer(told) == *footer).then_some(told)
    }
}

/// Whether bytes begin like a frame, so that they cannot be stored as they are.
pub(super) fn is_alike(start: &[u8]) -> bool {
    match start.first_chunk::<8>() {
        Some(first) => first.iter().zip(MAGIC).filter(|(byte, magic)| **byte == *magic).count() >= ALIKE,
        None => !start.is_empty() && MAGIC.starts_with(start),
    }
}

/// What stands before a packed chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    pub(super) packed: usize,
    pub(super) len: usize,
    sum: u64,
}

impl ChunkHead {
    /// The head of the chunk with this number; `None` if it is too large for a chunk.
    pub(super) fn of(number: u64, len: usize, packed: &[u8]) -> Option<Self> {
        let lens = (u32::try_from(packed.len()).ok()?, u32::try_from(len).ok()?);
        Some(Self { packed: packed.len(), len, sum: chunk_sum(number, lens, packed) })
    }

    pub(super) fn to_bytes(self) -> [u8; CHUNK_HEAD_BYTES] {
        // Both lengths were made from a u32.
        let number = self.packed as u128 | (self.len as u128) << 32 | u128::from(self.sum) << 64;
        number.to_le_bytes()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let packed = u32::from_le_bytes(take(&mut rest)?);
        let len = u32::from_le_bytes(take(&mut rest)?);
        let sum = u64::from_le_bytes(take(&mut rest)?);
        Some(Self { packed: usize::try_from(packed).ok()?, len: usize::try_from(len).ok()?, sum })
    }

    /// Whether these packed bytes are the ones of the chunk with this number.
    pub(super) fn fits(self, number: u64, packed: &[u8]) -> bool {
        Self::of(number, self.len, packed) == Some(self)
    }
}

fn chunk_sum(number: u64, (packed, len): (u32, u32), bytes: &[u8]) -> u64 {
    let mut sum = Xxh3::with_seed(number);
    sum.update(&packed.to_le_bytes());
    sum.update(&len.to_le_bytes());
    sum.update(bytes);
    sum.digest()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
