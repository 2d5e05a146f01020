//! The tables, and what their keys and values look like. Numbers in values are little endian.

mod entry;
mod key;
mod totals;

use redb::TableDefinition;

pub(crate) use {
    entry::{BlobRow, EntryRow, Use},
    key::{RowKey, entry_of, names_of},
    totals::Totals,
};

/// Keys and values that are bytes.
type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// [`RowKey`] of an entry → [`EntryRow`].
pub(crate) const ENTRIES: Rows = TableDefinition::new("entries");
/// [`RowKey`] of a blob → its sealed bytes, or where they are.
pub(crate) const BLOBS: Rows = TableDefinition::new("blobs");
/// Stamp → [`RowKey`] of an entry: the lowest was used least recently.
pub(crate) const RECENCY: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("recency");
/// Encoded namespace → [`Totals`] of the entries in it, without those below.
pub(crate) const TOTALS: Rows = TableDefinition::new("totals");
