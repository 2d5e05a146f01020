//! A database in a file.

mod rebuild;

use std::{
    fs::{self, File},
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cache_core::{Error, ErrorKind};
use redb::{Builder, ConcurrencyMode, Database, ReadOnlyDatabase, StorageBackend, backends::FileBackend};

use crate::{
    checked_pages::CheckedPages,
    cold::Coldness,
    contain::{Fault, contain, contain_fault},
    medium::Medium,
    nature::Nature,
    page_file::PageFile,
    place::{self, Access, FileId},
};

/// A file that was replaced between opening and locking it is opened again so often.
const ATTEMPTS: usize = 8;

/// A path. The file at it is locked while the database is open.
#[derive(Debug)]
pub(crate) struct FileMedium {
    path: PathBuf,
    location: String,
    cache_bytes: usize,
    cold: Arc<Coldness>,
    /// The file that was opened last to be written: another one at the path is nobody's to replace.
    opened: Mutex<Option<FileId>>,
}

impl FileMedium {
    /// Nothing is opened yet. A relative path is from here.
    pub(crate) fn new(path: &Path, cache_bytes: usize) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let location = path.display().to_string();
        Self { path, location, cache_bytes, cold: Arc::new(Coldness::new()), opened: Mutex::default() }
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes).set_concurrency_mode(ConcurrencyMode::ExclusiveWriter);
        builder
    }

    /// Opens the file and what is in it; `None` if the file was replaced meanwhile.
    fn open_once<D>(
        &self,
        access: Access,
        open: impl Fn(&Builder, CheckedPages<PageFile>) -> Result<D, redb::DatabaseError>,
    ) -> Result<Option<D>, Fault> {
        let file = place::open(&self.path, access)?;
        let again = file.try_clone().map_err(Fault::io)?;
        let opened = contain(|| {
            Ok(open(&self.builder(), CheckedPages::new(PageFile::new(file, Arc::clone(&self.cold))?))?)
        });
        if let Err(fault) = &opened
            && (fault.error().kind() == ErrorKind::Locked || matches!(fault, Fault::Failed(_)))
        {
            return opened.map(Some);
        }
        if !place::is_at(&again, &self.path) {
            return Ok(None);
        }
        if access == Access::Write {
            self.is_of(FileId::of(&again.metadata().map_err(Fault::io)?));
        }
        opened.map(Some).or_else(|fault| self.judge(&again, access, fault))
    }

    /// From now on the database is this file.
    fn is_of(&self, file: FileId) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }

    /// Whether a file is the one that was opened.
    fn is_opened(&self, file: &fs::Metadata) -> bool {
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.is_none_or(|opened| opened == FileId::of(file))
    }

    /// What it means that a file cannot be opened as a database.
    fn judge<D>(&self, file: &File, access: Access, fault: Fault) -> Result<Option<D>, Fault> {
        let refused = |kind, detail: String| Err(Fault::refused(kind, detail));
        match Nature::of(file).map_err(Fault::io)? {
            Nature::Stranger => {
                refused(ErrorKind::Corrupt, format!("{} is no database: it is left as it is", self.location))
            }
            Nature::OtherVersion(version) => refused(
                ErrorKind::Unsupported,
                format!("{} is a database of version {version}: it is left as it is", self.location),
            ),
            Nature::HalfMade if access == Access::Write => self.empty(file).map(|()| None),
            Nature::HalfMade => refused(ErrorKind::Unavailable, format!("{} is still empty", self.location)),
            Nature::Database => Err(match fault {
                Fault::Refused(error) if error.kind() == ErrorKind::Unsupported => Fault::Damaged(
                    Error::corrupt("the version of the database is damaged").with_source(error),
                ),
                fault => fault,
            }),
        }
    }

    /// Empties a file that was never made to the end, unless somebody is just making it.
    fn empty(&self, file: &File) -> Result<(), Fault> {
        let empty = || match place::is_at(file, &self.path) && Nature::of(file)? == Nature::HalfMade {
            true => file.set_len(0),
            false => Ok(()),
        };
        match self.alone(file, empty) {
            // The next attempt meets the lock.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
            done => done.map_err(Fault::io),
        }
    }

    /// Does something to the file while nobody has it open as a database.
    fn alone(&self, file: &File, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let failed = |error: redb::DatabaseError| io::Error::other(error);
        let lock = FileBackend::new(file.try_clone()?).map_err(failed)?;
        match lock.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) | Err(redb::BackendError::Unsupported) => {}
            Ok(false) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody else has the file open"));
            }
            Err(error) => return Err(error.into()),
        }
        let done = work();
        lock.close().and(done)
    }

    fn attempt<D>(&self, open: impl Fn() -> Result<Option<D>, Fault>) -> Result<D, Fault> {
        for _ in 0..ATTEMPTS {
            match contain_fault(&open) {
                Ok(Some(database)) => return Ok(database),
                Ok(None) => {}
                Err(fault) => return Err(self.named(fault)),
            }
        }
        let detail = format!("{} is being replaced all the time", self.location);
        Err(Fault::refused(ErrorKind::Unavailable, detail))
    }

    /// A database whose last writer did not close it cannot be read before it is put right.
    fn unclosed(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Refused(error) if error.kind() == ErrorKind::Unavailable && error.detail().is_none() => {
                let detail = format!(
                    "{} was not closed: open it for writing once, which puts it right",
                    self.location
                );
                Fault::Refused(error.with_detail(detail))
            }
            fault => fault,
        }
    }

    /// Says which file it is about.
    fn named(&self, fault: Fault) -> Fault {
        fault.map(|error| {
            let detail = match (error.kind(), error.detail()) {
                (_, Some(detail)) if detail.contains(&self.location) => return error,
                (ErrorKind::Locked, _) => format!("{} is open elsewhere", self.location),
                (_, Some(detail)) => format!("{}: {detail}", self.location),
                (_, None) => self.location.clone(),
            };
            error.with_detail(detail)
        })
    }
}

impl Medium for FileMedium {
    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self) -> Result<Database, Fault> {
        self.attempt(|| {
            let database =
                self.open_once(Access::Write, |builder, file| builder.create_with_backend(file))?;
            if database.is_some() {
                // What a crash may have left of a database that was to take its place.
                rebuild::abandon(self);
                place::sync_directory(&self.path).map_err(Fault::io)?;
            }
            Ok(database)
        })
    }

    fn open_read_only(&self) -> Result<ReadOnlyDatabase, Fault> {
        self.attempt(|| {
            let detail = match fs::metadata(&self.path) {
                Ok(metadata) if metadata.is_file() && metadata.len() == 0 => "is still empty",
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is not there",
                _ => {
                    let open = |builder: &Builder, file| builder.open_read_only_with_backend(file);
                    return self.open_once(Access::Read, open).map_err(|fault| self.unclosed(fault));
                }
            };
            Err(Fault::refused(ErrorKind::Unavailable, format!("{} {detail}", self.location)))
        })
    }

    fn set_aside(&self) -> io::Result<String> {
        let path = place::target(&self.path);
        let aside = place::beside(&path, ".damaged");
        let file =
            place::open(&path, Access::Change).map_err(|fault| io::Error::other(fault.error().clone()))?;
        let is_opened = self.is_opened(&file.metadata()?);
        self.alone(&file, || match is_opened && place::is_at(&file, &path) {
            true => fs::rename(&path, &aside),
            false => Err(io::Error::other("it was replaced just now")),
        })?;
        // The next one is for whom this one was. Without that it is for who makes it.
        if let Ok(next) = place::open(&path, Access::New) {
            _ = file.metadata().and_then(|metadata| place::give(&next, &metadata));
        }
        Ok(aside.display().to_string())
    }

    fn len(&self) -> io::Result<u64> {
        place::taken(&self.path)
    }

    fn is_cold(&self) -> bool {
        self.cold.is_cold()
    }

    fn begin_rebuild(&self, bytes: u64) -> Result<Option<Database>, Fault> {
        rebuild::begin(self, bytes).map(Some)
    }

    fn finish_rebuild(&self, new: Database) -> Result<Database, Fault> {
        rebuild::finish(self, new)
    }

    fn abandon_rebuild(&self) {
        rebuild::abandon(self);
    }
}

#[cfg(test)]
mod tests;
