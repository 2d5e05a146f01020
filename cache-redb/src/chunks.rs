//! The payloads of large blobs, cut into rows, and which of them belong to no entry.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

/// A chunk by the blob's id and its number.
pub(crate) const CHUNKS: TableDefinition<'static, (u64, u32), &'static [u8]> = TableDefinition::new("chunks");
/// Ids whose chunks belong to no entry: of uploads, and of blobs that were replaced or evicted.
pub(crate) const LOOSE: TableDefinition<'static, u64, ()> = TableDefinition::new("loose");

/// The chunks as one snapshot has them.
pub(crate) type ChunkTable = ReadOnlyTable<(u64, u32), &'static [u8]>;

/// Bytes of a chunk; the last of a blob may be shorter. With what the database adds it fills its pages.
pub(crate) const CHUNK: usize = 256 * 1024 - 256;
/// Ids are counted up from 1: nobody gets so far.
const LAST_ID: u64 = u64::MAX / 2;

/// How many chunks a payload has; `None` for one that is too large.
pub(crate) fn chunk_count(payload_len: u64) -> Option<u32> {
    u32::try_from(payload_len.div_ceil(CHUNK as u64)).ok()
}

/// A run of chunks of one blob, as a transaction writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) id: u64,
    /// The number of the first of them.
    pub(crate) first_index: u32,
    /// All of the full length, but for the last one of the blob.
    pub(crate) chunks: Vec<Bytes>,
}

impl Part {
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }
}

/// Gives out ids. What was uploaded into a database that was opened again since, or replaced, is lost.
#[derive(Debug)]
pub(crate) struct ChunkIds {
    next: AtomicU64,
    /// The first that was given out since the database was opened.
    first: AtomicU64,
}

impl Default for ChunkIds {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), first: AtomicU64::new(1) }
    }
}

impl ChunkIds {
    /// An id that no blob had since the store was opened.
    pub(crate) fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::AcqRel)
    }

    /// Begins anew above the ids that a database has, when it was opened.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if an id cannot be true.
    pub(crate) fn opened(&self, largest: Option<u64>) -> Result<()> {
        let largest = largest.unwrap_or(0);
        if largest > LAST_ID {
            return Err(Error::corrupt(format!("the id {largest} was never given out")));
        }
        self.next.fetch_max(largest + 1, Ordering::AcqRel);
        self.first.store(self.next.load(Ordering::Acquire), Ordering::Release);
        Ok(())
    }

    /// Whether an id was given out since the database was opened.
    fn is_of_this_database(&self, id: u64) -> bool {
        id >= self.first.load(Ordering::Acquire)
    }
}

/// What a database has: the largest id of all, and those whose chunks belong to no entry.
pub(crate) fn ids_of(transaction: &ReadTransaction) -> Result<(Option<u64>, VecDeque<u64>), redb::Error> {
    let largest = transaction.open_table(CHUNKS)?.last()?.map(|(key, _)| key.value().0);
    let mut loose = VecDeque::new();
    for row in transaction.open_table(LOOSE)?.iter()? {
        loose.push_back(row?.0.value());
    }
    Ok((largest.max(loose.back().copied()), loose))
}

/// The tables of chunks in a write transaction.
pub(crate) struct ChunkTables<'txn> {
    chunks: Table<'txn, (u64, u32), &'static [u8]>,
    loose: Table<'txn, u64, ()>,
}

impl<'txn> ChunkTables<'txn> {
    /// Opens both, and makes them if they are not there.
    pub(crate) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { chunks: transaction.open_table(CHUNKS)?, loose: transaction.open_table(LOOSE)? })
    }

    /// Takes a part of an upload. The id is loose from its first one on.
    ///
    /// # Errors
    ///
    /// The inner one is [`Unavailable`](ErrorKind::Unavailable) if earlier parts are lost. Nothing is written then.
    pub(crate) fn stage(&mut self, ids: &ChunkIds, part: &Part) -> Result<Result<()>, redb::Error> {
        if !ids.is_of_this_database(part.id) || (part.first_index > 0 && !self.is_loose(part.id)?) {
            return Ok(Err(lost()));
        }
        if part.first_index == 0 {
            self.mark_loose(part.id)?;
        }
        self.write(part)?;
        Ok(Ok(()))
    }

    /// Takes the rest of an upload and makes all of it belong to an entry.
    ///
    /// # Errors
    ///
    /// As [`stage`](Self::stage).
    pub(crate) fn publish(&mut self, ids: &ChunkIds, tail: &Part) -> Result<Result<()>, redb::Error> {
        if !ids.is_of_this_database(tail.id) || (tail.first_index > 0 && !self.unmark_loose(tail.id)?) {
            return Ok(Err(lost()));
        }
        self.write(tail)?;
        Ok(Ok(()))
    }

    fn write(&mut self, part: &Part) -> Result<(), redb::Error> {
        for (index, chunk) in (part.first_index..).zip(&part.chunks) {
            self.chunks.insert((part.id, index), &**chunk)?;
        }
        Ok(())
    }

    pub(crate) fn is_loose(&self, id: u64) -> Result<bool, redb::Error> {
        Ok(self.loose.get(id)?.is_some())
    }

    /// Says that a blob's chunks belong to no entry any more. They are removed later.
    pub(crate) fn mark_loose(&mut self, id: u64) -> Result<(), redb::Error> {
        self.loose.insert(id, ())?;
        Ok(())
    }

    /// Says that chunks belong to an entry now. Answers whether they were there as those of an upload.
    fn unmark_loose(&mut self, id: u64) -> Result<bool, redb::Error> {
        Ok(self.loose.remove(id)?.is_some())
    }

    /// Removes at most `limit` chunks of a loose id, and in the end that it is loose. Answers whether that was all.
    /// An id that is not loose belongs to an entry, or is gone: it stays as it is.
    pub(crate) fn remove_some(&mut self, id: u64, limit: usize) -> Result<bool, redb::Error> {
        if !self.is_loose(id)? {
            return Ok(true);
        }
        let mut chunks = self.chunks.extract_from_if((id, 0)..=(id, u32::MAX), |_, _| true)?;
        for _ in 0..limit {
            let Some(removed) = chunks.next() else {
                chunks.close()?;
                self.unmark_loose(id)?;
                return Ok(true);
            };
            removed?;
        }
        chunks.close()?;
        Ok(false)
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "", "").with_detail("the database failed during the upload")
}

#[cfg(test)]
mod tests;
