use std::path::{Path, PathBuf};

/// Where a [`RedbStore`](crate::RedbStore) lies, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedbOptions {
    /// The file; it is made, with the directories above it, if it is not there. `<path>.damaged` and
    /// `<path>.compacting` beside it are the store's as well.
    pub path: PathBuf,
    /// The bytes of all blobs together; unlimited if absent, 0 disables the cache. The store is within this when
    /// `flush` returns; until then it may hold about 5 % more.
    pub max_bytes: Option<u64>,
    /// All entries together; unlimited if absent, at least 1. The store is within this when `flush` returns.
    pub max_entries: Option<u64>,
    /// The bytes of one blob, on put and on get; unlimited if absent.
    pub max_blob_bytes: Option<u64>,
    /// How much memory the database may take for its pages, those that are read again and those that are not
    /// written yet. 64 MiB by default.
    pub cache_bytes: usize,
    /// Whether each put is durable when it returns, as if a flush followed. Off by default: it makes puts wait for
    /// the disk, and those of many tasks at a time share one wait.
    pub durable_puts: bool,
    /// Whether the file is only looked into: nothing in it is changed, nor made. Several processes may do so at a
    /// time, and none while it is open for writing. Off by default.
    pub read_only: bool,
}

impl RedbOptions {
    /// A store in the file `path` without limits.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            max_bytes: None,
            max_entries: None,
            max_blob_bytes: None,
            cache_bytes: 64 << 20,
            durable_puts: false,
            read_only: false,
        }
    }

    /// Sets the bytes of all blobs together.
    #[must_use]
    pub fn with_max_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_bytes = max.into();
        self
    }

    /// Sets how many entries there may be.
    #[must_use]
    pub fn with_max_entries(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_entries = max.into();
        self
    }

    /// Sets the bytes of one blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_blob_bytes = max.into();
        self
    }

    /// Sets the memory for the database's pages.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets whether each put is durable when it returns.
    #[must_use]
    pub fn with_durable_puts(mut self, durable: bool) -> Self {
        self.durable_puts = durable;
        self
    }

    /// Sets whether the file is only looked into.
    #[must_use]
    pub fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }
}
