//! What applications hold.

mod entry;
mod handle;

pub use entry::EntryHandle;
pub use handle::Cache;
