//! An entry's directory, opened. Once published it is never changed, only replaced or removed whole.

use std::{
    borrow::Cow,
    fs::File,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, SystemTime},
};

use cache_core::{BlobMeta, BlobName, EntryMeta, Envelope, Key, Place, Result};
use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, futimens, openat,
        statat, utimensat,
    },
    io::Errno,
};

use crate::{
    at::At,
    entry_path::EntryPath,
    root::{Root, entry_path},
    tree::names,
};

/// Tells one state of an entry from every other: it changes with each write and each read of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    file: (u64, u64),
    modified: SystemTime,
    /// Not to be set by anybody, so that a directory that takes over the inode number is another.
    changed: (i64, i64),
}

/// A file that holds a blob.
pub(crate) struct Stored {
    pub(crate) name: BlobName,
    pub(crate) file_len: u64,
    pub(crate) modified: SystemTime,
}

impl Stored {
    /// The bytes of the blob. A file of an impossible length is damaged; until a read drops it, it counts
    /// as it is.
    pub(crate) fn bytes(&self) -> u64 {
        Envelope::payload_len(self.file_len).unwrap_or(self.file_len)
    }
}

pub(crate) struct EntryDir {
    fd: OwnedFd,
    version: Version,
}

impl EntryDir {
    /// Opens the entry of `key`; `None` if there is none.
    pub(crate) fn open(root: &Root, key: &Key, operation: &'static str) -> Result<Option<Self>> {
        let failed = |error: Errno| At { root, key, operation }.failed(error);
        match root.open_dir(EntryPath::entry(key.view()).as_c_str()) {
            Ok(None) => Ok(None),
            Ok(Some(fd)) => Self::of(fd).map(Some).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn of(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(&fd)?;
        let version =
            Version { file: (stat.st_dev, stat.st_ino), modified: modified(&stat), changed: changed(&stat) };
        Ok(Self { fd, version })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether this is the same directory as `other`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.version.file == other.version.file
    }

    /// Whether this directory still stands under its key: then nothing of it was missing so far.
    pub(crate) fn is_current(&self, root: &Root, key: &Key, operation: &'static str) -> Result<bool> {
        Ok(Self::open(root, key, operation)?.is_some_and(|now| now.is(self)))
    }

    /// The blobs' names and those they have on disk, in order.
    pub(crate) fn blob_names(&self) -> Result<Vec<(BlobName, String)>, Errno> {
        let mut blobs: Vec<_> = names(self.fd.as_fd())?
            .into_iter()
            .filter_map(|encoded| Some((BlobName::decode(&encoded)?, encoded)))
            .collect();
        blobs.sort();
        Ok(blobs)
    }

    /// The blobs, in the order of their names. What is no regular file is no blob.
    pub(crate) fn stored(&self) -> Result<Vec<Stored>, Errno> {
        let mut stored = Vec::new();
        for (name, encoded) in self.blob_names()? {
            let stat = match statat(&self.fd, &encoded, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let file_len = u64::try_from(stat.st_size).unwrap_or(0);
                stored.push(Stored { name, file_len, modified: modified(&stat) });
            }
        }
        Ok(stored)
    }

    /// The bytes of all blobs, as budgets count them.
    pub(crate) fn bytes(&self) -> Result<u64, Errno> {
        Ok(self.stored()?.iter().fold(0, |sum, blob| sum.saturating_add(blob.bytes())))
    }

    /// Opens the file of a blob; `None` if there is none. Anything but a regular file is damage.
    pub(crate) fn open_blob(&self, encoded: &str, at: At<'_>) -> Result<Option<BlobFile>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let strange = || at.corrupt("not a regular file");
        let fd = match openat(&self.fd, encoded, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(strange()),
            Err(error) => return Err(at.failed(error)),
        };
        let stat = fstat(&fd).map_err(|error| at.failed(error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(strange());
        }
        Ok(Some(BlobFile { file: File::from(fd), len: u64::try_from(stat.st_size).unwrap_or(0) }))
    }

    /// Marks the entry as used now. Not being able to, on a read-only file system say, is fine.
    pub(crate) fn touch(&self, now: SystemTime) {
        _ = set_modified(self.fd.as_fd(), now);
    }

    /// What is known without reading any blob. `None` if the directory holds no blob.
    pub(crate) fn meta(&self, root: &Root, key: &Key) -> Result<Option<EntryMeta>, Errno> {
        let stored = self.stored()?;
        if stored.is_empty() {
            return Ok(None);
        }
        let file_bytes = stored.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.file_len));
        let blobs = stored
            .into_iter()
            .map(|blob| {
                let bytes = blob.bytes();
                BlobMeta::new(blob.name, bytes, Some(blob.modified))
            })
            .collect();
        let mut meta = EntryMeta::new(key.clone(), file_bytes).with_blobs(blobs);
        meta.last_accessed = Some(self.version.modified);
        let location = root.path.join(entry_path(key));
        meta.places = vec![Place::new("disk", Cow::Owned(location.display().to_string()))];
        Ok(Some(meta))
    }

    /// When the entry was used last.
    pub(crate) fn last_used(&self) -> SystemTime {
        self.version.modified
    }
}

/// An open blob, and the length of its file.
pub(crate) struct BlobFile {
    pub(crate) file: File,
    pub(crate) len: u64,
}

#[expect(clippy::unnecessary_cast, reason = "the fields' types differ between targets")]
fn changed(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime as i64, stat.st_ctime_nsec as i64)
}

#[expect(clippy::unnecessary_cast, reason = "the fields' types differ between targets")]
fn modified(stat: &Stat) -> SystemTime {
    let nanos = Duration::from_nanos(u64::try_from(stat.st_mtime_nsec as i64).unwrap_or(0));
    let seconds = stat.st_mtime as i64;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    };
    base.and_then(|base| base.checked_add(nanos)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Sets a file's modification time, which is when a blob was made and when an entry was used.
pub(crate) fn set_modified(fd: impl AsFd, time: SystemTime) -> Result<(), Errno> {
    futimens(fd, &modified_at(time))
}

/// As [`set_modified`], of what has this name in a directory.
pub(crate) fn set_modified_at(dir: impl AsFd, name: &str, time: SystemTime) -> Result<(), Errno> {
    utimensat(dir, name, &modified_at(time), AtFlags::SYMLINK_NOFOLLOW)
}

fn modified_at(time: SystemTime) -> Timestamps {
    let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanos => (-seconds - 1, 1_000_000_000 - nanos),
            }
        }
    };
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}
