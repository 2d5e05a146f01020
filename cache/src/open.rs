use std::sync::Arc;

use cache_core::{Cache, Error, Result, Store};

use crate::url::StoreUrl;

/// Opens one store by its URL.
///
/// | URL                    | Options                                                                        |
/// |------------------------|--------------------------------------------------------------------------------|
/// | `memory:`              | `max_size` (2 GB if absent), `max_entries`, `max_blob`                         |
/// | `disk:/absolute/path`  | `max_size`, `max_blob`                                                         |
///
/// Sizes are a [`ByteSize`](cache_core::ByteSize) such as `256MB`, or `unlimited`. Characters with a
/// meaning in URLs, such as `?`, `#`, `%`, are written percent-encoded in paths.
///
/// # Errors
///
/// [`Invalid`](cache_core::ErrorKind::Invalid) for a URL that is malformed, has an unknown scheme or
/// option, or names a backend whose feature is off; else what opening the store fails with.
///
/// # Cancel safety
///
/// Dropping the future may leave an empty directory behind, nothing else.
pub async fn open(url: &str) -> Result<Cache> {
    open_tiers([url]).await
}

/// Opens several stores as tiers, fastest first; one URL opens that store alone.
///
/// Tiers are named by their scheme, a second one of a kind `disk-2` and so on.
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
    let plans: Vec<Plan> = urls.into_iter().map(|url| Plan::read(url.as_ref())).collect::<Result<_>>()?;
    if plans.is_empty() {
        return Err(Error::invalid("no store URL is given"));
    }
    #[cfg(not(feature = "layered"))]
    if plans.len() > 1 {
        let detail =
            "several store URLs need the feature `layered` of the cache crate, which is off in this build";
        return Err(Error::invalid(detail));
    }
    let mut tiers = Vec::new();
    for plan in plans {
        tiers.push((plan.kind(), plan.open().await?));
    }
    stack(tiers).map(Cache::new)
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
    Plan::read(url)?.open().await
}

/// A store that a URL asks for, and nothing is opened yet.
enum Plan {
    #[cfg(feature = "memory")]
    Memory(cache_memory::MemoryOptions),
    #[cfg(feature = "disk")]
    Disk(cache_disk::DiskOptions),
}

impl Plan {
    fn read(text: &str) -> Result<Self> {
        let url = StoreUrl::parse(text)?;
        if url.scheme == "memory" { Self::memory(url) } else { Self::disk(url) }
    }

    fn memory(mut url: StoreUrl) -> Result<Self> {
        let (max_bytes, max_entries) = (url.take_size("max_size")?, url.take_count("max_entries")?);
        let max_blob_bytes = url.take_size("max_blob")?;
        url.finish(&["max_size", "max_entries", "max_blob"])?;
        if !url.path.as_os_str().is_empty() {
            return Err(url.refuse("memory: has no path"));
        }
        #[cfg(feature = "memory")]
        {
            let mut options = cache_memory::MemoryOptions::default();
            options.max_bytes = max_bytes.unwrap_or(options.max_bytes);
            options.max_entries = max_entries.unwrap_or(options.max_entries);
            options.max_blob_bytes = max_blob_bytes.unwrap_or(options.max_blob_bytes);
            Ok(Self::Memory(options))
        }
        #[cfg(not(feature = "memory"))]
        {
            _ = (max_bytes, max_entries, max_blob_bytes);
            Err(feature_is_off(&url, "memory"))
        }
    }

    fn disk(mut url: StoreUrl) -> Result<Self> {
        let (max_bytes, max_blob_bytes) = (url.take_size("max_size")?, url.take_size("max_blob")?);
        url.finish(&["max_size", "max_blob"])?;
        if !url.path.is_absolute() || url.path.parent().is_none() {
            return Err(url.refuse("disk: takes an absolute path, such as disk:/var/cache/build"));
        }
        #[cfg(feature = "disk")]
        {
            let options = cache_disk::DiskOptions::new(&url.path)
                .with_max_bytes(max_bytes.flatten())
                .with_max_blob_bytes(max_blob_bytes.flatten());
            Ok(Self::Disk(options))
        }
        #[cfg(not(feature = "disk"))]
        {
            _ = (max_bytes, max_blob_bytes);
            Err(feature_is_off(&url, "disk"))
        }
    }

    fn kind(&self) -> &'static str {
        match *self {
            #[cfg(feature = "memory")]
            Self::Memory(_) => "memory",
            #[cfg(feature = "disk")]
            Self::Disk(_) => "disk",
        }
    }

    async fn open(self) -> Result<Arc<dyn Store>> {
        match self {
            #[cfg(feature = "memory")]
            Self::Memory(options) => Ok(Arc::new(cache_memory::MemoryStore::open(options)?)),
            #[cfg(feature = "disk")]
            Self::Disk(options) => Ok(Arc::new(cache_disk::DiskStore::open(options).await?)),
        }
    }
}

#[cfg(not(all(feature = "memory", feature = "disk")))]
fn feature_is_off(url: &StoreUrl, feature: &str) -> Error {
    url.refuse(format!("the feature `{feature}` of the cache crate is off in this build"))
}

#[cfg(feature = "layered")]
fn stack(mut tiers: Vec<(&'static str, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    if tiers.len() == 1 {
        return only(&mut tiers);
    }
    let mut builder = cache_layered::LayeredStore::builder();
    let mut seen: Vec<&str> = Vec::new();
    for (kind, store) in tiers {
        let same = seen.iter().filter(|other| **other == kind).count();
        let name = if same == 0 { kind.to_owned() } else { format!("{kind}-{}", same + 1) };
        builder = builder.tier(name, store);
        seen.push(kind);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "layered"))]
fn stack(mut tiers: Vec<(&'static str, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    only(&mut tiers)
}

fn only(tiers: &mut Vec<(&'static str, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    tiers.pop().map(|(_, store)| store).ok_or_else(|| Error::invalid("no store URL is given"))
}
