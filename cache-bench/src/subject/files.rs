//! Those that keep files, and the least that could.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::{failure::Result, subject::Subject};

pub(crate) mod gets;
pub(crate) mod lineup;
pub(crate) mod ours;
pub(crate) mod puts;
pub(crate) mod raw;
pub(crate) mod streams;

#[cfg(feature = "rivals")]
pub(crate) mod cacache;
#[cfg(feature = "rivals")]
pub(crate) mod object_store;
#[cfg(feature = "rivals")]
pub(crate) mod opendal;

/// One whose puts may be made durable together.
pub(crate) trait Flushes: Subject {
    /// Makes durable what was put; answers whether it is.
    fn flush(&self) -> impl Future<Output = bool> + Send;
}

/// A runtime as a service has it, of two threads, and blocking threads beside them.
pub(crate) fn service() -> Result<Arc<Runtime>> {
    Ok(Arc::new(Builder::new_multi_thread().worker_threads(2).enable_all().build()?))
}
