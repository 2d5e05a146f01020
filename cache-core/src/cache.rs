//! What applications hold.

mod entry;
mod handle;
mod upkeep;

pub use entry::EntryHandle;
pub use handle::Cache;
