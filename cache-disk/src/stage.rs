//! An entry in the making: a directory in this process's temporary directory.

use std::{fs::File, io::Write, os::fd::OwnedFd, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cache_core::{BLOCK_BYTES, BlobName, Envelope, Key, Result, Sealer};
use rustix::{
    fs::{Mode, OFlags, mkdirat, openat},
    io::Errno,
};

use crate::{
    at::At,
    disk::Inner,
    entry_dir::set_modified,
    pending::Epoch,
    root::{DIR_MODE, FILE_MODE},
    session::Session,
    tree::{DIR_FLAGS, random_name, remove_tree},
};

/// Removed when dropped, unless it was published.
pub(crate) struct Stage {
    inner: Arc<Inner>,
    pub(crate) session: Arc<Session>,
    /// From before its first byte was written.
    pub(crate) begun: Epoch,
    pub(crate) name: String,
    pub(crate) dir: OwnedFd,
    pub(crate) key: Key,
    created: SystemTime,
    pub(crate) blobs: Vec<(BlobName, u64)>,
    published: bool,
}

impl Stage {
    pub(crate) fn begin(inner: &Arc<Inner>, key: &Key, created: SystemTime) -> Result<Self> {
        let at = At { root: &inner.root, key, operation: "put" };
        let begun = inner.pending.epoch();
        let name = at.keyed(random_name("put"))?;
        let mut session = inner.session();
        let mut made = mkdirat(session.dir(), &name, DIR_MODE);
        if made == Err(Errno::NOENT) {
            // Somebody emptied the directory under the open store.
            session = at.keyed(inner.renew_session(&session, "put"))?;
            made = mkdirat(session.dir(), &name, DIR_MODE);
        }
        made.map_err(|error| at.failed(error))?;
        let dir = openat(session.dir(), &name, DIR_FLAGS, Mode::empty()).map_err(|error| at.failed(error))?;
        Ok(Self {
            inner: Arc::clone(inner),
            session,
            begun,
            name,
            dir,
            key: key.clone(),
            created,
            blobs: Vec::new(),
            published: false,
        })
    }

    /// The bytes of all blobs so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    fn at(&self) -> At<'_> {
        At { root: &self.inner.root, key: &self.key, operation: "put" }
    }

    fn create(&self, name: &BlobName) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.dir, name.encoded(), flags, FILE_MODE)
            .map(File::from)
            .map_err(|error| self.at().failed(error))
    }

    /// Writes a blob that is in hand.
    pub(crate) fn write(&mut self, name: &BlobName, payload: &Bytes) -> Result<()> {
        if payload.len() <= BLOCK_BYTES {
            let sealed = Envelope::seal(&self.key, name, payload);
            let mut file = self.create(name)?;
            file.write_all(&sealed).map_err(|error| self.at().failed(error))?;
            return self.finish_blob(name, &file, payload.len() as u64);
        }
        let mut blob = self.begin_blob(name)?;
        self.append(&mut blob, payload)?;
        self.end_blob(blob)
    }

    /// Begins a blob that streams in.
    pub(crate) fn begin_blob(&self, name: &BlobName) -> Result<StagedBlob> {
        let mut file = self.create(name)?;
        let sealer = Sealer::new(&self.key, name);
        file.write_all(&sealer.header()).map_err(|error| self.at().failed(error))?;
        Ok(StagedBlob { name: name.clone(), file, sealer, bytes: 0 })
    }

    /// Writes the next bytes of a blob.
    pub(crate) fn append(&self, blob: &mut StagedBlob, payload: &[u8]) -> Result<()> {
        blob.sealer.update(payload);
        blob.bytes += payload.len() as u64;
        blob.file.write_all(payload).map_err(|error| self.at().failed(error))
    }

    /// Seals a blob that streamed in.
    pub(crate) fn end_blob(&mut self, blob: StagedBlob) -> Result<()> {
        let StagedBlob { name, mut file, sealer, bytes } = blob;
        file.write_all(&sealer.finish().0).map_err(|error| self.at().failed(error))?;
        self.finish_blob(&name, &file, bytes)
    }

    fn finish_blob(&mut self, name: &BlobName, file: &File, bytes: u64) -> Result<()> {
        set_modified(file, self.created).map_err(|error| self.at().failed(error))?;
        self.blobs.push((name.clone(), bytes));
        Ok(())
    }

    /// What is at the stage's place now is no longer this entry.
    pub(crate) fn was_published(mut self) {
        self.published = true;
    }
}

/// A blob that is being written.
pub(crate) struct StagedBlob {
    name: BlobName,
    file: File,
    sealer: Sealer,
    pub(crate) bytes: u64,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let (session, name) = (Arc::clone(&self.session), std::mem::take(&mut self.name));
        // What cannot be removed now is swept with this process's directory.
        // A future may be dropped on a thread that must not wait for a disk.
        self.inner.tasks.spawn(move || _ = remove_tree(session.dir(), name.as_str()));
    }
}
