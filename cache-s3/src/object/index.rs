use std::{ops::Range, time::SystemTime};

use cache_core::{
    BlobMeta, BlobName, EntryMeta, Envelope, Error, ErrorKind, Key, Result, decode_time, encode_time,
};
use xxhash_rust::xxh3::Xxh3;

/// The bytes of the footer, the last ones of an object.
pub(crate) const FOOTER: usize = 40;
const HEAD: usize = 16;
const SUM: usize = 16;
const VERSION: u16 = 1;
const END: [u8; 8] = *b"CENTRY\r\n";

/// What lies in an object, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// As they lie.
    pub(crate) blobs: Vec<IndexedBlob>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexedBlob {
    pub(crate) name: BlobName,
    /// The bytes of its payload.
    pub(crate) bytes: u64,
    pub(crate) created: SystemTime,
}

impl IndexedBlob {
    pub(crate) fn sealed_len(&self) -> u64 {
        Envelope::sealed_len(self.bytes)
    }
}

impl Index {
    /// The bytes of all blobs as they are sealed.
    pub(crate) fn data_len(&self) -> u64 {
        self.blobs.iter().map(IndexedBlob::sealed_len).fold(0, u64::saturating_add)
    }

    /// The blob of that name, and where it lies, sealed.
    pub(crate) fn find(&self, name: &BlobName) -> Option<(&IndexedBlob, Range<u64>)> {
        self.places().find(|(blob, _)| blob.name == *name)
    }

    /// All blobs, and where they lie.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&IndexedBlob, Range<u64>)> {
        let mut at = 0_u64;
        self.blobs.iter().map(move |blob| {
            let start = at;
            at = at.saturating_add(blob.sealed_len());
            (blob, start..at)
        })
    }

    pub(crate) fn meta(&self, key: Key, object_bytes: u64) -> EntryMeta {
        let blobs = self.blobs.iter();
        let blobs = blobs.map(|blob| BlobMeta::new(blob.name.clone(), blob.bytes, Some(blob.created)));
        EntryMeta::new(key, object_bytes).with_blobs(blobs.collect())
    }

    /// What stands behind the data.
    pub(crate) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(4 + self.blobs.len() * 40 + FOOTER);
        encoded.extend_from_slice(&u32::try_from(self.blobs.len()).unwrap_or(u32::MAX).to_le_bytes());
        for blob in &self.blobs {
            let name = blob.name.as_str().as_bytes();
            encoded.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            encoded.extend_from_slice(name);
            encoded.extend_from_slice(&blob.bytes.to_le_bytes());
            encoded.extend_from_slice(&encode_time(blob.created));
        }
        let index_len = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        encoded.extend_from_slice(&self.data_len().to_le_bytes());
        encoded.extend_from_slice(&index_len.to_le_bytes());
        encoded.extend_from_slice(&VERSION.to_le_bytes());
        encoded.extend_from_slice(&0_u16.to_le_bytes());
        let sum = sum(key, &encoded);
        encoded.extend_from_slice(&sum);
        encoded.extend_from_slice(&END);
        encoded
    }

    /// How long the index before this footer is; it verifies nothing that [`decode`](Self::decode) does not verify
    /// again.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if this is no footer of an object of so many bytes.
    pub(crate) fn len_before(footer: &[u8], object_bytes: u64) -> Result<u64> {
        Footer::read(footer, object_bytes).map(|footer| footer.index_len.into())
    }

    /// Reads the index and the footer at the end of `tail`, which is the end of an object of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if it is damaged, cut off or of another key,
    /// [`Unsupported`](ErrorKind::Unsupported) if a newer version wrote it: what comes later keeps this footer.
    pub(crate) fn decode(key: &Key, tail: &[u8], object_bytes: u64) -> Result<Self> {
        let damaged = || Error::corrupt("the index of the object is damaged");
        let at = tail.len().checked_sub(FOOTER).ok_or_else(damaged)?;
        let (before, footer) = tail.split_at_checked(at).ok_or_else(damaged)?;
        let Footer { data_len, index_len, version, flags, sum: told } = Footer::read(footer, object_bytes)?;
        let begin = usize::try_from(index_len).ok().and_then(|len| before.len().checked_sub(len));
        let begin = begin.ok_or_else(damaged)?;
        let summed = tail.get(begin..at + HEAD).ok_or_else(damaged)?;
        if sum(key, summed) != told {
            return Err(damaged());
        }
        if (version, flags) != (VERSION, 0) {
            return Err(Error::new(ErrorKind::Unsupported, "", "").with_detail(format!(
                "object version {version} with flags {flags:#x} is newer than this program, which reads version {VERSION}"
            )));
        }
        let mut rest = before.get(begin..).ok_or_else(damaged)?;
        let index = Self::read(&mut rest).filter(|_| rest.is_empty()).ok_or_else(damaged)?;
        if index.data_len() != data_len || index.blobs.is_empty() {
            return Err(damaged());
        }
        Ok(index)
    }

    fn read(rest: &mut &[u8]) -> Option<Self> {
        let count = u32::from_le_bytes(take(rest)?);
        let mut blobs = Vec::new();
        for _ in 0..count {
            let [len] = take(rest)?;
            let (name, after) = rest.split_at_checked(len.into())?;
            *rest = after;
            blobs.push(IndexedBlob {
                name: BlobName::new(str::from_utf8(name).ok()?).ok()?,
                bytes: u64::from_le_bytes(take(rest)?),
                created: decode_time(take(rest)?)?,
            });
        }
        Some(Self { blobs })
    }
}

struct Footer {
    data_len: u64,
    index_len: u32,
    version: u16,
    flags: u16,
    sum: [u8; SUM],
}

impl Footer {
    fn read(footer: &[u8], object_bytes: u64) -> Result<Self> {
        let damaged = || Error::corrupt("the footer of the object is damaged");
        let mut rest = footer;
        let data_len = u64::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let index_len = u32::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let version = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let flags = u16::from_le_bytes(take(&mut rest).ok_or_else(damaged)?);
        let sum = take(&mut rest).ok_or_else(damaged)?;
        if rest != END {
            return Err(damaged());
        }
        let told = data_len.checked_add(index_len.into()).and_then(|len| len.checked_add(FOOTER as u64));
        if told != Some(object_bytes) {
            return Err(Error::corrupt("the object has not the length that it tells"));
        }
        Ok(Self { data_len, index_len, version, flags, sum })
    }
}

/// Whether these last bytes of an object of so many bytes may be those of an entry.
pub(crate) fn footer_is_whole(tail: &[u8], object_bytes: u64) -> bool {
    let footer = tail.len().checked_sub(FOOTER).and_then(|at| tail.get(at..));
    footer.is_some_and(|footer| Footer::read(footer, object_bytes).is_ok())
}

fn sum(key: &Key, summed: &[u8]) -> [u8; SUM] {
    let namespace = key.namespace.encoded().as_bytes();
    let mut hash = Xxh3::new();
    hash.update(&(namespace.len() as u64).to_le_bytes());
    hash.update(namespace);
    hash.update(key.digest.as_bytes());
    hash.update(summed);
    hash.digest128().to_le_bytes()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
