//! The rows of one database written into another, so that all pages are full.

use std::{collections::HashSet, ops::Bound};

use redb::{
    AccessGuard, Database, Durability, Key, Range, ReadTransaction, ReadableDatabase, TableDefinition, Value,
};

use crate::{
    chunks::{CHUNKS, LOOSE},
    contain::{Fault, contain_fault},
    format::FORMAT,
    rows::{BLOBS, ENTRIES, EntryRow, RECENCY, TOTALS},
    stub::Stub,
};

/// Bytes that are in memory at a time.
const PIECE: usize = 4 << 20;
/// Bytes after which a commit is durable: before, the database remembers each page.
const DURABLE: usize = 512 << 20;

type Row<K, V> = (AccessGuard<'static, K>, AccessGuard<'static, V>);

/// Copies all but chunks that nothing refers to. Nothing is durable yet.
pub(super) fn rebuild(from: &Database, into: &Database) -> Result<(), Fault> {
    let from = contain_fault(|| Ok(from.begin_read()?))?;
    let mut copy = Copy { from: &from, into, volatile: 0 };
    copy.table(FORMAT, |_, _| true)?;
    let mut ids = HashSet::new();
    // Also those whose stub is damaged: they are given free with their entry, and are nobody else's until then.
    copy.table(ENTRIES, |key, row| {
        let blobs = EntryRow::decode(key, row).map(|row| row.blobs).unwrap_or_default();
        ids.extend(blobs.iter().filter_map(|blob| blob.id));
        true
    })?;
    copy.table(TOTALS, |_, _| true)?;
    copy.table(RECENCY, |_, _| true)?;
    copy.table(LOOSE, |id, ()| {
        ids.insert(id);
        true
    })?;
    copy.table(BLOBS, |_, value| {
        ids.extend(Stub::decode(value).ok().map(|stub| stub.id));
        true
    })?;
    copy.table(CHUNKS, |(id, _), _| ids.contains(&id))
}

struct Copy<'a> {
    from: &'a ReadTransaction,
    into: &'a Database,
    /// Bytes since the last commit that was durable.
    volatile: usize,
}

impl Copy<'_> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
        mut keep: impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> bool,
    ) -> Result<(), Fault> {
        let mut rows = contain_fault(|| Ok(self.from.open_table(table)?.range::<K::SelfType<'_>>(..)?))?;
        loop {
            let (piece, bytes) = contain_fault(|| read(&mut rows, &mut keep))?;
            self.volatile += bytes;
            let durable = self.volatile >= DURABLE;
            if durable {
                self.volatile = 0;
            }
            // The database that is made does not count.
            contain_fault(|| self.write(table, &piece, durable))
                .map_err(|fault| Fault::Refused(fault.error().clone()))?;
            if bytes < PIECE {
                return Ok(());
            }
        }
    }

    /// Appends rows. A table is made even if it has none.
    fn write<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'static, K, V>,
        piece: &[Row<K, V>],
        durable: bool,
    ) -> Result<(), Fault> {
        let mut transaction = self.into.begin_write()?;
        if !durable {
            transaction.set_durability(Durability::None)?;
        }
        let mut table = transaction.open_table(table)?;
        let mut end = table.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded)?;
        for (key, value) in piece {
            end.insert_before(key.value(), value.value())?;
        }
        end.close()?;
        drop(table);
        transaction.commit()?;
        Ok(())
    }
}

/// The next rows, and how many bytes there are; less than a piece only at the end.
fn read<K: Key + 'static, V: Value + 'static>(
    rows: &mut Range<'static, K, V>,
    keep: &mut impl FnMut(K::SelfType<'_>, V::SelfType<'_>) -> bool,
) -> Result<(Vec<Row<K, V>>, usize), Fault> {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while bytes < PIECE {
        let Some(row) = rows.next() else { break };
        let (key, value) = row?;
        bytes += K::as_bytes(&key.value()).as_ref().len() + V::as_bytes(&value.value()).as_ref().len() + 1;
        if keep(key.value(), value.value()) {
            piece.push((key, value));
        }
    }
    Ok((piece, bytes))
}
