//! Harmless system calls, to move a thread's count of them: strace counts for each thread apart, and a
//! thread that is not aimed at must never reach the number that is.

use std::{fs::File, mem::MaybeUninit, path::Path};

use rustix::{
    fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Timestamps},
    io::{Errno, ReadWriteFlags},
};

/// A name that is not there.
const NOWHERE: &str = "/@nowhere";

/// What the calls are made on, opened before any of them may fail.
#[derive(Debug)]
pub(crate) struct Burner {
    null: File,
    zero: File,
    text: File,
}

impl Burner {
    pub(crate) fn new() -> Self {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        Self { null, zero: File::open("/dev/zero").unwrap(), text: File::open("/proc/self/cmdline").unwrap() }
    }

    /// Makes a system call of this name so many times.
    pub(crate) fn burn(&self, call: &str, times: u64) {
        for _ in 0..times {
            self.once(call);
        }
    }

    /// Makes a system call of this name. Answers whether it knows how.
    pub(crate) fn once(&self, call: &str) -> bool {
        let Self { null, zero, text } = self;
        let mut byte = [0_u8; 1];
        let done = |_: Result<(), Errno>| true;
        match call {
            "openat" => done(rustix::fs::openat(CWD, NOWHERE, OFlags::RDONLY, Mode::empty()).map(drop)),
            "openat2" => {
                let (flags, resolve) = (OFlags::RDONLY, ResolveFlags::empty());
                done(rustix::fs::openat2(CWD, NOWHERE, flags, Mode::empty(), resolve).map(drop))
            }
            "mkdirat" => done(rustix::fs::mkdirat(CWD, "/", Mode::RWXU)),
            "mkdir" => std::fs::create_dir("/").is_err(),
            "unlinkat" => done(rustix::fs::unlinkat(CWD, NOWHERE, AtFlags::empty())),
            "unlink" => std::fs::remove_file(NOWHERE).is_err(),
            "rmdir" => std::fs::remove_dir(NOWHERE).is_err(),
            "linkat" => done(rustix::fs::linkat(CWD, NOWHERE, CWD, NOWHERE, AtFlags::empty())),
            "symlinkat" => done(rustix::fs::symlinkat("", CWD, NOWHERE)),
            "renameat" => done(rustix::fs::renameat(CWD, NOWHERE, CWD, NOWHERE)),
            "rename" => std::fs::rename(NOWHERE, NOWHERE).is_err(),
            "renameat2" => done(rustix::fs::renameat_with(CWD, NOWHERE, CWD, NOWHERE, RenameFlags::EXCHANGE)),
            "read" => done(rustix::io::read(zero, &mut byte).map(drop)),
            "pread64" => done(rustix::io::pread(text, &mut byte, 0).map(drop)),
            "readv" => done(rustix::io::readv(zero, &mut [std::io::IoSliceMut::new(&mut byte)]).map(drop)),
            "preadv" => {
                done(rustix::io::preadv(text, &mut [std::io::IoSliceMut::new(&mut byte)], 0).map(drop))
            }
            "preadv2" => {
                let into = &mut [std::io::IoSliceMut::new(&mut byte)];
                done(rustix::io::preadv2(text, into, 0, ReadWriteFlags::empty()).map(drop))
            }
            "write" => done(rustix::io::write(null, &byte).map(drop)),
            "pwrite64" => done(rustix::io::pwrite(null, &byte, 0).map(drop)),
            "writev" => done(rustix::io::writev(null, &[std::io::IoSlice::new(&byte)]).map(drop)),
            "pwritev" => done(rustix::io::pwritev(null, &[std::io::IoSlice::new(&byte)], 0).map(drop)),
            "pwritev2" => {
                let from = &[std::io::IoSlice::new(&byte)];
                done(rustix::io::pwritev2(null, from, 0, ReadWriteFlags::empty()).map(drop))
            }
            "fstat" => done(rustix::fs::fstat(null).map(drop)),
            "newfstatat" => done(rustix::fs::statat(CWD, NOWHERE, AtFlags::empty()).map(drop)),
            "statx" => !Path::new(NOWHERE).exists(),
            "fstatfs" => done(rustix::fs::fstatfs(null).map(drop)),
            "statfs" => done(rustix::fs::statfs(NOWHERE).map(drop)),
            "getdents64" => {
                let mut room = [MaybeUninit::uninit(); 64];
                RawDir::new(zero, &mut room).next().is_some()
            }
            "flock" => done(rustix::fs::flock(null, FlockOperation::NonBlockingLockShared)),
            "fsync" => done(rustix::fs::fsync(null)),
            "fdatasync" => done(rustix::fs::fdatasync(null)),
            "syncfs" => done(rustix::fs::syncfs(text)),
            "utimensat" => {
                let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 };
                let times = Timestamps { last_access: now, last_modification: now };
                done(rustix::fs::utimensat(CWD, NOWHERE, &times, AtFlags::empty()))
            }
            "ftruncate" => done(rustix::fs::ftruncate(null, 0)),
            "fallocate" => done(rustix::fs::fallocate(null, rustix::fs::FallocateFlags::empty(), 0, 1)),
            "fchmod" => done(rustix::fs::fchmod(text, Mode::empty())),
            "lseek" => done(rustix::fs::seek(null, rustix::fs::SeekFrom::Start(0)).map(drop)),
            "copy_file_range" => done(rustix::fs::copy_file_range(text, None, null, None, 1).map(drop)),
            "fcntl" => done(rustix::io::fcntl_getfd(null).map(drop)),
            _ => false,
        }
    }
}
