use std::sync::Arc;

use cache_core::{Cache, Error, Result, Store};

use crate::{Config, TierConfig, plan::Plan, url::shown};

/// Opens one store by its URL.
///
/// | URL                    | Options                                                                        |
/// |------------------------|--------------------------------------------------------------------------------|
/// | `memory:`              | `max_size` (2 GB if absent), `max_entries`, `max_blob`, `policy`, `write`      |
/// | `disk:/absolute/path`  | `max_size`, `max_blob`, `write`                                                |
/// | `redb:/absolute/file`  | `max_size`, `max_entries`, `max_blob`, `cache_size` (64 MiB if absent), `durable_puts`, `read_only`, `write` |
/// | `s3://bucket/prefix`   | `region`, `endpoint`, `virtual_hosted`, `allow_http`, `auto_create`, `anonymous`, `bulk_delete` and those of all buckets |
/// | `gs://bucket/prefix`   | `endpoint`, `allow_http`, `anonymous`, `service_account_path` and those of all buckets |
/// | `az://container/prefix` | `account` or `emulator`, `endpoint`, `allow_http`, `anonymous` and those of all buckets |
///
/// All buckets take `max_size`, which needs `owned`, `max_blob`, `timeout` (30 s), `connect_timeout` (5 s), `retries` (3),
/// `min_rate` (1 MiB a second), `part_size` (8 MiB), `concurrent_parts` (4), `upload_age` (24 h) and `conditional_puts`;
/// [`TierConfig`] says what they mean. Credentials are never part of a URL: they are those of the environment, or of
/// a [`TierConfig`]. Durations are text such as `30s` or `1m 30s`.
///
/// `write=spill` is for a tier directly behind memory: it takes what that evicts, see [`open_tiers`].
/// Sizes are a [`ByteSize`](cache_core::ByteSize) such as `256MB`, or `unlimited`; a policy is `tiny-lfu`,
/// the default, `lru`, `lfu` or `unbounded`. Characters with a meaning in URLs, such as `?`, `#`, `%`, are
/// written percent-encoded in paths. What is `true` or `false` is `false` by default, but for `bulk_delete`.
///
/// # Errors
///
/// [`Invalid`](cache_core::ErrorKind::Invalid) for a URL that is malformed, has an unknown scheme or
/// option, or names a backend whose feature is off; else what opening the store fails with.
///
/// # Cancel safety
///
/// Dropping the future may leave a directory behind, marked as a store and without entries, a database without
/// entries, or a bucket that was to be made; nothing else.
pub async fn open(url: &str) -> Result<Cache> {
    open_tiers([url]).await
}

/// Opens several stores as tiers, fastest first; one URL opens that store alone.
///
/// Tiers are named by their scheme, a second one of a kind `disk-2` and so on. A put goes to every tier, but
/// for one with `write=spill`, such as `["memory:?max_size=1GB", "disk:/var/cache/spill?write=spill"]`: it gets
/// what memory evicts or is too small for, and what memory alone has when the cache is flushed or closed.
///
/// # Errors
///
/// As [`open`]; [`Invalid`](cache_core::ErrorKind::Invalid) without URLs, or with several while the
/// feature `layered` is off.
///
/// # Cancel safety
///
/// As [`open`].
pub async fn open_tiers<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Cache> {
    // All are read before any is opened: a typo in the last one leaves nothing behind.
    let urls: Vec<U> = urls.into_iter().collect();
    if urls.is_empty() {
        return Err(Error::invalid("no store URL is given"));
    }
    open_all(plan_urls(&urls)?).await
}

/// Opens the stores of a configuration as tiers, fastest first; one alone is opened as it is.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let config = serde_json::from_str(r#"{"tiers": [{"kind": "memory", "max_size": "256MB"}]}"#)?;
/// let cache = cache::open_config(&config).await?;
/// assert_eq!(cache.info().max_bytes, Some(256_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// [`Invalid`](cache_core::ErrorKind::Invalid), before anything is opened, without tiers, for an unknown
/// kind, what a kind does not take, names that are not unique, and what needs a feature that is off; else
/// what opening a store fails with.
///
/// # Cancel safety
///
/// As [`open`].
pub async fn open_config(config: &Config) -> Result<Cache> {
    if config.tiers.is_empty() {
        return Err(Error::invalid("the configuration has no tiers; there is at least one"));
    }
    let place = |number: usize, tier: &TierConfig| format!("tier {number} ({})", tier.kind);
    open_all(Plan::all(&config.tiers, place)?).await
}

/// Opens one store by its URL, as a [`Store`].
///
/// # Errors
///
/// As [`open`].
///
/// # Cancel safety
///
/// As [`open`].
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>> {
    open_stack(plan_urls(&[url])?).await
}

fn plan_urls<U: AsRef<str>>(urls: &[U]) -> Result<Vec<Plan>> {
    let config = Config::from_urls(urls)?;
    let place = |number: usize, _: &TierConfig| {
        let url = number.checked_sub(1).and_then(|at| urls.get(at)).map_or("", U::as_ref);
        format!("store URL {:?}", shown(url))
    };
    Plan::all(&config.tiers, place)
}

async fn open_all(plans: Vec<Plan>) -> Result<Cache> {
    open_stack(plans).await.map(Cache::new)
}

#[cfg(feature = "layered")]
async fn open_stack(mut plans: Vec<Plan>) -> Result<Arc<dyn Store>> {
    if plans.len() == 1 {
        return open_only(&mut plans).await;
    }
    let mut builder = cache_layered::LayeredStore::builder();
    let mut plans = plans.into_iter().peekable();
    while let Some(plan) = plans.next() {
        let (name, is_for_spill) = (plan.name.clone(), plan.is_for_spill);
        builder = if plans.peek().is_some_and(|next| next.is_for_spill) {
            builder.spilling_tier(name, plan.open_source()?)
        } else {
            builder.tier(name, plan.open().await?)
        };
        if is_for_spill {
            builder = builder.write(cache_layered::WritePolicy::Spill);
        }
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "layered"))]
async fn open_stack(mut plans: Vec<Plan>) -> Result<Arc<dyn Store>> {
    open_only(&mut plans).await
}

async fn open_only(plans: &mut Vec<Plan>) -> Result<Arc<dyn Store>> {
    match plans.pop() {
        Some(plan) => plan.open().await,
        None => Err(Error::invalid("no store is given")),
    }
}
