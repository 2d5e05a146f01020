//! The store's directory, and how anything below it is opened: never through a symbolic link.

use std::{
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
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat},
    io::Errno,
};

/// The name and content of the file that says which layout a directory has.
const MARKER: &str = ".cache-disk";
const FORMAT: &str = "cache-disk 1\n";

pub(crate) const DIR_MODE: Mode = Mode::RWXU;
pub(crate) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

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
        DirBuilder::new().recursive(true).mode(DIR_MODE.bits()).create(path).map_err(failed)?;
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let root = Self { path: path.to_owned(), fd };
        root.check_format()?;
        Ok(root)
    }

    fn check_format(&self) -> Result<()> {
        let failed = |error: io::Error| at_open(&self.path, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.fd, MARKER, flags, Mode::empty()) {
            Ok(fd) => {
                let mut text = String::new();
                File::from(fd).take(64).read_to_string(&mut text).map_err(failed)?;
                // An empty marker is one whose writer died before its bytes were durable.
                if text == FORMAT || text.is_empty() {
                    return Ok(());
                }
                let detail = format!(
                    "{} has the layout {:?}, this program knows {:?}",
                    self.path.display(),
                    text.trim_end(),
                    FORMAT.trim_end()
                );
                Err(Error::new(ErrorKind::Unsupported, "disk", "open").with_detail(detail))
            }
            Err(Errno::NOENT) => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(&self.fd, MARKER, flags, FILE_MODE) {
                    Ok(fd) => File::from(fd).write_all(FORMAT.as_bytes()).map_err(failed),
                    Err(Errno::EXIST) => Ok(()),
                    Err(error) => Err(failed(error.into())),
                }
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a directory below the root; `None` if there is none.
    ///
    /// A symbolic link or a file anywhere on the way is an error (`ELOOP` or `ENOTDIR`).
    pub(crate) fn open_dir(&self, below: &str) -> Result<Option<OwnedFd>, Errno> {
        match open_beneath(self.fd(), below) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a directory below the root and makes it, and those on the way, if they are not there.
    /// What stands in the way without being a directory is replaced.
    pub(crate) fn make_dir(&self, below: &str) -> Result<OwnedFd, Errno> {
        match open_beneath(self.fd(), below) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            opened => return opened,
        }
        let mut dir: Option<OwnedFd> = None;
        for part in below.split('/') {
            let parent = dir.as_ref().map_or(self.fd(), AsFd::as_fd);
            let next = open_or_make(parent, part)?;
            dir = Some(next);
        }
        dir.ok_or(Errno::NOENT)
    }
}

fn at_open(path: &Path, error: io::Error) -> Error {
    let detail = path.display().to_string();
    if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) {
        return Error::invalid(format!("{detail} is not a directory")).at("disk", "open").with_source(error);
    }
    Error::from_io("disk", "open", error).with_detail(detail)
}

fn open_or_make(parent: BorrowedFd<'_>, part: &str) -> Result<OwnedFd, Errno> {
    // Ends unless somebody keeps planting files: each round either opens or removes an obstacle.
    for _ in 0..16 {
        match openat(parent, part, DIR_FLAGS, Mode::empty()) {
            Err(Errno::NOENT) => match mkdirat(parent, part, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            },
            Err(Errno::LOOP | Errno::NOTDIR) => match unlinkat(parent, part, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            },
            opened => return opened,
        }
    }
    Err(Errno::LOOP)
}

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
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
fn open_beneath(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
    open_by_parts(root, below)
}

fn open_by_parts(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
    let mut dir: Option<OwnedFd> = None;
    for part in below.split('/') {
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

/// A name in a namespace's directory.
pub(crate) fn in_namespace(namespace: &Namespace, name: &str) -> String {
    if namespace.is_root() { name.to_owned() } else { format!("{}/{name}", namespace.encoded()) }
}

/// A failed system call, with the operation and the key it was for.
pub(crate) fn failed(operation: &'static str, key: &Key, error: impl Into<io::Error>) -> Error {
    let error: io::Error = error.into();
    let blocked =
        matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::LOOP | Errno::NOTDIR));
    if blocked {
        return Error::new(ErrorKind::Corrupt, "disk", operation)
            .with_detail("a symbolic link or a file stands where a directory belongs")
            .with_key(key)
            .with_source(error);
    }
    Error::from_io("disk", operation, error).with_key(key)
}

#[cfg(test)]
mod tests;
