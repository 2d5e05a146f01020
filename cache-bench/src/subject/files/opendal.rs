use std::path::Path;

use bytes::Bytes;
use cache_core::Digest;
use opendal::{Operator, services::Fs};

use crate::{
    failure::Result,
    subject::{Subject, files::Flushes},
};

/// Its service of files, which syncs each file that it writes and cannot be told otherwise.
#[derive(Debug)]
pub(crate) struct OpendalFs(pub(crate) Operator);

pub(crate) fn open(dir: &Path) -> Result<OpendalFs> {
    Ok(OpendalFs(Operator::new(Fs::default().root(&dir.to_string_lossy()))?))
}

/// In directories like ours.
pub(crate) fn path(digest: &Digest) -> String {
    format!("{}/{digest}", digest.prefix(2))
}

impl Subject for OpendalFs {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Some(self.0.read(&path(digest)).await.ok()?.to_bytes())
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.write(&path(&digest), value).await.is_ok()
    }
}

impl Flushes for OpendalFs {
    /// Each put has synced its file.
    async fn flush(&self) -> bool {
        true
    }
}
