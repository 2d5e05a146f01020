#![expect(clippy::cast_possible_truncation, reason = "a test may fail")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use redb::{Builder, Database, TableDefinition};

use super::*;
use crate::memory_medium::Pages;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("table");

#[derive(Clone, Debug, Default)]
struct Bytes(Arc<Mutex<Pages>>);

impl StorageBackend for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.lock().unwrap().read(offset as usize, into)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().set_len(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().write(offset as usize, data);
        Ok(())
    }
}

impl Bytes {
    /// The pages of the last commit, and the bytes of each.
    fn own(&self) -> Vec<(PageRef, Vec<u8>)> {
        let looked = CheckedPages::new(self.clone());
        looked.look();
        let mut known = read_all(&looked);
        known.sort_by_key(|page| page.offset);
        let bytes = |page: &PageRef| {
            let mut bytes = vec![0; page.len];
            self.read(page.offset, &mut bytes).unwrap();
            bytes
        };
        known.into_iter().map(|page| (page, bytes(&page))).collect()
    }

    fn open(&self) -> Database {
        Builder::new().set_cache_size(0).create_with_backend(CheckedPages::new(self.clone())).unwrap()
    }

    /// A database of some history that was closed, large enough for its tables of free pages to have branches.
    fn closed() -> Self {
        let bytes = Self::default();
        let database = bytes.open();
        for number in 0..60 {
            write(&database, number, number % 7 == 0);
        }
        drop(database);
        bytes
    }
}

/// Reads all pages that are known, and are known by that. Answers them.
fn read_all(pages: &CheckedPages<Bytes>) -> Vec<PageRef> {
    let mut read = 0;
    loop {
        let known: Vec<_> = pages.change(|state| state.known.values().copied().collect());
        if known.len() == read {
            return known;
        }
        read = known.len();
        for page in known {
            _ = pages.read(page.offset, &mut vec![0; page.len]);
        }
    }
}

fn write(database: &Database, number: u64, durable: bool) {
    let mut write = database.begin_write().unwrap();
    match durable {
        true => write.set_quick_repair(true),
        false => write.set_durability(redb::Durability::None).unwrap(),
    }
    {
        let mut table = write.open_table(TABLE).unwrap();
        for key in 0..60 {
            table.insert(number % 13 * 100 + key, &*vec![number as u8; 900]).unwrap();
        }
    }
    write.commit().unwrap();
}

/// Where in a closed database the pages that hold it together are in use.
pub(crate) fn used_of(pages: &Pages) -> Vec<Range<usize>> {
    let own = Bytes(Arc::new(Mutex::new(pages.clone()))).own();
    let used = |(page, bytes): (PageRef, Vec<u8>)| {
        let start = page.offset as usize;
        start..start + page.used(&bytes).unwrap()
    };
    own.into_iter().map(used).collect()
}

#[test]
fn pages_are_found_and_right_and_any_flipped_bit_is_seen() {
    let own = Bytes::closed().own();
    assert!(own.len() >= 4, "{}", own.len());
    let mut highest = None;
    for (page, mut bytes) in own {
        assert!(page.is_right(&bytes), "{page:?}");
        highest = highest.max(page.height);
        for byte in 0..page.used(&bytes).unwrap() {
            for bit in 0..8 {
                bytes[byte] ^= 1 << bit;
                assert!(!page.is_right(&bytes), "{page:?}: bit {bit} of byte {byte}");
                bytes[byte] ^= 1 << bit;
            }
        }
    }
    assert_eq!(highest, Some(2), "branches of branches are among them");
}

#[test]
fn damaged_page_is_not_read_and_whole_ones_are() {
    let bytes = Bytes::closed();
    let own = bytes.own();
    for (damaged, _) in &own {
        let copy = Bytes(Arc::new(Mutex::new(bytes.0.lock().unwrap().clone())));
        let pages = CheckedPages::new(copy.clone());
        pages.read(0, &mut [0; HEADER]).unwrap();
        read_all(&pages);
        let mut first = [0];
        copy.read(damaged.offset + 2, &mut first).unwrap();
        copy.write(damaged.offset + 2, &[first[0] ^ 1]).unwrap();
        for (page, _) in &own {
            let read = pages.read(page.offset, &mut vec![0; page.len]);
            let is_damaged = page.offset == damaged.offset;
            assert_eq!(read.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData), is_damaged);
        }
    }
}

#[test]
fn pages_of_each_durable_commit_are_known_at_once() {
    let bytes = Bytes::closed();
    let pages = Arc::new(CheckedPages::new(bytes.clone()));
    let database = Builder::new().set_cache_size(0).create_with_backend(Shared(pages.clone())).unwrap();
    for number in 0..40 {
        write(&database, number, true);
        let own = bytes.own();
        assert!(!own.is_empty());
        // By then all branches were written, or read.
        for (page, _) in own.into_iter().filter(|(page, _)| page.is_own() || number > 13) {
            assert_eq!(pages.known(page.offset), Some(page), "after commit {number}");
        }
    }
}

#[test]
fn what_is_written_or_cut_off_is_no_longer_expected() {
    let bytes = Bytes::closed();
    let pages = CheckedPages::new(bytes.clone());
    pages.read(0, &mut [0; HEADER]).unwrap();
    let own = bytes.own();
    let (first, last) = (own[0].0, own[own.len() - 1].0);
    pages.write(first.offset, &vec![7; first.len]).unwrap();
    pages.read(first.offset, &mut vec![0; first.len]).unwrap();
    pages.set_len(last.offset).unwrap();
    pages.set_len(last.offset + last.len as u64).unwrap();
    pages.read(last.offset, &mut vec![0; last.len]).unwrap();
}

#[test]
fn what_is_no_database_or_is_not_known_to_be_whole_tells_nothing() {
    let bytes = Bytes::closed();
    let header = || {
        let mut header = [0; HEADER];
        bytes.read(0, &mut header).unwrap();
        header
    };
    let changed = |at: usize, change: fn(u8) -> u8| {
        let mut header = header();
        header[at] = change(header[at]);
        layout::roots(&header, bytes.len().unwrap()).is_some()
    };
    assert!(changed(0, |byte| byte));
    assert!(!changed(0, |_| b'b'), "no database");
    let last = if header()[9] & 1 == 0 { 64 } else { 192 };
    assert!(!changed(last + 120, |byte| byte ^ 1), "damaged");
    assert!(changed(256 - last + 120, |byte| byte ^ 1), "the commit before the last one");
    assert!(!changed(13, |byte| byte ^ 1), "pages of another size");
    assert!(!changed(9, |flags| flags & 1 | 2), "it may not be whole");
    assert!(changed(9, |flags| flags & 1 | 6), "it is");
}

/// What the test looks at while the database has it.
#[derive(Debug)]
struct Shared(Arc<CheckedPages<Bytes>>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, into)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
