use futures::TryStreamExt;

use crate::{ByteSize, KeyManagement, ListOptions, Namespace, Result};

/// How much a namespace and all namespaces below it hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// The bytes that budgets count: those of the blobs.
    pub bytes: u64,
    /// The bytes that they occupy where they are stored, envelopes included.
    pub stored_bytes: u64,
}

impl Usage {
    /// Adds one entry.
    pub fn add(&mut self, bytes: u64, stored_bytes: u64) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.stored_bytes = self.stored_bytes.saturating_add(stored_bytes);
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}, {} ({} stored)",
            self.entries,
            if self.entries == 1 { "entry" } else { "entries" },
            ByteSize::new(self.bytes),
            ByteSize::new(self.stored_bytes)
        )
    }
}

/// [`Store::usage`](crate::Store::usage) for stores that know no better than to list.
///
/// # Errors
///
/// What the listing fails with.
///
/// # Cancel safety
///
/// Reads only.
pub async fn usage_by_listing(store: &(impl KeyManagement + ?Sized), scope: &Namespace) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut entries = store.list(ListOptions::below(scope));
    while let Some(entry) = entries.try_next().await? {
        usage.add(entry.counted_bytes(), entry.stored_bytes);
    }
    Ok(usage)
}
