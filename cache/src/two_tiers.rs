use std::{path::PathBuf, sync::Arc};

use cache_core::{Cache, Error, Result, Store};
use cache_layered::LayeredStore;

use crate::{TierConfig, default_directory, open::open_tier};

/// Two tiers, neither of which has to be said: memory over a directory by default.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use cache::{Digest, TwoTiers};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path();
/// let slow = cache::open_store(&format!("disk:{}", path.display())).await?;
/// let cache = TwoTiers::default().with_slow(slow).open().await?;
/// cache.put(Digest::of("main.c -O2"), "object code").await?;
/// # Ok::<(), cache::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct TwoTiers {
    fast: Option<Arc<dyn Store>>,
    slow: Option<Arc<dyn Store>>,
}

impl TwoTiers {
    /// Takes this store, empty or not, as the tier `fast`; 2 GB of memory whose least recently used entries go first
    /// by default.
    #[must_use]
    pub fn with_fast(mut self, store: Arc<dyn Store>) -> Self {
        self.fast = Some(store);
        self
    }

    /// Takes this store, empty or not, as the tier `slow`; one in the [default directory](default_directory) by default.
    #[must_use]
    pub fn with_slow(mut self, store: Arc<dyn Store>) -> Self {
        self.slow = Some(store);
        self
    }

    /// Opens what was not given, and puts the two together.
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache_core::ErrorKind::Invalid) if there is no default directory where one is needed, and as
    /// [`LayeredBuilder::build`](crate::LayeredBuilder::build); else what opening a store fails with.
    ///
    /// # Cancel safety
    ///
    /// As [`open`](crate::open).
    pub async fn open(self) -> Result<Cache> {
        self.open_in(default_directory()).await
    }

    async fn open_in(self, directory: Option<PathBuf>) -> Result<Cache> {
        let fast = match self.fast {
            Some(fast) => fast,
            None => {
                let mut memory = TierConfig::new("memory");
                memory.policy = Some("lru".into());
                open_tier(memory).await?
            }
        };
        let slow = match self.slow {
            Some(slow) => slow,
            None => {
                let Some(directory) = directory else {
                    let why =
                        "there is no default directory: set XDG_CACHE_HOME or HOME, or give the slow tier";
                    return Err(Error::invalid(why).at("cache", "open"));
                };
                let mut disk = TierConfig::new("disk");
                disk.path = Some(directory);
                open_tier(disk).await?
            }
        };
        let stack = LayeredStore::builder().tier("fast", fast).tier("slow", slow).build()?;
        Ok(Cache::new(Arc::new(stack)))
    }
}

#[cfg(test)]
mod tests {
    use cache_core::{Digest, ErrorKind, Namespace};

    use super::*;

    async fn memory() -> Arc<dyn Store> {
        crate::open_store("memory:").await.unwrap()
    }

    #[tokio::test]
    async fn s0_3_without_stores_it_is_lru_memory_over_the_default_directory() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("a/b");
        let cache = TwoTiers::default().open_in(Some(directory.clone())).await.unwrap();
        let tiers = cache.info().tiers;
        let kinds: Vec<_> = tiers.iter().map(|(name, info)| (&**name, info.kind.to_string())).collect();
        assert_eq!(kinds, [("fast", "memory".to_owned()), ("slow", "disk".to_owned())]);
        assert_eq!(tiers[0].1.max_bytes, Some(2_000_000_000));
        cache.put(Digest::of("k"), "v").await.unwrap();
        assert!(directory.is_dir(), "made with its parents");
        let error = TwoTiers::default().open_in(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[tokio::test]
    async fn s0_3_an_empty_store_that_is_given_is_used() {
        let (fast, slow) = (memory().await, memory().await);
        let two = TwoTiers::default().with_fast(Arc::clone(&fast)).with_slow(Arc::clone(&slow));
        let cache = two.open_in(None).await.unwrap();
        cache.put(Digest::of("k"), "v").await.unwrap();
        for store in [fast, slow] {
            assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
        }
    }
}
