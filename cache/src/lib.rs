//! Placeholder.
pub use cache_core::*;
#[cfg(feature = "memory")]
pub use cache_memory::*;

/// Opens one store.
pub async fn open(url: &str) -> Result<Cache> {
    open_tiers([url]).await
}
/// Opens stores as tiers, fastest first.
pub async fn open_tiers<U: AsRef<str>>(_urls: impl IntoIterator<Item = U>) -> Result<Cache> {
    todo!()
}
