//! `.index/<hh>`: what became of the entries of one shard, in the order in which it happened.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::Arc,
};

use cache_core::Key;
use rustix::{
    fs::{FileType, FlockOperation, flock, fstat},
    io::{Errno, retry_on_intr},
};

use super::{
    Files,
    record::{FIXED, Held, Record},
    replay::Replay,
    sizes::{Cell, Totals},
};
use crate::tree::lock;

/// What a log begins with: a magic number, the version, and room.
pub(crate) const HEADER: [u8; 16] = *b"\x8eCDLOG\r\n\x01\0\0\0\0\0\0\0";

/// A log is compacted when it is this much longer than twice what it was after the last time.
const SLACK: u32 = 8 << 10;

/// What an open log turned out to be once it was locked.
pub(crate) enum State {
    /// So many bytes.
    Whole(u64),
    /// Somebody has put another log in its place.
    Replaced,
    /// A link or the like, which nobody of us has made.
    Strange,
}

/// A log that nobody else writes to until this is dropped. What makes an entry of its shard visible, or
/// takes one away, happens meanwhile: so the order of the records is that of the events.
pub(crate) struct Log {
    pub(crate) files: Arc<Files>,
    pub(crate) shard: u8,
    pub(crate) file: File,
    pub(crate) cell: Cell,
    totals: Totals,
}

pub(crate) fn lock_log(file: &File) -> Result<State, Errno> {
    lock(file)?;
    let stat = fstat(file)?;
    Ok(match (FileType::from_raw_mode(stat.st_mode), stat.st_nlink) {
        (FileType::RegularFile, 0) => State::Replaced,
        (FileType::RegularFile, 1) => State::Whole(u64::try_from(stat.st_size).unwrap_or(0)),
        _ => State::Strange,
    })
}

impl Log {
    /// Takes a log that is locked and has `len` bytes. If that is not what the sizes say, somebody died
    /// between the two, or one of them is damaged: then the log is read, what is torn is cut off, and the
    /// index is suspect if that may have been more than the end of a record that came to nothing.
    pub(crate) fn take(files: Arc<Files>, shard: u8, file: File, len: u64) -> io::Result<Self> {
        let (totals, cell) = files.sizes.with_cell(shard)?;
        let mut log = Self { files, shard, file, cell: cell.unwrap_or_default(), totals };
        if cell.is_none_or(|cell| u64::from(cell.log) != len) {
            log.recount(len, cell)?;
        }
        Ok(log)
    }

    fn recount(&mut self, len: u64, cell: Option<Cell>) -> io::Result<()> {
        let mut replay = Replay::new(self.shard);
        let whole = replay.read(&self.file, len)?;
        if replay.end() < cell.map_or(len, |cell| u64::from(cell.log)) {
            self.files.ask()?;
            self.totals.suspect = true;
        }
        if !whole {
            self.file.set_len(replay.end())?;
        }
        // Whatever the sizes say is written anew, if only because it may be no cell at all.
        let cell = cell.unwrap_or(Cell { log: u32::MAX, ..Cell::default() });
        let before = std::mem::replace(&mut self.cell, cell).bytes;
        self.correct(&replay, cell.compacted)?;
        self.totals.bytes = self.totals.bytes.saturating_sub(before).saturating_add(self.cell.bytes);
        Ok(())
    }

    /// Cuts off what cannot be read.
    pub(crate) fn repair(&mut self) -> io::Result<()> {
        self.recount(u64::from(self.cell.log), Some(self.cell))
    }

    /// Sets what the whole log was found to say.
    pub(crate) fn correct(&mut self, replay: &Replay, compacted: u32) -> io::Result<()> {
        let log = u32::try_from(replay.end()).map_err(|_| io::Error::from(Errno::FBIG))?;
        let cell = Cell { bytes: replay.bytes(), log, compacted };
        if cell != self.cell {
            self.files.sizes.write_cell(self.shard, cell)?;
            self.cell = cell;
        }
        Ok(())
    }

    /// Of all shards, with what was written here.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether it is worth compacting.
    pub(crate) fn is_long(&self) -> bool {
        self.cell.log > self.cell.compacted.saturating_mul(2).saturating_add(SLACK)
    }

    /// Writes down that an entry of `before` bytes is there as `held`, or (`None`) is not there.
    pub(crate) fn write(&mut self, key: &Key, before: u64, held: Option<Held>) -> io::Result<()> {
        let namespace = key.namespace.encoded();
        let mut bytes = Vec::with_capacity(HEADER.len() + FIXED + namespace.len());
        if self.cell.log == 0 {
            bytes.extend_from_slice(&HEADER);
        }
        Record { namespace, digest: key.digest, held }.encode(&mut bytes);
        let longer = u32::try_from(bytes.len()).ok().and_then(|len| self.cell.log.checked_add(len));
        let log = longer.ok_or_else(|| io::Error::from(Errno::FBIG))?;
        if let Err(error) = self.file.write_all_at(&bytes, u64::from(self.cell.log)) {
            // A part of a record is none. If it stays, the next one here cuts it off.
            _ = self.file.set_len(u64::from(self.cell.log));
            return Err(error);
        }
        let after = held.map_or(0, |held| held.bytes);
        let changed = |bytes: u64| bytes.saturating_add(after).saturating_sub(before);
        let cell = Cell { bytes: changed(self.cell.bytes), log, ..self.cell };
        self.files.sizes.write_cell(self.shard, cell)?;
        self.cell = cell;
        self.totals.bytes = changed(self.totals.bytes);
        Ok(())
    }

    /// Lets others write.
    pub(crate) fn unlock(&self) -> Result<(), Errno> {
        retry_on_intr(|| flock(self.file.as_fd(), FlockOperation::Unlock))
    }
}
