use std::{
    fs::{self, File},
    io::Write,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cache_core::Digest;
use rustix::{
    fs::{AtFlags, Mode, OFlags, fstat, mkdirat, openat, renameat, syncfs, unlinkat},
    io::{Errno, pread},
};
use tokio::task::spawn_blocking;

use crate::{
    failure::Result,
    subject::{Subject, files::Flushes},
};

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The system calls that files in the layout of ours need: nothing is sealed, verified or written down, and no
/// put is kept from another.
#[derive(Debug)]
pub(crate) struct RawFiles {
    root: OwnedFd,
    /// Where entries are made.
    temporary: OwnedFd,
    made: AtomicU64,
}

impl RawFiles {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join(".tmp/raw"))?;
        Ok(Self {
            root: rustix::fs::open(dir, DIR, Mode::empty())?,
            temporary: rustix::fs::open(dir.join(".tmp/raw"), DIR, Mode::empty())?,
            made: AtomicU64::new(0),
        })
    }

    fn get(&self, digest: &Digest) -> rustix::io::Result<Bytes> {
        let path = format!("{}/{digest}/~data", digest.prefix(2));
        let file = openat(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut value = Vec::with_capacity(usize::try_from(fstat(&file)?.st_size).unwrap_or(0));
        loop {
            let so_far = value.len() as u64;
            if value.len() == value.capacity()
                || pread(&file, rustix::buffer::spare_capacity(&mut value), so_far)? == 0
            {
                return Ok(value.into());
            }
        }
    }

    fn put(&self, digest: &Digest, value: &[u8]) -> std::io::Result<()> {
        let name = self.made.fetch_add(1, Ordering::Relaxed).to_string();
        mkdirat(&self.temporary, &name, Mode::RWXU)?;
        let entry = openat(&self.temporary, &name, DIR, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&entry, "~data", flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(value)?;
        drop(file);
        let shard = digest.prefix(2).to_string();
        let place = format!("{shard}/{digest}");
        if renameat(&self.temporary, &name, &self.root, &place) == Err(Errno::NOENT) {
            match mkdirat(&self.root, &shard, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            renameat(&self.temporary, &name, &self.root, &place)?;
        }
        Ok(())
    }
}

impl RawFiles {
    /// Puts an entry and then removes another.
    pub(crate) fn replace(&self, digest: &Digest, value: &[u8], oldest: Option<Digest>) -> Result<()> {
        self.put(digest, value)?;
        let Some(oldest) = oldest else { return Ok(()) };
        let place = format!("{}/{oldest}", oldest.prefix(2));
        unlinkat(&self.root, format!("{place}/~data"), AtFlags::empty())?;
        Ok(unlinkat(&self.root, place, AtFlags::REMOVEDIR)?)
    }
}

/// Raw files on the thread that asks, which waits.
#[derive(Debug)]
pub(crate) struct Inline(pub(crate) RawFiles);

impl Subject for Inline {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.0.get(digest).ok()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.put(&digest, &value).is_ok()
    }
}

impl Flushes for Inline {
    async fn flush(&self) -> bool {
        syncfs(&self.0.root).is_ok()
    }
}

/// Raw files on a blocking thread: one hop to it and back for each operation.
#[derive(Debug)]
pub(crate) struct Hop(pub(crate) Arc<RawFiles>);

impl Subject for Hop {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let (files, digest) = (Arc::clone(&self.0), *digest);
        spawn_blocking(move || files.get(&digest)).await.ok()?.ok()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        let files = Arc::clone(&self.0);
        matches!(spawn_blocking(move || files.put(&digest, &value)).await, Ok(Ok(())))
    }
}

impl Flushes for Hop {
    async fn flush(&self) -> bool {
        let files = Arc::clone(&self.0);
        matches!(spawn_blocking(move || syncfs(&files.root)).await, Ok(Ok(())))
    }
}
