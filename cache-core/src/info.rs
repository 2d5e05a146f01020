use std::{borrow::Cow, sync::Arc};

/// What a store is: constant from open to close, known without I/O.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The kind, such as `memory` or `disk`.
    pub kind: Cow<'static, str>,
    /// Where it lies: a directory, a file, a URL; empty in memory.
    pub location: String,
    /// The budget over all namespaces, in bytes of blobs.
    pub max_bytes: Option<u64>,
    /// The budget over all namespaces, in entries.
    pub max_entries: Option<u64>,
    /// The largest blob that it takes and that it reads.
    pub max_blob_bytes: Option<u64>,
    /// Whether listings, budgets and `clean` count stored bytes, as listings do not know those of blobs: they are
    /// `None` there.
    pub counts_stored: bool,
    /// What it can do.
    pub powers: Powers,
    /// The tiers, fastest first; empty for a store without tiers.
    pub tiers: Vec<(Arc<str>, StoreInfo)>,
}

impl StoreInfo {
    /// A store without limits.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, location: impl Into<String>, powers: Powers) -> Self {
        Self {
            kind: kind.into(),
            location: location.into(),
            max_bytes: None,
            max_entries: None,
            max_blob_bytes: None,
            counts_stored: false,
            powers,
            tiers: Vec::new(),
        }
    }

    /// Sets the budget in bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, max: Option<u64>) -> Self {
        self.max_bytes = max;
        self
    }

    /// Sets the budget in entries.
    #[must_use]
    pub fn with_max_entries(mut self, max: Option<u64>) -> Self {
        self.max_entries = max;
        self
    }

    /// Sets the largest blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, max: Option<u64>) -> Self {
        self.max_blob_bytes = max;
        self
    }

    /// Sets whether listings, budgets and `clean` count stored bytes.
    #[must_use]
    pub fn with_counts_stored(mut self, counts_stored: bool) -> Self {
        self.counts_stored = counts_stored;
        self
    }

    /// Sets the tiers.
    #[must_use]
    pub fn with_tiers(mut self, tiers: Vec<(Arc<str>, StoreInfo)>) -> Self {
        self.tiers = tiers;
        self
    }
}

/// What a store can do. What it does not declare is refused or visibly absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
#[non_exhaustive]
pub struct Powers {
    /// Entries are there after a restart, and after a flush also after a crash.
    pub durable: bool,
    /// Several processes may have it open at once, and see what the others do. A tier that is not shared
    /// itself may go on answering an older version of what it has taken.
    pub shared: bool,
    /// It can keep a budget.
    pub bounded: bool,
    /// Reads protect entries from eviction.
    pub recency: bool,
    /// Cleaning goes by the time of creation that a put was given. Without it, by when the entry was written
    /// here; `meta` and reads tell the given time either way.
    pub dated: bool,
    /// Hits hand out one shared allocation.
    pub shared_bytes: bool,
    /// Merges by several processes lose none of each other's blobs.
    pub cross_process_merge: bool,
    /// Blobs stream in and out in no more memory than the store itself keeps for them.
    pub streaming: bool,
    /// It can hand on what it evicts: it is a [`SpillSource`](crate::SpillSource).
    pub spills: bool,
}
