//! What opens the connections to a bucket, and does what only the service itself can.

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use cache_core::Result;
use object_store::{ObjectStore, list::PaginatedListStore};

/// The handles of one connection, which are replaced together.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The same, for deleting many objects at a time.
    pub(crate) batches: Arc<dyn ObjectStore>,
    /// Listings in the order of names, by pages, begun anywhere and ended anywhere; absent where a listing has no
    /// order.
    pub(crate) pages: Option<Arc<dyn PaginatedListStore>>,
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").field("paginated", &self.pages.is_some()).finish_non_exhaustive()
    }
}

/// A place below another one.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(crate) fn below(location: String, prefix: &str) -> String {
    if prefix.is_empty() { location } else { format!("{location}/{prefix}") }
}

/// An upload in parts that was begun and not ended.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) object: String,
    pub(crate) id: String,
    pub(crate) begun: SystemTime,
}

/// A service that keeps buckets.
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure")),
    expect(dead_code, reason = "without a service nothing provides")
)]
#[async_trait]
pub(crate) trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Connects anew: what credentials there are now are found anew, too.
    fn connect(&self) -> Result<Handles>;

    /// Whether credentials that were refused may be others after a new [`connect`](Self::connect).
    fn renews(&self) -> bool;

    /// What errors and metadata call the place: a URL without secrets, such as `s3://bucket/prefix`.
    fn location(&self, prefix: &str) -> String;

    /// Whether the bucket is there and may be used; makes it if the options say so.
    ///
    /// An absent one is [`Unavailable`](cache_core::ErrorKind::Unavailable), named.
    async fn check(&self) -> Result<()>;

    /// Up to 1,000 uploads below the prefix that were not ended, if the service tells.
    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>>;

    /// Ends an upload, whose parts are gone then. An absent one is fine.
    async fn abort(&self, upload: &Upload) -> Result<()>;
}
