//! The database's file: reads tell whether they had to wait.

use std::{
    fs::File,
    io,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, DatabaseError, StorageBackend, backends::FileBackend};

use crate::cold::Coldness;

type Locked<T> = Result<T, BackendError>;

/// A file of pages. Locking and writing are the database's own.
#[derive(Debug)]
pub(crate) struct PageFile {
    inner: FileBackend,
    file: File,
    cold: Arc<Coldness>,
    at_once: fn(&File, u64, &mut [u8]) -> AtOnce,
    /// Whether that works, as far as known.
    tries: AtomicBool,
}

/// What a read that does not wait comes to.
#[derive(Clone, Copy, Debug)]
enum AtOnce {
    /// So many bytes; the others are not in memory, or not in the file.
    Read(usize),
    /// This read does not tell.
    Unknown,
    /// No read will tell.
    Unsupported,
}

impl PageFile {
    /// Takes a file that is open, and that nothing else has open by the same descriptor.
    pub(crate) fn new(file: File, cold: Arc<Coldness>) -> Result<Self, DatabaseError> {
        let again = file.try_clone().map_err(redb::StorageError::Io)?;
        Ok(Self {
            inner: FileBackend::new(file)?,
            file: again,
            cold,
            at_once: read_at_once,
            tries: AtomicBool::new(true),
        })
    }

    /// Reads as much as can be had at once, and answers how much that is; nothing if that cannot be known.
    fn try_at_once(&self, offset: u64, into: &mut [u8]) -> Option<usize> {
        if !self.tries.load(Ordering::Relaxed) {
            return None;
        }
        match (self.at_once)(&self.file, offset, into) {
            AtOnce::Read(bytes) => Some(bytes.min(into.len())),
            AtOnce::Unknown => None,
            AtOnce::Unsupported => {
                self.tries.store(false, Ordering::Relaxed);
                None
            }
        }
    }
}

impl StorageBackend for PageFile {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        // No file is that long: a damaged page told the place. To the system the last of these places means another.
        if i64::try_from(offset).is_err() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let done = self.try_at_once(offset, into);
        let rest = into.get_mut(done.unwrap_or(0)..).unwrap_or_default();
        if !rest.is_empty() {
            let offset = offset.saturating_add(done.unwrap_or(0) as u64);
            self.inner.read(offset, rest).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => io::Error::new(io::ErrorKind::UnexpectedEof, error),
                _ => error,
            })?;
        }
        if done.is_some() {
            self.cold.note(!rest.is_empty());
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(target_os = "linux")]
fn read_at_once(file: &File, offset: u64, into: &mut [u8]) -> AtOnce {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    match preadv2(file, &mut [io::IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT) {
        Ok(bytes) => AtOnce::Read(bytes),
        Err(Errno::AGAIN) => AtOnce::Read(0),
        // Filters in front of the kernel say that they do not permit it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => AtOnce::Unsupported,
        Err(_) => AtOnce::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn read_at_once(_file: &File, _offset: u64, _into: &mut [u8]) -> AtOnce {
    AtOnce::Unsupported
}

#[cfg(test)]
mod tests;
