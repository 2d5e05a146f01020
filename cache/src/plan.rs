//! What is to be opened, looked at as a whole before anything is.

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod bucket;

use std::sync::Arc;

#[cfg(any(feature = "disk", feature = "redb"))]
use cache_core::Metered;
use cache_core::{Error, Result, Store};

use crate::{TierConfig, config::contradiction};

/// A store that is described without a fault, and not opened yet.
pub(crate) struct Plan {
    pub(crate) name: String,
    backend: Backend,
    /// What it is for among other tiers.
    #[cfg(feature = "layered")]
    pub(crate) role: cache_layered::TierOptions,
}

enum Backend {
    /// Opened: that costs nothing and leaves nothing behind.
    #[cfg(feature = "memory")]
    Memory(cache_memory::MemoryStore),
    #[cfg(feature = "disk")]
    Disk(cache_disk::DiskOptions),
    #[cfg(feature = "redb")]
    Redb(cache_redb::RedbOptions),
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    Bucket(Box<bucket::Bucket>),
}

impl Plan {
    /// Plans all tiers, or says what is wrong with the first that has a fault. `place` says where a tier,
    /// counted from 1, is described.
    pub(crate) fn all(
        tiers: &[TierConfig],
        place: impl Fn(usize, &TierConfig) -> String,
    ) -> Result<Vec<Self>> {
        #[cfg(not(feature = "layered"))]
        if tiers.len() > 1 {
            let detail =
                "several tiers need the feature `layered` of the cache crate, which is off in this build";
            return Err(Error::invalid(detail));
        }
        let mut plans: Vec<Self> = Vec::new();
        for (at, tier) in tiers.iter().enumerate() {
            let refuse = |why: String| Error::invalid(format!("{}: {why}", place(at + 1, tier)));
            tier.check().map_err(&refuse)?;
            let before = tiers.get(..at).unwrap_or_default();
            let name = tier.name.clone().unwrap_or_else(|| {
                match before.iter().filter(|other| other.kind == tier.kind).count() {
                    0 => tier.kind.clone(),
                    same => format!("{}-{}", tier.kind, same + 1),
                }
            });
            if plans.iter().any(|other| other.name == name) {
                return Err(refuse(format!("two tiers are named {name:?}")));
            }
            if before.iter().any(|other| tier.is_at(other)) {
                return Err(refuse(format!("tier {name:?} is another tier's store")));
            }
            let backend = Backend::of(tier, refuse)?;
            let is_slowest = tiers.get(at + 1..).unwrap_or_default().iter().all(TierConfig::is_never_written);
            if is_slowest
                && !tier.is_never_written()
                && tier.is_volatile()
                && !before.iter().all(TierConfig::is_volatile)
            {
                let why = "ends with the process, and one before it does not: tiers stand fastest first";
                return Err(refuse(format!("the slowest tier {name:?} {why}")));
            }
            plans.push(Self {
                name,
                backend,
                #[cfg(feature = "layered")]
                role: role(tier),
            });
        }
        if let Some((at, why)) = contradiction(tiers) {
            let place = tiers.get(at).map_or_else(String::new, |tier| place(at + 1, tier));
            return Err(Error::invalid(format!("{place}: {why}")));
        }
        Ok(plans)
    }

    /// Opens the store, with its latencies measured but for memory, whose hits take less than that would.
    pub(crate) async fn open(self) -> Result<Arc<dyn Store>> {
        match self.backend {
            #[cfg(feature = "memory")]
            Backend::Memory(store) => Ok(Arc::new(store)),
            #[cfg(feature = "disk")]
            Backend::Disk(options) => Ok(Arc::new(Metered::new(cache_disk::DiskStore::open(options).await?))),
            #[cfg(feature = "redb")]
            Backend::Redb(options) => Ok(Arc::new(Metered::new(cache_redb::RedbStore::open(options).await?))),
            #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
            Backend::Bucket(bucket) => bucket.open().await,
        }
    }

    /// Opens the store as one that hands on what it evicts.
    #[cfg(feature = "layered")]
    pub(crate) fn open_source(self) -> Result<Arc<dyn cache_core::SpillSource>> {
        let Self { name, backend, .. } = self;
        backend.into_source().ok_or_else(|| {
            let detail = format!("tier {name:?} does not hand on what it evicts");
            Error::new(cache_core::ErrorKind::Unsupported, "cache", "open").with_detail(detail)
        })
    }
}

/// What a tier is for.
#[cfg(feature = "layered")]
fn role(tier: &TierConfig) -> cache_layered::TierOptions {
    use cache_layered::{BreakerOptions, Promotion, TierOptions, WhenFull, WritePolicy};

    let mut options = TierOptions::default();
    options.write = match tier.write.as_deref() {
        Some("behind") => WritePolicy::Behind,
        Some("spill") => WritePolicy::Spill,
        Some("never") => WritePolicy::Never,
        _ => WritePolicy::Through,
    };
    options.promotion = match tier.promotion.as_deref() {
        Some("background") => Promotion::Background,
        Some("never") => Promotion::Never,
        _ => Promotion::Inline,
    };
    options.when_full = match tier.when_full.as_deref() {
        Some("refuse") => WhenFull::Refuse,
        _ => WhenFull::Wait,
    };
    options.read = tier.read.unwrap_or(options.read);
    options.existence = tier.existence.unwrap_or(options.existence);
    options.max_entry_bytes = tier.max_entry.map(|size| size.bytes());
    options.deadline = tier.deadline;
    options.queue_bytes = tier.queue_size.map_or(options.queue_bytes, |size| size.bytes());
    let mut breaker = BreakerOptions::default();
    breaker.failures = tier.breaker_failures.unwrap_or(breaker.failures);
    breaker.pause = tier.breaker_pause.unwrap_or(breaker.pause);
    options.breaker = (breaker.failures > 0).then_some(breaker);
    options
}

impl Backend {
    fn of(tier: &TierConfig, refuse: impl Fn(String) -> Error) -> Result<Self> {
        match tier.kind.as_str() {
            #[cfg(feature = "memory")]
            "memory" => memory(tier)
                .map(Self::Memory)
                .map_err(|error| refuse(error.detail().unwrap_or_default().to_owned())),
            #[cfg(feature = "disk")]
            "disk" => Ok(Self::Disk(disk(tier))),
            #[cfg(feature = "redb")]
            "redb" => redb(tier).map(Self::Redb).map_err(refuse),
            #[cfg(feature = "s3")]
            "s3" => Ok(Self::Bucket(Box::new(bucket::Bucket::s3(tier)))),
            #[cfg(feature = "gcs")]
            "gcs" => Ok(Self::Bucket(Box::new(bucket::Bucket::gcs(tier)))),
            #[cfg(feature = "azure")]
            "azure" => Ok(Self::Bucket(Box::new(bucket::Bucket::azure(tier)))),
            kind => Err(refuse(format!("the feature `{kind}` of the cache crate is off in this build"))),
        }
    }
}

#[cfg(feature = "layered")]
impl Backend {
    fn into_source(self) -> Option<Arc<dyn cache_core::SpillSource>> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(store) => Some(Arc::new(store)),
            #[cfg(feature = "disk")]
            Self::Disk(_) => None,
            #[cfg(feature = "redb")]
            Self::Redb(_) => None,
            #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
            Self::Bucket(_) => None,
        }
    }
}

#[cfg(feature = "memory")]
fn memory(tier: &TierConfig) -> Result<cache_memory::MemoryStore> {
    use crate::Limit;

    let mut options = cache_memory::MemoryOptions::default();
    options.max_bytes = tier.max_size.map_or(options.max_bytes, Limit::max);
    options.max_entries = tier.max_entries.map_or(options.max_entries, Limit::max);
    options.max_blob_bytes = tier.max_blob.map_or(options.max_blob_bytes, Limit::max);
    if let Some(policy) = &tier.policy {
        options.policy = policy.parse()?;
    }
    cache_memory::MemoryStore::open(options)
}

#[cfg(feature = "disk")]
fn disk(tier: &TierConfig) -> cache_disk::DiskOptions {
    use crate::Limit;

    cache_disk::DiskOptions::new(tier.path.as_deref().unwrap_or_else(|| "".as_ref()))
        .with_max_bytes(tier.max_size.and_then(Limit::max))
        .with_max_blob_bytes(tier.max_blob.and_then(Limit::max))
        // What memory alone has, or what waits to be written, is one process's.
        .with_exclusive(tier.is_for_spill() || tier.is_written_behind())
}

#[cfg(feature = "redb")]
fn redb(tier: &TierConfig) -> Result<cache_redb::RedbOptions, String> {
    use crate::Limit;

    let mut options = cache_redb::RedbOptions::new(tier.path.as_deref().unwrap_or_else(|| "".as_ref()))
        .with_max_bytes(tier.max_size.and_then(Limit::max))
        .with_max_entries(tier.max_entries.and_then(Limit::max))
        .with_max_blob_bytes(tier.max_blob.and_then(Limit::max))
        .with_durable_puts(tier.durable_puts == Some(true))
        .with_read_only(tier.is_read_only());
    if options.max_entries == Some(0) {
        return Err("max_entries must be at least 1".into());
    }
    if let Some(size) = tier.cache_size {
        let bytes = usize::try_from(size.bytes());
        options.cache_bytes = bytes.map_err(|_| format!("cache_size: {size} are more than there can be"))?;
    }
    Ok(options)
}
