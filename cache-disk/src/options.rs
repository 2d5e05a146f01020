use std::path::{Path, PathBuf};

/// Where a [`DiskStore`](crate::DiskStore) lies, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The directory; it is made, with its parents, if it is not there.
    pub dir: PathBuf,
    /// The bytes of all blobs together; unlimited if absent, 0 disables the cache. The store is within
    /// this when `flush` returns, but for entries that cannot be removed or that others are writing just
    /// then. Until then it may hold about 5 % more. What other stores of this directory put counts.
    pub max_bytes: Option<u64>,
    /// The bytes of one blob, on put and on get; unlimited if absent.
    pub max_blob_bytes: Option<u64>,
    /// Whether this store has the directory to itself: opening it is [`Locked`] while another one has it open,
    /// and so is opening another one until this one is closed. For what only one process may answer for, such as
    /// a tier that takes what memory evicts.
    ///
    /// [`Locked`]: cache_core::ErrorKind::Locked
    pub exclusive: bool,
    /// Whether what the store keeps goes with it: when it is closed, or else in the background when its last clone is
    /// dropped. Off by default: it is kept. In a directory that was given, what is not the store's stays, and
    /// everything does while another store has it open. If `dir` is empty, the store makes one for
    /// itself below the system's temporary directory, and takes it away as a whole. Opening a given directory while
    /// it is being emptied is [`Locked`].
    ///
    /// Such a store is not durable, and a process that is killed leaves its files behind.
    ///
    /// [`Locked`]: cache_core::ErrorKind::Locked
    pub temporary: bool,
    /// How many damaged entries are kept aside in `.quarantine`, for somebody to look at; the oldest go
    /// first. 16 by default: damage comes in bursts, and the first few tell where it comes from. With 0
    /// damaged entries are dropped.
    pub quarantine_entries: u64,
    /// The bytes of those entries together, which do not count in `max_bytes`. 64 MiB by default: little
    /// beside any cache, and room for some large artifacts. A larger entry is dropped, and with 0 all are.
    pub quarantine_bytes: u64,
}

impl DiskOptions {
    /// A store in `dir` without limits.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            max_bytes: None,
            max_blob_bytes: None,
            exclusive: false,
            temporary: false,
            quarantine_entries: 16,
            quarantine_bytes: 64 << 20,
        }
    }

    /// A store in a fresh directory that nobody else can look into, and that goes with it.
    ///
    /// ```
    /// use cache_disk::{DiskOptions, DiskStore};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let scratch = DiskStore::open(DiskOptions::temporary().with_max_bytes(1_000_000_000)).await?;
    /// # let _ = scratch;
    /// # Ok::<(), cache_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn temporary() -> Self {
        Self::new("").with_temporary(true)
    }

    /// Sets whether what the store keeps goes with it.
    #[must_use]
    pub fn with_temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
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

    /// Sets how many damaged entries are kept aside, and their bytes; either may be 0 to drop them.
    #[must_use]
    pub fn with_quarantine(mut self, entries: u64, bytes: u64) -> Self {
        (self.quarantine_entries, self.quarantine_bytes) = (entries, bytes);
        self
    }
}
