//! Files as far as the kernel has them in memory: each call answers at once, or says that it would have to wait.

#[cfg(not(target_os = "linux"))]
pub(crate) use absent::{is_absent, open, read, works};
#[cfg(target_os = "linux")]
pub(crate) use linux::{is_absent, open, read, works};

use std::os::fd::OwnedFd;

/// What is known of a path without waiting.
#[derive(Debug)]
pub(crate) enum Cached {
    /// A regular file, and its length.
    File(OwnedFd, u64),
    /// There is nothing of that name.
    Absent,
    /// It takes a disk to know; or it is something else, or behind a link.
    Unknown,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        ffi::CStr,
        io::IoSliceMut,
        os::fd::{AsFd, BorrowedFd},
    };

    use rustix::{
        fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2},
        io::{Errno, ReadWriteFlags, preadv2},
    };

    use super::Cached;

    const RESOLVE: ResolveFlags = ResolveFlags::CACHED
        .union(ResolveFlags::BENEATH)
        .union(ResolveFlags::NO_SYMLINKS)
        .union(ResolveFlags::NO_MAGICLINKS);

    /// Nonblocking, as somebody may have planted a pipe. The time of access is not written, which may wait for a
    /// journal; only the files' owner can ask for that.
    const FILE_FLAGS: OFlags = OFlags::RDONLY
        .union(OFlags::NOFOLLOW)
        .union(OFlags::NONBLOCK)
        .union(OFlags::NOATIME)
        .union(OFlags::NOCTTY)
        .union(OFlags::CLOEXEC);

    /// Opens a file below a directory.
    pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr) -> Cached {
        let file = match openat2(root, path, FILE_FLAGS, Mode::empty(), RESOLVE) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Cached::Absent,
            Err(_) => return Cached::Unknown,
        };
        match fstat(&file) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                u64::try_from(stat.st_size).map_or(Cached::Unknown, |len| Cached::File(file, len))
            }
            _ => Cached::Unknown,
        }
    }

    /// Whether it is known that there is nothing of that name.
    pub(crate) fn is_absent(root: BorrowedFd<'_>, path: &CStr) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(root, path, flags, Mode::empty(), RESOLVE).is_err_and(|error| error == Errno::NOENT)
    }

    /// Fills the parts one after the other; if not all of it is in memory, the answer is false.
    pub(crate) fn read<const N: usize>(file: impl AsFd, offset: u64, into: [&mut [u8]; N]) -> bool {
        let len = into.iter().map(|part| part.len()).sum();
        preadv2(file, &mut into.map(IoSliceMut::new), offset, ReadWriteFlags::NOWAIT) == Ok(len)
    }

    /// Whether kernel, filters in front of it and file system know these calls: tried at a file that was just read.
    pub(crate) fn works(root: BorrowedFd<'_>, path: &CStr) -> bool {
        match openat2(root, path, FILE_FLAGS, Mode::empty(), RESOLVE) {
            Ok(file) => {
                let mut byte = [0];
                let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
                matches!(read, Ok(_) | Err(Errno::AGAIN))
            }
            Err(_) => false,
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod absent {
    use std::{
        ffi::CStr,
        os::fd::{AsFd, BorrowedFd},
    };

    use super::Cached;

    pub(crate) fn open(_root: BorrowedFd<'_>, _path: &CStr) -> Cached {
        Cached::Unknown
    }

    pub(crate) fn is_absent(_root: BorrowedFd<'_>, _path: &CStr) -> bool {
        false
    }

    pub(crate) fn read<const N: usize>(_file: impl AsFd, _offset: u64, _into: [&mut [u8]; N]) -> bool {
        false
    }

    pub(crate) fn works(_root: BorrowedFd<'_>, _path: &CStr) -> bool {
        false
    }
}
