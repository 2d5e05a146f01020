//! One cache for the whole process, for programs that have no place to hand one through.
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use cache::{Config, Digest, global};
//!
//! assert!(global::get().is_err(), "nobody made it yet");
//! global::init(&Config::from_urls(["memory:?max_size=64MiB"])?).await?;
//!
//! // Anywhere else in the program:
//! global::get()?.put(Digest::of("main.c -O2"), "object code").await?;
//! assert_eq!(global::metrics()?.puts, 1);
//! global::clear().await?;
//! # Ok::<(), cache::Error>(())
//! # }).unwrap();
//! ```
//!
//! A library takes a [`Cache`] from its caller instead.

use cache_core::{Cache, ClearReport, Error, Metrics, Result};
use tokio::sync::OnceCell;

use crate::{Config, open_config};

static GLOBAL: OnceCell<(Config, Cache)> = OnceCell::const_new();

/// Makes the global cache, or answers it if it was made with the same options. Of several at a time one
/// makes it and the others wait. An attempt that fails makes none, and may be followed by another.
///
/// # Errors
///
/// [`Invalid`](cache_core::ErrorKind::Invalid) if it was made with other options: the text says which. Else
/// as [`open_config`].
///
/// # Cancel safety
///
/// Dropping the future leaves the cache made or not, as [`open_config`] would. Whoever waits goes on.
pub async fn init(config: &Config) -> Result<Cache> {
    let open = || async { open_config(config).await.map(|cache| (config.clone(), cache)) };
    let (held, cache) = GLOBAL.get_or_try_init(open).await?;
    match held.difference(config) {
        None => Ok(cache.clone()),
        Some(difference) => {
            let detail = format!("the global cache was initialised with other options: {difference}");
            Err(Error::invalid(detail).at("", "init"))
        }
    }
}

/// The global cache.
///
/// # Errors
///
/// [`Invalid`](cache_core::ErrorKind::Invalid) before [`init`] has made it.
pub fn get() -> Result<Cache> {
    held("get")
}

/// Evicts all its entries; it stays initialised. See [`Cache::clear`].
///
/// # Errors
///
/// As [`get`], and as [`Cache::clear`].
///
/// # Cancel safety
///
/// As [`Cache::clear`].
pub async fn clear() -> Result<ClearReport> {
    held("clear")?.clear().await
}

/// What was done through it. See [`Cache::metrics`].
///
/// # Errors
///
/// As [`get`].
pub fn metrics() -> Result<Metrics> {
    held("metrics").map(|cache| cache.metrics())
}

fn held(operation: &'static str) -> Result<Cache> {
    match GLOBAL.get() {
        Some((_, cache)) => Ok(cache.clone()),
        None => {
            let detail = "the global cache is not initialised: call cache::global::init first";
            Err(Error::invalid(detail).at("", operation))
        }
    }
}
