use std::sync::Arc;

use cache_core::{Cache, Error, Result, Store};

use crate::{Config, QuorumConfig, TierConfig, config::out_of_reach, plan::Plan, url::shown};

/// Opens one store by its URL.
///
/// | URL                    | Options                                                                        |
/// |------------------------|--------------------------------------------------------------------------------|
/// | `memory:`              | `max_size` (2 GB if absent), `max_entries`, `max_blob`, `policy`               |
/// | `disk:/absolute/path`  | `max_size`, `max_blob`                                                         |
/// | `redb:/absolute/file`  | `max_size`, `max_entries`, `max_blob`, `cache_size` (64 MiB if absent), `durable_puts`, `read_only` |
/// | `s3://bucket/prefix`   | `region`, `endpoint`, `virtual_hosted`, `allow_http`, `auto_create`, `anonymous`, `bulk_delete` and those of all buckets |
/// | `gs://bucket/prefix`   | `endpoint`, `allow_http`, `anonymous`, `service_account_path` and those of all buckets |
/// | `az://container/prefix` | `account` or `emulator`, `endpoint`, `allow_http`, `anonymous` and those of all buckets |
///
/// All buckets take `max_size`, which needs `owned`, `max_blob`, `timeout` (30 s), `connect_timeout` (5 s), `retries` (3),
/// `min_rate` (1 MiB a second), `part_size` (8 MiB), `concurrent_parts` (4), `upload_age` (24 h) and `conditional_puts`;
/// [`TierConfig`] says what they mean. Credentials are never part of a URL: they are those of the environment, or of
/// a [`TierConfig`]. Durations are text such as `30s` or `1m 30s`.
///
/// Where several stand, all take what says what a tier is for, see [`open_tiers`]: `write`, `read`, `existence`,
/// `promotion`, `max_entry`, `deadline`, `queue_size` (64 MiB), `when_full`, `breaker_failures` (5) and
/// `breaker_pause` (5 s). [`TierConfig`] says what they mean.
///
/// Sizes are a [`ByteSize`](cache_core::ByteSize) such as `256MB`, or `unlimited`; a policy is `tiny-lfu`,
/// the default, `lru`, `lfu` or `unbounded`. Characters with a meaning in URLs, such as `?`, `#`, `%`, are
/// written percent-encoded in paths. What is `true` or `false` is `false` by default, but for `bulk_delete`, `read` and `existence`.
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
/// Tiers are named by their scheme, a second one of a kind `disk-2` and so on. `write=behind`
/// has a put return before it is written there; `write=never` is for the slowest tier, which is only read. A put goes to
/// every other tier, but for one with `write=spill`, such as `["memory:?max_size=1GB", "disk:/var/cache/spill?write=spill"]`: it gets
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
    open_all(plan_urls(&urls)?, None).await
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
    open_all(plan_config(config)?, config.quorum).await
}

/// Opens the stores of a configuration as a [`LayeredStore`](crate::LayeredStore), also one alone: for what only a stack
/// has, such as [`repair`](crate::LayeredStore::repair).
///
/// ```
/// # #[cfg(feature = "memory")]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use cache::{Cache, Namespace, RepairOptions};
///
/// let config = serde_json::from_str(r#"{"tiers": [{"kind": "memory"}, {"kind": "memory", "name": "slow"}]}"#)?;
/// let stack = cache::open_layered(&config).await?;
/// let cache = Cache::new(std::sync::Arc::new(stack.clone()));
/// cache.put(cache::Digest::of("inputs"), "output").await?;
/// let report = stack.repair(&Namespace::root(), &RepairOptions::default()).await?;
/// assert!(report.is_complete());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// As [`open_config`].
///
/// # Cancel safety
///
/// As [`open`].
#[cfg(feature = "layered")]
pub async fn open_layered(config: &Config) -> Result<cache_layered::LayeredStore> {
    build_stack(plan_config(config)?, config.quorum).await
}

fn plan_config(config: &Config) -> Result<Vec<Plan>> {
    if config.tiers.is_empty() {
        return Err(Error::invalid("the configuration has no tiers; there is at least one"));
    }
    let place = |number: usize, tier: &TierConfig| format!("tier {number} ({})", tier.kind);
    let plans = Plan::all(&config.tiers, place)?;
    match out_of_reach(config.quorum, &config.tiers) {
        Some(why) => Err(Error::invalid(why)),
        None => Ok(plans),
    }
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
    open_stack(plan_urls(&[url])?, None).await
}

/// Opens one store that is described.
#[cfg(all(feature = "memory", feature = "disk", feature = "layered"))]
pub(crate) async fn open_tier(tier: TierConfig) -> Result<Arc<dyn Store>> {
    let place = |_: usize, tier: &TierConfig| tier.kind.clone();
    open_stack(Plan::all(&[tier], place)?, None).await
}

fn plan_urls<U: AsRef<str>>(urls: &[U]) -> Result<Vec<Plan>> {
    let config = Config::from_urls(urls)?;
    let place = |number: usize, _: &TierConfig| {
        let url = number.checked_sub(1).and_then(|at| urls.get(at)).map_or("", U::as_ref);
        format!("store URL {:?}", shown(url))
    };
    Plan::all(&config.tiers, place)
}

async fn open_all(plans: Vec<Plan>, quorum: Option<QuorumConfig>) -> Result<Cache> {
    open_stack(plans, quorum).await.map(Cache::new)
}

#[cfg(feature = "layered")]
async fn open_stack(mut plans: Vec<Plan>, quorum: Option<QuorumConfig>) -> Result<Arc<dyn Store>> {
    if plans.len() == 1 {
        return open_only(&mut plans).await;
    }
    Ok(Arc::new(build_stack(plans, quorum).await?))
}

#[cfg(feature = "layered")]
async fn build_stack(plans: Vec<Plan>, quorum: Option<QuorumConfig>) -> Result<cache_layered::LayeredStore> {
    let mut builder = cache_layered::LayeredStore::builder();
    let mut plans = plans.into_iter().peekable();
    while let Some(plan) = plans.next() {
        let (name, role) = (plan.name.clone(), plan.role.clone());
        let is_above_spill =
            plans.peek().is_some_and(|next| next.role.write == cache_layered::WritePolicy::Spill);
        builder = if is_above_spill {
            builder.spilling_tier(name, plan.open_source()?)
        } else {
            builder.tier(name, plan.open().await?)
        };
        builder = builder.options(role);
    }
    builder.quorum(quorum_of(quorum)).build()
}

#[cfg(feature = "layered")]
fn quorum_of(quorum: Option<QuorumConfig>) -> cache_layered::Quorum {
    match quorum {
        Some(QuorumConfig::AtLeast(least)) => cache_layered::Quorum::AtLeast(least),
        Some(QuorumConfig::All) | None => cache_layered::Quorum::All,
    }
}

#[cfg(not(feature = "layered"))]
async fn open_stack(mut plans: Vec<Plan>, _quorum: Option<QuorumConfig>) -> Result<Arc<dyn Store>> {
    open_only(&mut plans).await
}

async fn open_only(plans: &mut Vec<Plan>) -> Result<Arc<dyn Store>> {
    match plans.pop() {
        Some(plan) => plan.open().await,
        None => Err(Error::invalid("no store is given")),
    }
}
