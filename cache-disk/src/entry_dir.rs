//! An entry's directory, opened. Once published it is never changed, only replaced or removed whole.

use std::{
    borrow::Cow,
    fs::File,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, SystemTime},
};

use cache_core::{BlobMeta, BlobName, EntryMeta, Envelope, Error, Key, Place, Result};
use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, futimens, openat,
        statat,
    },
    io::Errno,
};

use crate::{
    root::{Root, failed, shard_path},
    session::names,
};

pub(crate) struct EntryDir {
    fd: OwnedFd,
    identity: (u64, u64),
    last_used: SystemTime,
}

impl EntryDir {
    /// Opens the entry of `key`; `None` if there is none.
    pub(crate) fn open(root: &Root, key: &Key, operation: &'static str) -> Result<Option<Self>> {
        let path = format!("{}/{}", shard_path(key), key.digest);
        match root.open_dir(&path) {
            Ok(None) => Ok(None),
            Ok(Some(fd)) => Self::of(fd).map(Some).map_err(|error| failed(operation, key, error)),
            Err(error) => Err(failed(operation, key, error)),
        }
    }

    pub(crate) fn of(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(&fd)?;
        Ok(Self { fd, identity: identity(&stat), last_used: modified(&stat) })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether this is the same directory as `other`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.identity == other.identity
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

    /// Opens the file of a blob; `None` if there is none. Anything but a regular file is damage.
    pub(crate) fn open_blob(
        &self,
        encoded: &str,
        key: &Key,
        operation: &'static str,
    ) -> Result<Option<BlobFile>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let strange = || Error::corrupt("not a regular file").at("disk", operation).with_key(key);
        let fd = match openat(&self.fd, encoded, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(strange()),
            Err(error) => return Err(failed(operation, key, error)),
        };
        let stat = fstat(&fd).map_err(|error| failed(operation, key, error))?;
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
        let mut stored = 0;
        let mut blobs = Vec::new();
        for (name, encoded) in self.blob_names()? {
            let stat = match statat(&self.fd, &encoded, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            let len = u64::try_from(stat.st_size).unwrap_or(0);
            stored += len;
            // A file of an impossible length is damaged; until a read drops it, it counts as it is.
            let bytes = Envelope::payload_len(len).unwrap_or(len);
            blobs.push(BlobMeta::new(name, bytes, Some(modified(&stat))));
        }
        if blobs.is_empty() {
            return Ok(None);
        }
        let mut meta = EntryMeta::new(key.clone(), stored).with_blobs(blobs);
        meta.last_accessed = Some(self.last_used);
        let location = root.path.join(shard_path(key)).join(key.digest.to_string());
        meta.places = vec![Place::new("disk", Cow::Owned(location.display().to_string()))];
        Ok(Some(meta))
    }
}

/// An open blob, and the length of its file.
pub(crate) struct BlobFile {
    pub(crate) file: File,
    pub(crate) len: u64,
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
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
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    };
    futimens(fd, &times)
}
