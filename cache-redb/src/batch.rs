//! One transaction of the writer: entries and all that is known of them change together.

mod account;
mod put;

use std::{collections::BTreeMap, time::SystemTime};

use cache_core::{Error, Key};
use redb::{ReadableTable, Table, WriteTransaction};

pub(crate) use account::{count, namespace_of};

use crate::{
    chunks::{ChunkTables, Part},
    engine::Engine,
    queue::Only,
    recency::Note,
    rows::{BLOBS, ENTRIES, EntryRow, RECENCY, RowKey, TOTALS, Totals, Use, entry_of, names_of},
    stub::Stub,
};

type Rows<'tx> = Table<'tx, &'static [u8], &'static [u8]>;
type Result<T> = std::result::Result<T, redb::Error>;

pub(crate) struct Batch<'a, 'tx> {
    engine: &'a Engine,
    tx: &'tx WriteTransaction,
    entries: Rows<'tx>,
    blobs: Rows<'tx>,
    recency: Table<'tx, u64, &'static [u8]>,
    /// Opened when it is needed.
    chunks: Option<ChunkTables<'tx>>,
    totals: BTreeMap<Vec<u8>, Totals>,
    changed: Changed,
    now: SystemTime,
}

/// What a transaction has changed, once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// What the whole store holds.
    pub(crate) sum: Totals,
    /// Puts that stored something.
    pub(crate) puts: u64,
    /// Bytes of blobs that were written.
    pub(crate) bytes: u64,
    /// Large blobs that belong to no entry any more.
    pub(crate) loose: Vec<u64>,
    /// Entries that went away.
    pub(crate) gone: Vec<Key>,
}

/// What there is of an entry.
enum Found {
    Nothing,
    Row(EntryRow),
    Damage,
}

impl<'a, 'tx> Batch<'a, 'tx> {
    /// `sum` is what the whole store holds. The time is told, since a clock is the caller's: what it does wrong is not
    /// the database's fault.
    pub(crate) fn begin(
        engine: &'a Engine,
        tx: &'tx WriteTransaction,
        sum: Totals,
        now: SystemTime,
    ) -> Result<Self> {
        Ok(Self {
            engine,
            tx,
            entries: tx.open_table(ENTRIES)?,
            blobs: tx.open_table(BLOBS)?,
            recency: tx.open_table(RECENCY)?,
            chunks: None,
            totals: BTreeMap::new(),
            changed: Changed { sum, ..Changed::default() },
            now,
        })
    }

    /// Writes down what is left to do before the commit.
    pub(crate) fn finish(self) -> Result<Changed> {
        if !self.totals.is_empty() {
            let mut table = self.tx.open_table(TOTALS)?;
            for (namespace, totals) in &self.totals {
                if *totals == Totals::default() {
                    table.remove(namespace.as_slice())?;
                } else {
                    table.insert(namespace.as_slice(), totals.encode(namespace).as_slice())?;
                }
            }
        }
        Ok(self.changed)
    }

    fn chunks(&mut self) -> Result<&mut ChunkTables<'tx>> {
        match &mut self.chunks {
            Some(chunks) => Ok(chunks),
            none => Ok(none.insert(ChunkTables::open(self.tx)?)),
        }
    }

    fn set_loose(&mut self, id: u64) -> Result<()> {
        self.chunks()?.mark_loose(id)?;
        self.changed.loose.push(id);
        Ok(())
    }

    /// Writes pieces of a large blob. The inner error is of this upload alone.
    pub(crate) fn stage(&mut self, part: &Part) -> Result<std::result::Result<(), Error>> {
        let ids = &self.engine.ids;
        self.changed.bytes = self.changed.bytes.saturating_add(part.bytes());
        self.chunks()?.stage(ids, part)
    }

    /// Removes some pieces of a large blob that belongs to no entry. Answers whether that was all.
    pub(crate) fn sweep(&mut self, id: u64, most: usize) -> Result<bool> {
        self.chunks()?.remove_some(id, most)
    }

    /// Removes an entry, if it is there and of that version. Answers its bytes.
    pub(crate) fn remove(&mut self, key: &Key, only: Only) -> Result<Option<u64>> {
        let row_key = RowKey::entry(key.view());
        let bytes = match self.find(row_key.as_bytes())? {
            Found::Row(row) if only.is(&row) => self.remove_row(row_key.as_bytes(), &row)?,
            Found::Damage if only.takes_unreadable() => {
                self.purge(row_key.as_bytes())?;
                0
            }
            found => {
                if matches!(found, Found::Nothing) && only.takes_unreadable() {
                    // Of an entry whose row was lost.
                    self.remove_blobs(row_key.as_bytes())?;
                }
                return Ok(None);
            }
        };
        self.changed.gone.push(key.clone());
        Ok(Some(bytes))
    }

    /// Removes an entry that was not used since it had this stamp. Answers its bytes.
    pub(crate) fn evict(&mut self, key: &[u8], stamp: u64) -> Result<Option<u64>> {
        let bytes = match self.find(key)? {
            Found::Row(row) if row.last.stamp == stamp => self.remove_row(key, &row)?,
            Found::Row(_) | Found::Nothing => {
                // If it is in the order of uses at all, it has led nowhere since there was damage.
                let leads_here = self.recency.get(stamp)?.is_some_and(|found| found.value() == key);
                if leads_here {
                    self.recency.remove(stamp)?;
                }
                return Ok(None);
            }
            Found::Damage => {
                self.recency.remove(stamp)?;
                self.purge(key)?;
                0
            }
        };
        self.changed.gone.extend(entry_of(key));
        Ok(Some(bytes))
    }

    /// What is used least recently: at most so many entries, until they free so much.
    pub(crate) fn victims(&self, most: usize, mut excess: Totals) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut victims = Vec::new();
        for row in self.recency.iter()? {
            if victims.len() >= most || (excess.bytes == 0 && excess.entries == 0) {
                break;
            }
            let (stamp, key) = row?;
            let (stamp, key) = (stamp.value(), key.value().to_vec());
            if let Found::Row(row) = self.find(&key)?
                && row.last.stamp == stamp
            {
                excess.take(row.totals());
            }
            victims.push((stamp, key));
        }
        Ok(victims)
    }

    /// The entries of more bytes than this.
    pub(crate) fn giants(&self, max: u64) -> Result<Vec<(u64, Vec<u8>)>> {
        let mut giants = Vec::new();
        for row in self.entries.iter()? {
            let (key, row) = row?;
            if let Some(row) = EntryRow::decode(key.value(), row.value())
                && row.bytes() > max
            {
                giants.push((row.last.stamp, key.value().to_vec()));
            }
        }
        Ok(giants)
    }

    /// Writes down reads.
    pub(crate) fn note(&mut self, note: &Note) -> Result<()> {
        let key = RowKey::entry(note.key.view());
        let key = key.as_bytes();
        let Some(row) = self.entries.get(key)?.map(|row| row.value().to_vec()) else { return Ok(()) };
        let Some(before) = Use::of_row(key, &row) else { return Ok(()) };
        let last = note.reads.after(before);
        if let Some(row) = last.put_into(key, &row) {
            self.entries.insert(key, row.as_slice())?;
            if last.stamp != before.stamp {
                self.recency.remove(before.stamp)?;
                self.recency.insert(last.stamp, key)?;
            }
        }
        Ok(())
    }

    fn find(&self, key: &[u8]) -> Result<Found> {
        let Some(row) = self.entries.get(key)? else { return Ok(Found::Nothing) };
        Ok(EntryRow::decode(key, row.value()).map_or(Found::Damage, Found::Row))
    }

    fn remove_row(&mut self, key: &[u8], row: &EntryRow) -> Result<u64> {
        self.totals(namespace_of(key))?;
        for blob in &row.blobs {
            self.blobs.remove([key, blob.name.as_str().as_bytes()].concat().as_slice())?;
            if let Some(id) = blob.id {
                self.set_loose(id)?;
            }
        }
        self.recency.remove(row.last.stamp)?;
        self.entries.remove(key)?;
        self.account(key, Some(row), None)?;
        Ok(row.bytes())
    }

    /// Removes all that there is under the key of a damaged row, and counts its namespace anew.
    fn purge(&mut self, key: &[u8]) -> Result<()> {
        self.remove_blobs(key)?;
        self.entries.remove(key)?;
        self.recount(namespace_of(key))
    }

    fn remove_blobs(&mut self, key: &[u8]) -> Result<()> {
        let mut rows = Vec::new();
        let names = names_of(key);
        for row in self.blobs.range(names.start.as_slice()..names.end.as_slice())? {
            let (key, value) = row?;
            rows.push((key.value().to_vec(), Stub::decode(value.value()).ok().map(|stub| stub.id)));
        }
        for (row, id) in rows {
            self.blobs.remove(row.as_slice())?;
            if let Some(id) = id {
                self.set_loose(id)?;
            }
        }
        Ok(())
    }
}
