use std::path::Path;

use bytes::Bytes;
use cache_core::Digest;
use object_store::{ObjectStoreExt, local::LocalFileSystem, path};

use crate::{
    failure::Result,
    subject::{Subject, files::Flushes},
};

/// Its store of files, which syncs each put or none.
pub(crate) fn local(dir: &Path, fsync: bool) -> Result<LocalFileSystem> {
    Ok(LocalFileSystem::new_with_prefix(dir)?.with_fsync(fsync))
}

/// In directories like ours.
pub(crate) fn path(digest: &Digest) -> path::Path {
    path::Path::from(format!("{}/{digest}", digest.prefix(2)))
}

impl Subject for LocalFileSystem {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        ObjectStoreExt::get(self, &path(digest)).await.ok()?.bytes().await.ok()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        ObjectStoreExt::put(self, &path(&digest), value.into()).await.is_ok()
    }
}

impl Flushes for LocalFileSystem {
    /// Each put has synced its file.
    async fn flush(&self) -> bool {
        true
    }
}
