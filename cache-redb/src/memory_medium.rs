//! A database in memory that can be copied at any moment, made to fail, and looked at while it is written.

mod backend;
mod pages;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Cursor},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use cache_core::{Error, ErrorKind};
use redb::{Builder, Database, ReadOnlyDatabase};

use self::backend::MemoryBackend;
pub(crate) use self::pages::Pages;
use crate::{
    checked_pages::CheckedPages,
    contain::{Fault, contain},
    medium::Medium,
    nature::Nature,
};

/// Bytes in memory for one database. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct MemoryMedium {
    file: Arc<Mutex<Arc<MemoryFile>>>,
    aside: Arc<Mutex<Option<Pages>>>,
    /// What is to take the place of the bytes.
    new: Arc<Mutex<Option<Arc<MemoryFile>>>>,
    below: Arc<Below>,
    /// Unlike any other's.
    location: Arc<str>,
    cache_bytes: usize,
    cold: bool,
}

/// What was asked of the bytes, and what is to fail.
#[derive(Debug, Default)]
struct Below {
    operations: AtomicU64,
    /// The number of the operation that fails; 0 for none.
    fails: AtomicU64,
    /// Whether all from that one on fail.
    persistently: AtomicBool,
    /// There is no room for what is written beyond so many bytes; 0 for as much room as it takes.
    room: AtomicUsize,
    /// Whether large pages cannot be read, but by who opens it.
    spoilt: AtomicBool,
    is_opening: AtomicBool,
    /// Whether reads of large pages wait.
    held_up: AtomicBool,
}

/// The bytes. A crash leaves them to those who have them open.
#[derive(Debug, Default)]
struct MemoryFile {
    pages: Mutex<Pages>,
    is_open: AtomicBool,
    log: Mutex<Option<Vec<Logged>>>,
}

/// One thing that was done to the bytes.
#[derive(Clone, Debug)]
pub(crate) enum Logged {
    Write(usize, Arc<[u8]>),
    SetLen(usize),
    Sync,
}

impl Logged {
    /// Does it again.
    pub(crate) fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write(offset, bytes) => pages.write(*offset, bytes),
            Self::SetLen(len) => pages.set_len(*len),
            Self::Sync => {}
        }
    }
}

impl MemoryMedium {
    pub(crate) fn new() -> Self {
        Self::of(Pages::default())
    }

    /// A medium that holds these bytes.
    pub(crate) fn of(pages: Pages) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let file = MemoryFile { pages: Mutex::new(pages), ..MemoryFile::default() };
        Self {
            file: Arc::new(Mutex::new(Arc::new(file))),
            aside: Arc::default(),
            new: Arc::default(),
            below: Arc::default(),
            location: format!("memory {number}").into(),
            cache_bytes: 1 << 20,
            cold: false,
        }
    }

    /// With so much memory for the database's pages; 0 has nearly every access reach the medium.
    pub(crate) fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Says of itself that reads may have to wait.
    pub(crate) fn cold(mut self) -> Self {
        self.cold = true;
        self
    }

    fn file(&self) -> Arc<MemoryFile> {
        self.file.lock().unwrap().clone()
    }

    pub(crate) fn pages(&self) -> Pages {
        self.file().pages.lock().unwrap().clone()
    }

    /// Changes the bytes behind the back of whoever has them open.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.file().pages.lock().unwrap());
    }

    /// What was set aside last.
    pub(crate) fn aside(&self) -> Option<Pages> {
        self.aside.lock().unwrap().clone()
    }

    /// Kills whoever has it open: the next open finds what is written now, and the old one goes on where nobody
    /// looks.
    pub(crate) fn crash(&self) {
        let mut file = self.file.lock().unwrap();
        let pages = file.pages.lock().unwrap().clone();
        *file = Arc::new(MemoryFile { pages: Mutex::new(pages), ..MemoryFile::default() });
    }

    /// How many operations were asked of the bytes: reads, writes, changes and questions of length, syncs.
    pub(crate) fn operations(&self) -> u64 {
        self.below.operations.load(Ordering::SeqCst)
    }

    /// Has the `nth` operation from now on fail, once; 0 for none.
    pub(crate) fn fail(&self, nth: u64) {
        self.fails_from(nth, false);
    }

    /// Has the `nth` operation from now on fail, and all that follow until it is told otherwise.
    pub(crate) fn fail_from(&self, nth: u64) {
        self.fails_from(nth, true);
    }

    /// From now on there is no room for more than is there, or there is again. What is there can be overwritten.
    pub(crate) fn fill_up(&self, full: bool) {
        let room = if full { self.pages().len() } else { 0 };
        self.below.room.store(room, Ordering::SeqCst);
    }

    fn fails_from(&self, nth: u64, persistently: bool) {
        let number = if nth == 0 { 0 } else { self.operations() + nth };
        self.below.persistently.store(persistently, Ordering::SeqCst);
        self.below.fails.store(number, Ordering::SeqCst);
    }

    /// From now on pages of large rows cannot be read, but by who opens it.
    pub(crate) fn spoil_large_pages(&self) {
        self.below.spoilt.store(true, Ordering::SeqCst);
    }

    /// From now on reads of large pages wait, or do so no more.
    pub(crate) fn hold_up_large_pages(&self, held_up: bool) {
        self.below.held_up.store(held_up, Ordering::SeqCst);
    }

    /// From now on writes down what is done to the bytes.
    pub(crate) fn record(&self) {
        *self.file().log.lock().unwrap() = Some(Vec::new());
    }

    /// How much was written down so far.
    pub(crate) fn recorded(&self) -> usize {
        self.file().log.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// What was written down since [`record`](Self::record), which ends.
    pub(crate) fn take_record(&self) -> Vec<Logged> {
        self.file().log.lock().unwrap().take().unwrap_or_default()
    }

    /// The bytes as a backend, for one who opens them; `None` if somebody has.
    fn backend(&self, file: Arc<MemoryFile>) -> Option<MemoryBackend> {
        let was_open = file.is_open.swap(true, Ordering::SeqCst);
        let below = self.below.clone();
        (!was_open).then(|| MemoryBackend::new(file, below))
    }

    fn open_as<T>(
        &self,
        file: &Arc<MemoryFile>,
        open: impl Fn(Builder, CheckedPages<MemoryBackend>) -> Result<T, redb::Error>,
    ) -> Result<T, Fault> {
        let builder = || {
            let mut builder = Builder::new();
            builder.set_cache_size(self.cache_bytes);
            builder
        };
        let once = || {
            let locked = || Fault::Refused(Error::new(ErrorKind::Locked, "", ""));
            let backend = self.backend(file.clone()).ok_or_else(locked)?;
            self.below.is_opening.store(true, Ordering::SeqCst);
            let opened = contain(|| open(builder(), CheckedPages::new(backend)));
            self.below.is_opening.store(false, Ordering::SeqCst);
            opened
        };
        let fault = match once() {
            Err(fault @ (Fault::Damaged(_) | Fault::Refused(_)))
                if fault.error().kind() != ErrorKind::Locked =>
            {
                fault
            }
            opened => return opened,
        };
        let bytes = file.pages.lock().unwrap().to_vec();
        match Nature::of(Cursor::new(bytes)).map_err(Fault::io)? {
            Nature::Database => Err(Fault::Damaged(fault.error().clone())),
            Nature::OtherVersion(_) => Err(Fault::refused(ErrorKind::Unsupported, "another version")),
            Nature::Stranger => Err(Fault::refused(ErrorKind::Corrupt, "no database")),
            Nature::HalfMade => {
                file.pages.lock().unwrap().set_len(0);
                once()
            }
        }
    }
}

impl MemoryMedium {
    fn create(&self, file: &Arc<MemoryFile>) -> Result<Database, Fault> {
        self.open_as(file, |builder, backend| builder.create_with_backend(backend).map_err(redb::Error::from))
    }
}

impl Medium for MemoryMedium {
    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self) -> Result<Database, Fault> {
        self.create(&self.file())
    }

    fn open_read_only(&self) -> Result<ReadOnlyDatabase, Fault> {
        self.open_as(&self.file(), |builder, backend| {
            builder.open_read_only_with_backend(backend).map_err(redb::Error::from)
        })
    }

    fn set_aside(&self) -> io::Result<String> {
        let mut file = self.file.lock().unwrap();
        *self.aside.lock().unwrap() = Some(file.pages.lock().unwrap().clone());
        *file = Arc::default();
        Ok("memory aside".to_owned())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file().pages.lock().unwrap().len() as u64)
    }

    fn is_cold(&self) -> bool {
        self.cold
    }

    fn begin_rebuild(&self, _bytes: u64) -> Result<Option<Database>, Fault> {
        let new = self.new.lock().unwrap().insert(Arc::default()).clone();
        self.create(&new).map(Some).map_err(|fault| refusal(&fault))
    }

    fn finish_rebuild(&self, new: Database) -> Result<Database, Fault> {
        contain(|| Ok(new.close()?)).map_err(|fault| refusal(&fault))?;
        let file = self.new.lock().unwrap().take().unwrap();
        let new = self.create(&file).map_err(|fault| refusal(&fault))?;
        *self.file.lock().unwrap() = file;
        Ok(new)
    }

    fn abandon_rebuild(&self) {
        *self.new.lock().unwrap() = None;
    }
}

fn refusal(fault: &Fault) -> Fault {
    Fault::Refused(fault.error().clone())
}
