//! The file in its directory: opened as the regular file that it is, replaced by another, and known again.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use cache_core::ErrorKind;

use crate::contain::Fault;

/// What for a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// It must be there.
    Change,
    /// It is made, with the directories above it, if there is none.
    Write,
    /// It must not be there yet.
    New,
}

/// Opens a regular file, at the end of a link if need be. Anything else is refused; a pipe is not waited for.
pub(crate) fn open(path: &Path, access: Access) -> Result<File, Fault> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(no_file(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && access == Access::Write => {
            make_directories(path).map_err(Fault::io)?;
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(access != Access::Read).create(access == Access::Write);
    options.create_new(access == Access::New);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;

        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path).map_err(Fault::io)?;
    // It may have been replaced just now.
    if file.metadata().map_err(Fault::io)?.is_file() { Ok(file) } else { Err(no_file(path)) }
}

fn no_file(path: &Path) -> Fault {
    Fault::refused(ErrorKind::Invalid, format!("{} is no regular file", path.display()))
}

/// Makes the directories above a file, so that they are there after a crash.
fn make_directories(path: &Path) -> io::Result<()> {
    let Some(parent) = directory(path) else { return Ok(()) };
    let missing: Vec<&Path> = parent.ancestors().take_while(|directory| !directory.exists()).collect();
    fs::create_dir_all(parent)?;
    missing.into_iter().try_for_each(sync_directory)
}

/// Makes durable that a file is where it is.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let directory = directory(path).unwrap_or(Path::new("."));
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Who may not read a directory cannot sync it either, and some file systems know no such thing.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

fn directory(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| *parent != Path::new(""))
}

/// Which file it is: no other one is the same as long as this one is there or open. Where that cannot be told all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;

            Self(metadata.dev(), metadata.ino())
        }
        #[cfg(not(unix))]
        {
            _ = metadata;
            Self(0, 0)
        }
    }
}

/// Whether an open file is the one at a path. Where that cannot be told it is.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => FileId::of(&open) == FileId::of(&there),
        _ => !cfg!(unix),
    }
}

/// Gives a file to whom another one is for.
pub(crate) fn give(file: &File, like: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};

        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != (like.uid(), like.gid()) {
            fchown(file, Some(like.uid()), Some(like.gid()))?;
        }
    }
    file.set_permissions(like.permissions())
}

/// Where a file is, or will be, at the end of a link; so that the link stays when the file is replaced.
pub(crate) fn target(path: &Path) -> PathBuf {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
        _ => path.to_owned(),
    }
}

/// How many bytes a file takes up: the database makes its file longer than it is filled.
pub(crate) fn taken(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        Ok(metadata.len().min(metadata.blocks().saturating_mul(512)))
    }
    #[cfg(not(unix))]
    Ok(metadata.len())
}

/// How many more bytes there is room for beside a file, if the system tells.
pub(crate) fn room_beside(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(directory(path).unwrap_or(Path::new("."))).ok()?;
        stat.f_bavail.checked_mul(stat.f_frsize)
    }
    #[cfg(not(unix))]
    {
        _ = path;
        None
    }
}

/// The path beside a file whose name has more at its end.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(ending));
    name.into()
}

#[cfg(test)]
mod tests;
