//! An entry in the making: a directory in this process's temporary directory.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use cache_core::{BlobName, Key, Result};
use rustix::{
    fs::{OFlags, mkdirat, openat},
    io::Errno,
};

use crate::{
    at::At,
    disk::Inner,
    entry_dir::set_modified_at,
    pending::Epoch,
    root::{DIR_MODE, FILE_MODE},
    session::Session,
    staged_blob::StagedBlob,
    tree::remove_tree,
};

/// Removed when dropped, unless it was published.
pub(crate) struct Stage {
    inner: Arc<Inner>,
    pub(crate) session: Arc<Session>,
    /// From before its first byte was written.
    pub(crate) begun: Epoch,
    /// In the session's directory, which nobody else knows: so what is below needs no handle of its own.
    pub(crate) name: String,
    pub(crate) key: Key,
    created: SystemTime,
    pub(crate) blobs: Vec<(BlobName, u64)>,
    published: bool,
}

impl Stage {
    pub(crate) fn begin(inner: &Arc<Inner>, key: &Key, created: SystemTime) -> Result<Self> {
        let at = At { root: &inner.root, key, operation: "put" };
        let begun = inner.pending.epoch();
        let mut session = inner.session();
        let mut name = session.new_name();
        let mut made = mkdirat(session.dir(), &name, DIR_MODE);
        if made == Err(Errno::NOENT) {
            // Somebody emptied the directory under the open store.
            session = at.keyed(inner.renew_session(&session, "put"))?;
            name = session.new_name();
            made = mkdirat(session.dir(), &name, DIR_MODE);
        }
        made.map_err(|error| at.failed(error))?;
        Ok(Self {
            inner: Arc::clone(inner),
            session,
            begun,
            name,
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

    /// Where a blob lies in the session's directory.
    pub(crate) fn path_of(&self, blob: &BlobName) -> String {
        format!("{}/{}", self.name, blob.encoded())
    }

    /// The entry counts as used now when it becomes visible.
    pub(crate) fn mark_used(&self, now: SystemTime) -> Result<(), Errno> {
        set_modified_at(self.session.dir(), &self.name, now)
    }

    fn at(&self) -> At<'_> {
        At { root: &self.inner.root, key: &self.key, operation: "put" }
    }

    /// Writes a blob that is in hand.
    pub(crate) fn write(&mut self, name: &BlobName, payload: &Bytes) -> Result<()> {
        let blob = self.begin_blob(name)?;
        self.end_blob(blob, std::slice::from_ref(payload))
    }

    /// Begins a blob that streams in.
    pub(crate) fn begin_blob(&self, name: &BlobName) -> Result<StagedBlob> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(self.session.dir(), self.path_of(name), flags, FILE_MODE)
            .map_err(|error| self.at().failed(error))?;
        Ok(StagedBlob::new(&self.key, name, file.into()))
    }

    /// Writes the next bytes of a blob.
    pub(crate) fn append(&self, blob: &mut StagedBlob, payload: &[Bytes]) -> Result<()> {
        blob.append(payload).map_err(|error| self.at().failed(error))
    }

    /// Writes the last bytes of a blob, and seals it.
    pub(crate) fn end_blob(&mut self, blob: StagedBlob, payload: &[Bytes]) -> Result<()> {
        let blob = blob.end(payload, self.created).map_err(|error| self.at().failed(error))?;
        self.blobs.push(blob);
        Ok(())
    }

    /// What is at the stage's place now is no longer this entry.
    pub(crate) fn was_published(mut self) {
        self.published = true;
    }
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
