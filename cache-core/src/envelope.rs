//! What stands around every blob that a backend persists.
//!
//! ```text
//! header  48 bytes   magic 8e 'CBLOB' 0d 0a · version u16 = 1 · flags u16 = 0 · log2 of the block size u32 = 16
//!                    · binding 16 · xxh3-128 of the 32 bytes before it
//! payload n bytes    in blocks of 64 KiB; only the last may be shorter
//! table   16 a block the xxh3-128 of each block
//! footer  48 bytes   n u64 · content checksum 16 · xxh3-128 of binding, n and content checksum · end magic 'CBLOBEND'
//! ```
//!
//! Numbers and hashes are little endian. The binding is the xxh3-128 of the namespace, the digest and
//! the blob name, each preceded by its length as u64, so that a blob in another blob's place is
//! damage. The content checksum covers the table, so any range can be verified by the blocks it
//! touches. This finds damage, not tampering.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    BLOCK_BYTES, BlobName, Checksum, Digest, Error, ErrorKind, Key, Namespace, Result,
    checksum::{BlockSums, block_sum},
    component,
};

const MAGIC: [u8; 8] = *b"\x8eCBLOB\r\n";
const END: [u8; 8] = *b"CBLOBEND";
const VERSION: u16 = 1;
const BLOCK_LOG2: u32 = 16;
const SUM: usize = 16;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// The layout of a sealed blob, version 1.
///
/// ```
/// use bytes::Bytes;
/// use cache_core::{BlobName, Digest, Envelope, Key};
///
/// let (key, name) = (Key::from(Digest::of(b"k")), BlobName::DATA);
/// let sealed = Envelope::seal(&key, &name, b"payload");
/// assert_eq!(sealed.len() as u64, Envelope::sealed_len(7));
/// let (payload, _checksum) = Envelope::open(&key, &name, &Bytes::from(sealed))?;
/// assert_eq!(payload, "payload");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Envelope;

impl Envelope {
    /// The bytes before the payload.
    pub const HEADER_BYTES: usize = 48;
    /// The bytes at the very end, after the table of block sums.
    pub const FOOTER_BYTES: usize = 48;

    /// The bytes of one block's sum in the table.
    pub const SUM_BYTES: usize = SUM;

    /// Whether a footer may be that of a payload of `payload` bytes: a look at it before anything is read
    /// whose length it tells. [`SealedIndex::read`] verifies it.
    #[must_use]
    pub fn footer_tells(footer: &[u8], payload: u64) -> bool {
        footer.len() == Self::FOOTER_BYTES
            && footer.starts_with(&payload.to_le_bytes())
            && footer.ends_with(&END)
    }

    /// The length of a sealed blob with a payload of `payload` bytes.
    #[must_use]
    pub const fn sealed_len(payload: u64) -> u64 {
        payload.saturating_add(Self::HEADER_BYTES as u64).saturating_add(Self::trailer_len(payload))
    }

    /// The length of the table and the footer behind a payload of `payload` bytes.
    #[must_use]
    pub const fn trailer_len(payload: u64) -> u64 {
        (payload.div_ceil(BLOCK) * SUM as u64) + Self::FOOTER_BYTES as u64
    }

    /// The length of the payload in a sealed blob of `sealed` bytes; `None` if no payload has that
    /// sealed length.
    #[must_use]
    pub const fn payload_len(sealed: u64) -> Option<u64> {
        let Some(inner) = sealed.checked_sub((Self::HEADER_BYTES + Self::FOOTER_BYTES) as u64) else {
            return None;
        };
        let payload = inner.saturating_sub(inner.div_ceil(BLOCK + SUM as u64) * SUM as u64);
        if Self::sealed_len(payload) == sealed { Some(payload) } else { None }
    }

    /// Seals a payload that is in hand.
    #[must_use]
    pub fn seal(key: &Key, blob: &BlobName, payload: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(key, blob);
        let mut sealed = Vec::with_capacity(payload.len() + Self::HEADER_BYTES + Self::FOOTER_BYTES + SUM);
        sealed.extend_from_slice(&sealer.header());
        sealer.update(payload);
        sealed.extend_from_slice(payload);
        sealed.extend_from_slice(&sealer.finish().0);
        sealed
    }

    /// Verifies a whole sealed blob; the payload is a slice of it.
    ///
    /// # Errors
    ///
    /// As [`SealedIndex::read`], and [`Corrupt`](ErrorKind::Corrupt) if a block is damaged.
    pub fn open(key: &Key, blob: &BlobName, sealed: &Bytes) -> Result<(Bytes, Checksum)> {
        let damaged = || Error::corrupt("the length is not that of a sealed blob");
        let payload_len = Self::payload_len(sealed.len() as u64).ok_or_else(damaged)?;
        let payload_end = usize::try_from(payload_len)
            .ok()
            .and_then(|len| len.checked_add(Self::HEADER_BYTES))
            .filter(|end| *end <= sealed.len())
            .ok_or_else(damaged)?;
        let (front, trailer) = sealed.split_at_checked(payload_end).ok_or_else(damaged)?;
        let (header, payload) = front.split_at_checked(Self::HEADER_BYTES).ok_or_else(damaged)?;
        let checksum = Self::verify(key, blob, header, payload, trailer)?;
        Ok((sealed.slice(Self::HEADER_BYTES..payload_end), checksum))
    }

    /// Verifies a whole sealed blob whose parts lie apart.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn verify(
        key: &Key,
        blob: &BlobName,
        header: &[u8],
        payload: &[u8],
        trailer: &[u8],
    ) -> Result<Checksum> {
        let (ends, table) = Ends::read(key, blob, header, trailer)?;
        if ends.payload_len != payload.len() as u64 {
            return Err(Error::corrupt("the length is not the blob's"));
        }
        ends.verify(table, 0, payload)?;
        Ok(ends.content)
    }
}

fn binding(key: &Key, blob: &BlobName) -> [u8; SUM] {
    const FRAMED: usize = 3 * 8 + Namespace::MAX_ENCODED_BYTES + Digest::DIGITS / 2 + component::MAX_BYTES;
    let mut framed = [0; FRAMED];
    let mut len = 0;
    for part in [key.namespace.encoded().as_bytes(), key.digest.as_bytes(), blob.as_str().as_bytes()] {
        for bytes in [&(part.len() as u64).to_le_bytes(), part] {
            // All names fit.
            if let Some(place) = framed.get_mut(len..len + bytes.len()) {
                place.copy_from_slice(bytes);
                len += bytes.len();
            }
        }
    }
    xxh3_128(framed.get(..len).unwrap_or_default()).to_le_bytes()
}

fn footer_sum(binding: &[u8; SUM], len: u64, content: Checksum) -> [u8; SUM] {
    let mut summed = [0; 2 * SUM + 8];
    let (binding_place, rest) = summed.split_at_mut(SUM);
    let (len_place, content_place) = rest.split_at_mut(8);
    binding_place.copy_from_slice(binding);
    len_place.copy_from_slice(&len.to_le_bytes());
    content_place.copy_from_slice(&content.to_le_bytes());
    xxh3_128(&summed).to_le_bytes()
}

/// Seals a blob whose payload streams by: the header first, the payload as it comes, the trailer last.
pub struct Sealer {
    binding: [u8; SUM],
    sums: BlockSums,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// Begins the envelope of the blob `blob` of `key`.
    #[must_use]
    pub fn new(key: &Key, blob: &BlobName) -> Self {
        Self { binding: binding(key, blob), sums: BlockSums::default() }
    }

    /// What stands before the payload.
    #[must_use]
    pub fn header(&self) -> [u8; Envelope::HEADER_BYTES] {
        let mut header = Vec::with_capacity(Envelope::HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&0_u16.to_le_bytes());
        header.extend_from_slice(&BLOCK_LOG2.to_le_bytes());
        header.extend_from_slice(&self.binding);
        let sum = xxh3_128(&header).to_le_bytes();
        header.extend_from_slice(&sum);
        let mut fixed = [0; Envelope::HEADER_BYTES];
        fixed.copy_from_slice(&header);
        fixed
    }

    /// Takes the next piece of the payload.
    pub fn update(&mut self, payload: &[u8]) {
        self.sums.update(payload);
    }

    /// What stands behind the payload, and the checksum of the content.
    #[must_use]
    pub fn finish(self) -> (Vec<u8>, Checksum) {
        let table = self.sums.finish();
        let content = table.checksum();
        let mut trailer = table.table;
        trailer.extend_from_slice(&table.len.to_le_bytes());
        trailer.extend_from_slice(&content.to_le_bytes());
        trailer.extend_from_slice(&footer_sum(&self.binding, table.len, content));
        trailer.extend_from_slice(&END);
        (trailer, content)
    }
}

/// The verified header and trailer of a sealed blob: what it takes to verify any block of it.
#[derive(Clone, Debug)]
pub struct SealedIndex {
    ends: Ends,
    table: Bytes,
}

/// What header and footer tell.
#[derive(Clone, Copy, Debug)]
struct Ends {
    payload_len: u64,
    content: Checksum,
}

impl SealedIndex {
    /// Verifies the first [`HEADER_BYTES`](Envelope::HEADER_BYTES) of a sealed blob and its last
    /// [`trailer_len`](Envelope::trailer_len).
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if they are damaged or belong to another blob;
    /// [`Unsupported`](ErrorKind::Unsupported) if a newer version wrote them.
    pub fn read(key: &Key, blob: &BlobName, header: &[u8], trailer: &Bytes) -> Result<Self> {
        let (ends, table) = Ends::read(key, blob, header, trailer)?;
        Ok(Self { ends, table: trailer.slice(..table.len()) })
    }

    /// The length of the payload in bytes.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        self.ends.payload_len
    }

    /// The checksum of the content.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        self.ends.content
    }

    /// Verifies a run of payload that begins with block `first`; only the payload's last block may be
    /// short.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if a block is damaged or short.
    pub fn verify(&self, first: u64, run: &[u8]) -> Result<()> {
        self.ends.verify(&self.table, first, run)
    }
}

impl Ends {
    /// Verifies what stands before and behind a payload. Answers the table of block sums, too.
    fn read<'a>(key: &Key, blob: &BlobName, header: &[u8], trailer: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let binding = binding(key, blob);
        check_header(&binding, header)?;
        let damaged = || Error::corrupt("the footer is damaged");
        let table_len = trailer.len().checked_sub(Envelope::FOOTER_BYTES).ok_or_else(damaged)?;
        let (table, footer) = trailer.split_at_checked(table_len).ok_or_else(damaged)?;
        let mut rest = footer;
        let payload_len = u64::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let content = Checksum::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let sum: [u8; SUM] = take(&mut rest).ok_or_else(damaged)?;
        if rest != END || sum != footer_sum(&binding, payload_len, content) {
            return Err(damaged());
        }
        if payload_len.div_ceil(BLOCK).checked_mul(SUM as u64) != Some(table_len as u64)
            || Checksum::of_table(payload_len, table) != content
        {
            return Err(Error::corrupt("the table of block sums is damaged"));
        }
        Ok((Self { payload_len, content }, table))
    }

    fn verify(&self, table: &[u8], first: u64, run: &[u8]) -> Result<()> {
        for (index, block) in run.chunks(BLOCK_BYTES).enumerate() {
            let at = first.saturating_add(index as u64);
            let expected_len = self.payload_len.saturating_sub(at.saturating_mul(BLOCK)).min(BLOCK);
            let sum = usize::try_from(at)
                .ok()
                .and_then(|at| at.checked_mul(SUM))
                .and_then(|at| table.get(at..at.checked_add(SUM)?));
            if block.len() as u64 != expected_len || sum != Some(block_sum(block).as_slice()) {
                return Err(Error::corrupt(format!("block {at} is damaged")));
            }
        }
        Ok(())
    }
}

fn check_header(expected_binding: &[u8; SUM], header: &[u8]) -> Result<()> {
    let damaged = || Error::corrupt("the header is damaged");
    let mut rest = header;
    let magic: [u8; 8] = take(&mut rest).ok_or_else(damaged)?;
    let version = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
    let flags = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
    let block = u32::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
    let binding: [u8; SUM] = take(&mut rest).ok_or_else(damaged)?;
    let sum: [u8; SUM] = take(&mut rest).ok_or_else(damaged)?;
    let summed = header.len().checked_sub(SUM).and_then(|end| header.get(..end)).ok_or_else(damaged)?;
    if magic != MAGIC || !rest.is_empty() || sum != xxh3_128(summed).to_le_bytes() {
        return Err(damaged());
    }
    if (version, flags, block) != (VERSION, 0, BLOCK_LOG2) {
        return Err(Error::new(ErrorKind::Unsupported, "", "").with_detail(format!(
            "envelope version {version} with flags {flags:#x} is newer than this program, which reads version {VERSION}"
        )));
    }
    if binding != *expected_binding {
        return Err(Error::corrupt("these are the bytes of another blob"));
    }
    Ok(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
