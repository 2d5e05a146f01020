use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{Result, Store};

/// Opens the store that the suite is run over.
///
/// Every clause gets a factory of its own. The value owns what the store needs as long as the clause
/// runs, such as a temporary directory; it is dropped after the store and after its runtime.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Opens the store. A second open over the same factory is the restart: of the same directory,
    /// file or bucket, after the first store was closed and dropped.
    ///
    /// # Errors
    ///
    /// What opening fails with: [`Unsupported`](cache_core::ErrorKind::Unsupported) or
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for a budget that the store cannot keep. Anything
    /// else fails the clause.
    ///
    /// # Cancel safety
    ///
    /// The suite always awaits it to the end, or ends with the clause.
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>>;
}

/// What a clause asks of the store that it opens; by default a store without limits.
///
/// A store with tiers gives the limits to each tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setup {
    /// The budget in bytes of blobs.
    pub max_bytes: Option<u64>,
    /// The largest blob.
    pub max_blob_bytes: Option<u64>,
}

impl Setup {
    /// Asks for a budget.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Asks for a limit on each blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, bytes: u64) -> Self {
        self.max_blob_bytes = Some(bytes);
        self
    }
}
