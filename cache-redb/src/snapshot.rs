//! What reads see: the database as one commit left it.

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};

use crate::{
    chunks::{CHUNKS, ChunkTable},
    contain::{Contained, Fault},
    rows::{BLOBS, ENTRIES},
    stream::ChunkSnapshot,
};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Beside the writer, which it neither waits for nor holds up. As long as it is kept, the pages that later commits
/// free are not used again.
pub(crate) struct Snapshot {
    /// Which opening of which database it is of.
    pub(crate) generation: u64,
    pub(crate) tx: ReadTransaction,
    pub(crate) entries: Rows,
    pub(crate) blobs: Rows,
    pub(crate) chunks: ChunkTable,
}

impl Snapshot {
    pub(crate) fn of(db: &impl ReadableDatabase, generation: u64) -> Result<Self, Fault> {
        let tx = db.begin_read()?;
        let (entries, blobs) = (tx.open_table(ENTRIES)?, tx.open_table(BLOBS)?);
        let chunks = tx.open_table(CHUNKS)?;
        Ok(Self { generation, tx, entries, blobs, chunks })
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl ChunkSnapshot for Contained<Snapshot> {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn chunks(&self) -> &ChunkTable {
        &self.chunks
    }
}
