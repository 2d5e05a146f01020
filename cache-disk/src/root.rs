//! The store's directory, and how anything below it is opened: never through a symbolic link.

use std::{
    ffi::CString,
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use cache_core::{Error, ErrorKind, Key, Namespace, Result};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, statat, unlinkat},
    io::Errno,
    path::Arg,
};

use crate::{
    entry_path::EntryPath,
    page_cache,
    tree::{DIR_FLAGS, same_file, try_lock, try_lock_shared},
};

/// The name and content of the file that says which layout a directory has.
const MARKER: &str = ".cache-disk";
const FORMAT: &str = "cache-disk 1\n";

pub(crate) const DIR_MODE: Mode = Mode::RWXU;
pub(crate) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// How often directories are made again that others remove because they are empty. Each time is one entry
/// that came and went meanwhile.
const TRIES: usize = 1000;

#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    fd: OwnedFd,
}

impl Root {
    /// Opens the directory, makes it if need be, and checks its layout.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| at_open(path, error);
        if !path.is_absolute() && path.as_os_str().is_empty() {
            return Err(Error::invalid("the directory's path is empty").at("disk", "open"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                DirBuilder::new().recursive(true).mode(DIR_MODE.bits()).create(path).map_err(failed)?;
                rustix::fs::open(path, flags, Mode::empty())
            }
            opened => opened,
        };
        let fd = fd.map_err(|error| failed(error.into()))?;
        let root = Self { path: path.to_owned(), fd };
        root.check_format()?;
        Ok(root)
    }

    /// Whether what the kernel has in memory can be read without waiting for the disk.
    pub(crate) fn has_cached_reads(&self) -> bool {
        CString::new(MARKER).is_ok_and(|marker| page_cache::works(self.fd(), &marker))
    }

    /// The same directory once more.
    pub(crate) fn again(&self) -> Result<Self> {
        let copy = self.fd.try_clone().map_err(|error| self.failed("open", "", error))?;
        Ok(Self { path: self.path.clone(), fd: copy })
    }

    /// Checks the marker, and writes it if it is not there. An empty one, or one of zeros, is
    /// written again: its writer died, or the power failed, before the bytes were durable.
    pub(crate) fn check_format(&self) -> Result<()> {
        let failed = |error: io::Error| self.failed("open", MARKER, error);
        let mut text = Vec::new();
        if let Some(marker) = self.open_marker(OFlags::RDONLY)? {
            _ = File::from(marker).take(64).read_to_end(&mut text).map_err(failed)?;
        }
        if text == FORMAT.as_bytes() {
            return Ok(());
        }
        if text.iter().all(|byte| *byte == 0) {
            // Whoever else does this writes the same bytes to the same place.
            let gone = || failed(Errno::NOENT.into());
            let marker = self.open_marker(OFlags::WRONLY | OFlags::CREATE)?.ok_or_else(gone)?;
            return File::from(marker).write_all(FORMAT.as_bytes()).map_err(failed);
        }
        let detail = format!(
            "{} has the layout {:?}, this program knows {:?}",
            self.path.display(),
            String::from_utf8_lossy(&text).trim_end(),
            FORMAT.trim_end()
        );
        Err(Error::new(ErrorKind::Unsupported, "disk", "open").with_detail(detail))
    }

    /// Opens the marker, and never waits for it; `None` if it is not there. Anything but a regular file in its
    /// place is somebody's.
    fn open_marker(&self, how: OFlags) -> Result<Option<OwnedFd>> {
        let failed = |error: Errno| self.failed("open", MARKER, error.into());
        let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let strange = || {
            let detail = format!("{} is not a regular file", self.path.join(MARKER).display());
            Error::invalid(detail).at("disk", "open")
        };
        match openat(&self.fd, MARKER, flags, FILE_MODE) {
            Ok(marker) => match fstat(&marker) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    Ok(Some(marker))
                }
                Ok(_) => Err(strange()),
                Err(error) => Err(failed(error)),
            },
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => Err(strange()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Takes the directory for one store alone, or as one of several. It ends with the descriptor.
    ///
    /// Where there are no advisory locks nobody has it alone, and several need none.
    pub(crate) fn claim(&self, exclusive: bool) -> Result<Option<OwnedFd>> {
        for _ in 0..TRIES {
            let Some(marker) = self.open_marker(OFlags::RDONLY)? else {
                // Its last store took it away.
                self.check_format()?;
                continue;
            };
            match if exclusive { try_lock(&marker) } else { try_lock_shared(&marker) } {
                Ok(true) if same_file(self.fd(), MARKER, &marker) => return Ok(Some(marker)),
                Ok(true) => {}
                Ok(false) => {
                    let detail = format!("{} is open elsewhere, and not to be shared", self.path.display());
                    return Err(Error::new(ErrorKind::Locked, "disk", "open").with_detail(detail));
                }
                Err(_) if !exclusive => return Ok(None),
                Err(error) => return Err(self.failed("open", MARKER, error.into())),
            }
        }
        Err(self.failed("open", MARKER, Errno::BUSY.into()))
    }

    /// Makes it a directory like any other; it is claimed alone.
    pub(crate) fn unmark(&self) -> Result<(), Errno> {
        match unlinkat(&self.fd, MARKER, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed,
        }
    }

    /// A failure of `operation` at a path below the root.
    pub(crate) fn failed(&self, operation: &'static str, below: &str, error: io::Error) -> Error {
        let path = if below.is_empty() { self.path.clone() } else { self.path.join(below) };
        Error::from_io("disk", operation, error).with_detail(path.display().to_string())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a directory below the root; `None` if there is none.
    ///
    /// A symbolic link or a file anywhere on the way is an error (`ELOOP` or `ENOTDIR`).
    pub(crate) fn open_dir(&self, below: impl Arg + Copy) -> Result<Option<OwnedFd>, Errno> {
        match open_beneath(self.fd(), below) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory that the entry of a key lies in, and makes it if it is not there.
    pub(crate) fn make_shard(&self, key: &Key, operation: &'static str) -> Result<OwnedFd> {
        match open_beneath(self.fd(), EntryPath::shard(key.view()).as_c_str()) {
            Ok(fd) => Ok(fd),
            Err(_) => self.make_dir(&shard_path(key), operation),
        }
    }

    /// Opens a directory below the root and makes it, and those on the way, if they are not there.
    /// A symbolic link in the way is replaced; anything else is somebody's, and an error.
    pub(crate) fn make_dir(&self, below: &str, operation: &'static str) -> Result<OwnedFd> {
        match open_beneath(self.fd(), below) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            Err(error) => return Err(self.failed(operation, below, error.into())),
        }
        for _ in 0..TRIES {
            match make_by_parts(self.fd(), below) {
                Ok(made) => return Ok(made),
                // A directory on the way was empty, and was removed before there was something in it.
                Err((Errno::NOENT, _)) => std::thread::yield_now(),
                Err((Errno::NOTDIR, path)) => {
                    let detail = format!("{} is not a directory", self.path.join(path).display());
                    let error = io::Error::from(Errno::NOTDIR);
                    return Err(Error::invalid(detail).at("disk", operation).with_source(error));
                }
                Err((error, path)) => return Err(self.failed(operation, &path, error.into())),
            }
        }
        Err(self.failed(operation, below, Errno::NOENT.into()))
    }
}

fn at_open(path: &Path, error: io::Error) -> Error {
    let detail = path.display().to_string();
    if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) {
        return Error::invalid(format!("{detail} is not a directory")).at("disk", "open").with_source(error);
    }
    Error::from_io("disk", "open", error).with_detail(detail)
}

/// Opens a directory and makes it, and those on the way. A failure comes with where it was.
fn make_by_parts(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, (Errno, String)> {
    let mut path = String::new();
    let mut dir: Option<OwnedFd> = None;
    for part in below.split('/') {
        path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
        let parent = dir.as_ref().map_or(root, AsFd::as_fd);
        let next = open_or_make(parent, part).map_err(|error| (error, path.clone()))?;
        dir = Some(next);
    }
    dir.ok_or((Errno::NOENT, path))
}

fn open_or_make(parent: BorrowedFd<'_>, part: &str) -> Result<OwnedFd, Errno> {
    // Ends unless somebody keeps planting links: each round either opens or removes an obstacle.
    for _ in 0..16 {
        match openat(parent, part, DIR_FLAGS, Mode::empty()) {
            Err(Errno::NOENT) => match mkdirat(parent, part, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            },
            Err(Errno::LOOP | Errno::NOTDIR) => {
                match statat(parent, part, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
                    Ok(_) => return Err(Errno::NOTDIR),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                }
                match unlinkat(parent, part, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            opened => return opened,
        }
    }
    Err(Errno::LOOP)
}

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, below: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..16 {
        match openat2(root, below, DIR_FLAGS, Mode::empty(), resolve) {
            // A rename elsewhere made the kernel unsure.
            Err(Errno::AGAIN) => {}
            // An old kernel, or a filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => break,
            opened => return opened,
        }
    }
    open_by_parts(root, below)
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: BorrowedFd<'_>, below: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    open_by_parts(root, below)
}

fn open_by_parts(root: BorrowedFd<'_>, below: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    let mut dir: Option<OwnedFd> = None;
    for part in below.as_str()?.split('/') {
        let parent = dir.as_ref().map_or(root, AsFd::as_fd);
        let next = openat(parent, part, DIR_FLAGS, Mode::empty())?;
        dir = Some(next);
    }
    dir.ok_or(Errno::NOENT)
}

/// `~namespace…/hh`, the directory that an entry's directory lies in.
pub(crate) fn shard_path(key: &Key) -> String {
    let digits = key.digest.prefix(2);
    in_namespace(&key.namespace, &digits.to_string())
}

/// `~namespace…/hh/<64 hex>`, an entry's directory.
pub(crate) fn entry_path(key: &Key) -> String {
    format!("{}/{}", shard_path(key), key.digest)
}

/// A name in a namespace's directory.
pub(crate) fn in_namespace(namespace: &Namespace, name: &str) -> String {
    if namespace.is_root() { name.to_owned() } else { format!("{}/{name}", namespace.encoded()) }
}

#[cfg(test)]
mod tests;
