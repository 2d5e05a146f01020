//! How large a file would be whose pages are full.

use redb::{ReadTransaction, ReadableTable};

use crate::{
    chunks::CHUNK,
    contain::Fault,
    rows::{ENTRIES, EntryRow},
};
use cache_core::Envelope;

const PAGE: u64 = 4096;
/// What a page of rows has besides them.
const HEAD: u64 = 4;
/// What each row has besides its bytes.
const OFFSETS: u64 = 8;
/// What the page above has for each page, besides a key.
const CHILD: u64 = 28;
/// What the database takes for itself.
const BASE: u64 = 64 << 10;

/// How many bytes the file needs for what is in it. Reads the rows of entries, and no blob.
pub(super) fn estimate(from: &ReadTransaction) -> Result<u64, Fault> {
    let mut tables = Tables::default();
    for row in from.open_table(ENTRIES)?.iter()? {
        let (key, value) = row?;
        tables.entry(key.value(), value.value());
    }
    Ok(tables.bytes())
}

#[derive(Debug, Default)]
struct Tables {
    entries: Leaves,
    blobs: Leaves,
    chunks: Leaves,
    recency: Leaves,
}

impl Tables {
    fn entry(&mut self, key: &[u8], value: &[u8]) {
        let key_len = key.len() as u64;
        self.entries.row(key_len, value.len() as u64);
        self.recency.row(8, key_len);
        // One that is damaged has blobs that nobody will read.
        for blob in EntryRow::decode(key, value).map(|row| row.blobs).unwrap_or_default() {
            let blob_key_len = key_len + blob.name.as_str().len() as u64;
            let sealed = Envelope::sealed_len(blob.bytes);
            if blob.id.is_none() {
                self.blobs.row(blob_key_len, sealed);
                continue;
            }
            self.blobs.row(blob_key_len, sealed.saturating_sub(blob.bytes));
            let (whole, rest) = (blob.bytes / CHUNK as u64, blob.bytes % CHUNK as u64);
            self.chunks.rows(whole, 12, CHUNK as u64);
            self.chunks.rows(u64::from(rest > 0), 12, rest);
        }
    }

    fn bytes(&self) -> u64 {
        [&self.entries, &self.blobs, &self.chunks, &self.recency].map(Leaves::bytes).iter().sum::<u64>()
            + BASE
    }
}

/// The pages of a table whose rows come in order.
#[derive(Debug, Default)]
struct Leaves {
    /// In pages that are full.
    bytes: u64,
    /// In the page that is not full yet.
    open: u64,
    /// In the pages above.
    above: u64,
}

impl Leaves {
    fn row(&mut self, key_len: u64, value_len: u64) {
        let row = key_len + value_len + OFFSETS;
        if self.open > 0 && HEAD + self.open + row > PAGE {
            self.bytes += PAGE;
            self.open = 0;
        }
        if self.open == 0 {
            self.above += key_len + CHILD;
        }
        if HEAD + row > PAGE {
            self.bytes += page_of(row);
        } else {
            self.open += row;
        }
    }

    fn rows(&mut self, count: u64, key_len: u64, value_len: u64) {
        if HEAD + value_len > PAGE {
            self.bytes += count * page_of(key_len + value_len + OFFSETS);
            self.above += count * (key_len + CHILD);
        } else {
            (0..count).for_each(|_| self.row(key_len, value_len));
        }
    }

    fn bytes(&self) -> u64 {
        let open = if self.open > 0 { PAGE } else { 0 };
        self.bytes + open + self.above.next_multiple_of(PAGE)
    }
}

/// The page of a row that does not fit into a common one: as large as the next power of two.
fn page_of(row: u64) -> u64 {
    (HEAD + row).div_ceil(PAGE).next_power_of_two() * PAGE
}

#[cfg(test)]
mod tests;
