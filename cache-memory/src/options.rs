use cache_core::{Error, Result};

use crate::Policy;

/// The limits of a [`MemoryStore`](crate::MemoryStore).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryOptions {
    /// The bytes of all blobs together; unlimited if absent, 0 disables the cache. 2 GB by default, so
    /// that a store nobody thought about cannot take the machine's memory.
    ///
    /// What the store takes besides counts, too, but for the first 64 KiB of it: 224 bytes an entry, 160 more
    /// for each blob that is not named `data`, 64 more for each entry once the store was listed. Bytes that are
    /// a slice of a larger buffer count as the slice, but keep all of the buffer: copy such a slice first.
    pub max_bytes: Option<u64>,
    /// The number of entries; unlimited if absent, at least 1.
    pub max_entries: Option<u64>,
    /// The bytes of one blob; unlimited if absent.
    pub max_blob_bytes: Option<u64>,
    /// Which entries go first when a limit is reached, see there for the default.
    pub policy: Policy,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { max_bytes: Some(2_000_000_000), ..Self::unlimited() }
    }
}

impl MemoryOptions {
    /// No limits at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { max_bytes: None, max_entries: None, max_blob_bytes: None, policy: Policy::default() }
    }

    /// Sets the bytes of all blobs together.
    #[must_use]
    pub fn with_max_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_bytes = max.into();
        self
    }

    /// Sets the number of entries.
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

    /// Sets which entries go first.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.max_entries {
            Some(0) => {
                Err(Error::invalid("max_entries must be at least 1; a max_bytes of 0 disables the cache")
                    .at("memory", "open"))
            }
            _ => Ok(()),
        }
    }
}
