//! The bytes as the database sees them.
#![expect(clippy::cast_possible_truncation, reason = "it is for tests")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use redb::StorageBackend;

use super::{Below, Logged, MemoryFile, Pages};

#[derive(Debug)]
pub(super) struct MemoryBackend {
    file: Arc<MemoryFile>,
    below: Arc<Below>,
    is_closed: AtomicBool,
}

impl Drop for MemoryBackend {
    fn drop(&mut self) {
        self.release();
    }
}

impl MemoryBackend {
    pub(super) fn new(file: Arc<MemoryFile>, below: Arc<Below>) -> Self {
        Self { file, below, is_closed: AtomicBool::new(false) }
    }

    /// Lets somebody else open the bytes.
    fn release(&self) {
        if !self.is_closed.swap(true, Ordering::SeqCst) {
            self.file.is_open.store(false, Ordering::SeqCst);
        }
    }

    /// Counts an operation, and fails it if it is its turn.
    fn enter(&self) -> io::Result<()> {
        let number = self.below.operations.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = self.below.fails.load(Ordering::SeqCst);
        let persistently = self.below.persistently.load(Ordering::SeqCst);
        let is_its_turn = number == fails || persistently && fails > 0 && number > fails;
        // EIO
        if is_its_turn { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    /// The same for what takes room up to there.
    fn enter_up_to(&self, end: usize) -> io::Result<()> {
        self.enter()?;
        let room = self.below.room.load(Ordering::SeqCst);
        // ENOSPC
        if room > 0 && end > room { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }

    /// Does it, and writes it down.
    fn apply(&self, logged: impl FnOnce() -> Logged, work: impl FnOnce(&mut Pages)) {
        let mut pages = self.file.pages.lock().unwrap();
        work(&mut pages);
        if let Some(log) = &mut *self.file.log.lock().unwrap() {
            log.push(logged());
        }
    }
}

impl StorageBackend for MemoryBackend {
    fn len(&self) -> io::Result<u64> {
        self.enter()?;
        Ok(self.file.pages.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.enter()?;
        let Below { spoilt, is_opening, held_up, .. } = &*self.below;
        while out.len() >= 256 << 10 && held_up.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(1));
        }
        if out.len() >= 256 << 10 && spoilt.load(Ordering::SeqCst) && !is_opening.load(Ordering::SeqCst) {
            // EIO
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.pages.lock().unwrap().read(offset as usize, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.enter()?;
        let len = len as usize;
        self.apply(|| Logged::SetLen(len), |pages| pages.set_len(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.enter()?;
        self.apply(|| Logged::Sync, |_| {});
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.enter_up_to(offset as usize + data.len())?;
        let offset = offset as usize;
        self.apply(|| Logged::Write(offset, data.into()), |pages| pages.write(offset, data));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.release();
        Ok(())
    }
}
