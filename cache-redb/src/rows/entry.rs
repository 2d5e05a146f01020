use std::time::SystemTime;

use cache_core::{BlobMeta, BlobName, EntryMeta, Envelope, Key, decode_time, encode_time};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Totals;

const FORMAT: u8 = 1;
const SUM: usize = 8;
const USE: usize = 8 + TIME + 8;
const TIME: usize = 12;

/// What is known of an entry.
///
/// ```text
/// format u8 = 1 · stamp u64 · last use 12 · access count u64 · version u64 · blobs u32, and of each in the order of names:
/// length of the name u8 · name · bytes u64 · created 12 · number of a large blob u64, 0 of a small one
/// · xxh3-64 of all that, seeded with that of the row's key
/// ```
///
/// Times are as [`encode_time`] makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub(crate) last: Use,
    /// The stamp of the put that wrote it like this.
    pub(crate) version: u64,
    /// In the order of names.
    pub(crate) blobs: Vec<BlobRow>,
}

/// The last use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// The order of uses.
    pub(crate) stamp: u64,
    pub(crate) at: SystemTime,
    /// How many reads there were.
    pub(crate) count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    pub(crate) name: BlobName,
    pub(crate) bytes: u64,
    pub(crate) created: SystemTime,
    /// Of a blob that lies in chunks; never 0.
    pub(crate) id: Option<u64>,
}

impl EntryRow {
    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add)
    }

    pub(crate) fn totals(&self) -> Totals {
        let stored =
            self.blobs.iter().map(|blob| Envelope::sealed_len(blob.bytes)).fold(0, u64::saturating_add);
        Totals { entries: 1, bytes: self.bytes(), stored }
    }

    pub(crate) fn meta(self, key: Key) -> EntryMeta {
        let blobs = self.blobs.into_iter();
        let blobs = blobs.map(|blob| BlobMeta::new(blob.name, blob.bytes, Some(blob.created))).collect();
        let mut meta = EntryMeta::of_sealed(key, blobs);
        (meta.last_accessed, meta.access_count) = (Some(self.last.at), Some(self.last.count));
        meta
    }

    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(1 + USE + 8 + 4 + self.blobs.len() * 40 + SUM);
        row.push(FORMAT);
        row.extend_from_slice(&self.last.encode());
        row.extend_from_slice(&self.version.to_le_bytes());
        row.extend_from_slice(&u32::try_from(self.blobs.len()).unwrap_or(u32::MAX).to_le_bytes());
        for blob in &self.blobs {
            let name = blob.name.as_str().as_bytes();
            row.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            row.extend_from_slice(name);
            row.extend_from_slice(&blob.bytes.to_le_bytes());
            row.extend_from_slice(&encode_time(blob.created));
            row.extend_from_slice(&blob.id.unwrap_or(0).to_le_bytes());
        }
        let sum = sum(key, &row);
        row.extend_from_slice(&sum);
        row
    }

    /// `None` if the row is damaged.
    pub(crate) fn decode(key: &[u8], row: &[u8]) -> Option<Self> {
        let mut rest = checked(key, row)?;
        let [FORMAT] = take(&mut rest)? else { return None };
        let last = Use::decode(take(&mut rest)?)?;
        let version = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut blobs = Vec::new();
        for _ in 0..count {
            let [len] = take(&mut rest)?;
            let (name, after) = rest.split_at_checked(len.into())?;
            rest = after;
            blobs.push(BlobRow {
                name: BlobName::new(str::from_utf8(name).ok()?).ok()?,
                bytes: u64::from_le_bytes(take(&mut rest)?),
                created: decode_time(take(&mut rest)?)?,
                id: Some(u64::from_le_bytes(take(&mut rest)?)).filter(|id| *id != 0),
            });
        }
        rest.is_empty().then_some(Self { last, version, blobs })
    }
}

impl Use {
    /// This use and those `before` as one.
    pub(crate) fn after(self, before: Self) -> Self {
        let last = if self.stamp > before.stamp { self } else { before };
        Self { count: self.count.saturating_add(before.count), ..last }
    }

    /// Only this part of a row; `None` if the row is damaged.
    pub(crate) fn of_row(key: &[u8], row: &[u8]) -> Option<Self> {
        let mut rest = checked(key, row)?;
        let [FORMAT] = take(&mut rest)? else { return None };
        Self::decode(take(&mut rest)?)
    }

    /// The same row with this last use.
    pub(crate) fn put_into(&self, key: &[u8], row: &[u8]) -> Option<Vec<u8>> {
        let mut row = checked(key, row)?.to_vec();
        row.get_mut(1..=USE)?.copy_from_slice(&self.encode());
        let sum = sum(key, &row);
        row.extend_from_slice(&sum);
        Some(row)
    }

    fn encode(&self) -> [u8; USE] {
        let mut bytes = [0; USE];
        let (stamp, rest) = bytes.split_at_mut(8);
        let (at, count) = rest.split_at_mut(TIME);
        stamp.copy_from_slice(&self.stamp.to_le_bytes());
        at.copy_from_slice(&encode_time(self.at));
        count.copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    fn decode(bytes: [u8; USE]) -> Option<Self> {
        let mut rest = bytes.as_slice();
        Some(Self {
            stamp: u64::from_le_bytes(take(&mut rest)?),
            at: decode_time(take(&mut rest)?)?,
            count: u64::from_le_bytes(take(&mut rest)?),
        })
    }
}

fn sum(key: &[u8], row: &[u8]) -> [u8; SUM] {
    xxh3_64_with_seed(row, xxh3_64_with_seed(key, 0)).to_le_bytes()
}

/// The row without its sum.
fn checked<'a>(key: &[u8], row: &'a [u8]) -> Option<&'a [u8]> {
    let (row, told) = row.split_last_chunk::<SUM>()?;
    (*told == sum(key, row)).then_some(row)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
