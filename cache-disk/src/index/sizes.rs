//! `.index/sizes`: how many bytes each shard holds, so that all of them are added up with one read.

use std::{
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileExt, MetadataExt},
    },
};

use rustix::{
    fs::{FlockOperation, flock},
    io::retry_on_intr,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::record::Used;
use crate::tree::lock;

const MAGIC: [u8; 8] = *b"\x8eCDSIZ\r\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const CELL: usize = 24;
pub(crate) const SHARDS: usize = 256;
const LEN: usize = HEADER + CELL * SHARDS;

/// Where the header's numbers stand.
const BOOT: usize = 16;
const ASKED: usize = 24;
const HEALED: usize = 32;
const EVICTOR: usize = 40;
const BEAT: usize = 48;

/// What is known of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Of all its entries.
    pub(crate) bytes: u64,
    /// Of its log. If the log has another length, somebody died in between.
    pub(crate) log: u32,
    /// The length of its log when it was compacted last.
    pub(crate) compacted: u32,
}

/// All that the file says, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// The bytes of all entries.
    pub(crate) bytes: u64,
    /// The lengths of all logs.
    pub(crate) logs: u64,
    /// Whether the index may lack entries that there are. It is healed by who tells the number `asked`
    /// back: unless somebody has found another reason meanwhile, and has asked with another number.
    pub(crate) suspect: bool,
    pub(crate) asked: u64,
    /// Who evicted last.
    pub(crate) evictor: u64,
    /// Changes while somebody evicts.
    pub(crate) beat: u64,
    /// Whether each cell is one that was written, or none.
    pub(crate) sound: bool,
    /// Whether the file has no form that is known.
    pub(crate) lost: bool,
}

pub(crate) struct Sizes(File);

impl Sizes {
    /// Makes a file of the right form of what is there. Of one that holds nothing of use everything has
    /// to be found again, unless there `is_nothing` to be found.
    pub(crate) fn begin(
        file: OwnedFd,
        number: impl Fn() -> io::Result<u64>,
        is_nothing: impl Fn() -> bool,
    ) -> io::Result<Self> {
        lock(&file)?;
        let sizes = Self(file.into());
        let outcome = sizes.prepare(number, is_nothing);
        retry_on_intr(|| flock(&sizes.0, FlockOperation::Unlock))?;
        outcome.map(|()| sizes)
    }

    fn prepare(&self, number: impl Fn() -> io::Result<u64>, is_nothing: impl Fn() -> bool) -> io::Result<()> {
        let boot = self.boot();
        if let Some(page) = self.page()? {
            // After a boot the pages that were not written are those of another time; in a copy, all may be.
            if boot.is_none_or(|boot| boot != number_at(&page, BOOT)) {
                self.0.write_all_at(&number()?.to_le_bytes(), ASKED as u64)?;
                self.0.write_all_at(&boot.unwrap_or(0).to_le_bytes(), BOOT as u64)?;
            }
            return Ok(());
        }
        let asked = if is_nothing() { 0 } else { number()? };
        let mut page = Vec::with_capacity(LEN);
        page.extend_from_slice(&MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.extend_from_slice(&boot.unwrap_or(0).to_le_bytes());
        page.extend_from_slice(&asked.to_le_bytes());
        page.resize(LEN, 0);
        self.0.set_len(LEN as u64)?;
        self.0.write_all_at(&page, 0)
    }

    /// Tells one boot of the machine from the next, where that can be told, and this file from its copies.
    fn boot(&self) -> Option<u64> {
        use std::io::Read;
        let mut id = Vec::new();
        File::open("/proc/sys/kernel/random/boot_id").ok()?.take(64).read_to_end(&mut id).ok()?;
        if id.is_empty() {
            return None;
        }
        let file = self.0.metadata().ok()?;
        id.extend_from_slice(&file.ino().to_le_bytes());
        // A copy may be given the number of a file that was removed. Not every file system keeps this.
        if let Ok(made) = file.created().map(Used::from) {
            id.extend_from_slice(&made.0.to_le_bytes());
        }
        Some(xxh3_64(&id))
    }

    /// Whether the file has no name any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// `None` if it is not of the form that this version knows.
    fn page(&self) -> io::Result<Option<[u8; LEN]>> {
        let mut page = [0; LEN];
        match self.0.read_exact_at(&mut page, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let known = page.starts_with(&MAGIC) && page.get(8..12) == Some(VERSION.to_le_bytes().as_slice());
        Ok(known.then_some(page))
    }

    pub(crate) fn totals(&self) -> io::Result<Totals> {
        Ok(self.page()?.map_or(LOST, |page| totals(&page, true)))
    }

    /// As [`totals`](Self::totals), with one cell; `None` for a cell that nobody wrote. Only that one is
    /// looked at closely.
    pub(crate) fn with_cell(&self, shard: u8) -> io::Result<(Totals, Option<Cell>)> {
        Ok(self.page()?.map_or((LOST, None), |page| {
            (totals(&page, false), page.get(place(shard)..).and_then(|cell| read_cell(cell, shard)))
        }))
    }

    pub(crate) fn write_cell(&self, shard: u8, cell: Cell) -> io::Result<()> {
        let mut bytes = [0; CELL];
        set_number(&mut bytes, 0, cell.bytes);
        set_number(&mut bytes, 8, packed(cell));
        let sum = bytes.get(..16).map_or(0, |numbers| xxh3_64_with_seed(numbers, u64::from(shard)));
        set_number(&mut bytes, 16, sum);
        self.0.write_all_at(&bytes, place(shard) as u64)
    }

    /// Asks for the index to be compared with the directories.
    pub(crate) fn ask(&self, number: u64) -> io::Result<()> {
        self.0.write_all_at(&number.to_le_bytes(), ASKED as u64)
    }

    /// What was asked for has been done.
    pub(crate) fn healed(&self, asked: u64) -> io::Result<()> {
        self.0.write_all_at(&asked.to_le_bytes(), HEALED as u64)
    }

    pub(crate) fn evicts(&self, evictor: u64) -> io::Result<()> {
        self.0.write_all_at(&evictor.to_le_bytes(), EVICTOR as u64)
    }

    pub(crate) fn beat(&self, beat: u64) -> io::Result<()> {
        self.0.write_all_at(&beat.to_le_bytes(), BEAT as u64)
    }
}

/// What is known if the file is lost under an open store.
const LOST: Totals =
    Totals { bytes: 0, logs: 0, suspect: true, asked: 0, evictor: 0, beat: 0, sound: false, lost: true };

fn totals(page: &[u8], closely: bool) -> Totals {
    let (mut bytes, mut logs, mut sound) = (0_u64, 0, true);
    let cells = page.get(HEADER..).unwrap_or_default();
    for (shard, cell) in (0..=u8::MAX).zip(cells.chunks_exact(CELL)) {
        bytes = bytes.saturating_add(number_at(cell, 0));
        logs += number_at(cell, 8) & u64::from(u32::MAX);
        sound &= !closely || read_cell(cell, shard).is_some();
    }
    let asked = number_at(page, ASKED);
    Totals {
        bytes,
        logs,
        suspect: asked != number_at(page, HEALED),
        asked,
        evictor: number_at(page, EVICTOR),
        beat: number_at(page, BEAT),
        sound,
        lost: false,
    }
}

fn read_cell(bytes: &[u8], shard: u8) -> Option<Cell> {
    let bytes = bytes.get(..CELL)?;
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(Cell::default());
    }
    let (numbers, sum) = bytes.split_at_checked(16)?;
    let lengths = number_at(numbers, 8);
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
    let cell = Cell { bytes: number_at(numbers, 0), log: low(lengths), compacted: low(lengths >> 32) };
    (xxh3_64_with_seed(numbers, u64::from(shard)) == number_at(sum, 0)).then_some(cell)
}

fn packed(cell: Cell) -> u64 {
    u64::from(cell.log) | u64::from(cell.compacted) << 32
}

pub(super) fn place(shard: u8) -> usize {
    HEADER + usize::from(shard) * CELL
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn set_number(bytes: &mut [u8], at: usize, number: u64) {
    if let Some(place) = bytes.get_mut(at..at + 8) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
