use std::path::{Path, PathBuf};

/// Where a [`DiskStore`](crate::DiskStore) lies, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The directory; it is made, with its parents, if it is not there.
    pub dir: PathBuf,
    /// The bytes of all blobs together; unlimited if absent, 0 disables the cache. The store is within
    /// this when `flush` returns, but for entries that cannot be removed or that others are writing just
    /// then. Until then it may hold about 5 % more, and what other stores of this directory put.
    pub max_bytes: Option<u64>,
    /// The bytes of one blob, on put and on get; unlimited if absent.
    pub max_blob_bytes: Option<u64>,
}

impl DiskOptions {
    /// A store in `dir` without limits.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), max_bytes: None, max_blob_bytes: None }
    }

    /// Sets the bytes of all blobs together.
    #[must_use]
    pub fn with_max_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_bytes = max.into();
        self
    }

    /// Sets the bytes of one blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_blob_bytes = max.into();
        self
    }
}
