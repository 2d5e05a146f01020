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
    /// Whether this store has the directory to itself: opening it is [`Locked`] while another one has it open,
    /// and so is opening another one until this one is closed. For what only one process may answer for, such as
    /// a tier that takes what memory evicts.
    ///
    /// [`Locked`]: cache_core::ErrorKind::Locked
    pub exclusive: bool,
}

impl DiskOptions {
    /// A store in `dir` without limits.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), max_bytes: None, max_blob_bytes: None, exclusive: false }
    }

    /// Sets the bytes of all blobs together.
    #[must_use]
    pub fn with_max_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_bytes = max.into();
        self
    }

    /// Sets whether the store has the directory to itself.
    #[must_use]
    pub fn with_exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Sets the bytes of one blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_blob_bytes = max.into();
        self
    }
}
