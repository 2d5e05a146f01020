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
    let urls: Vec<StoreUrl> =
        urls.into_iter().map(|url| StoreUrl::parse(url.as_ref())).collect::<Result<_>>()?;
    let mut tiers = Vec::new();
    for url in urls {
        let kind = url.scheme.clone();
        tiers.push((kind, open_url(url).await?));
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
    open_url(StoreUrl::parse(url)?).await
}

async fn open_url(url: StoreUrl) -> Result<Arc<dyn Store>> {
    if url.scheme == "memory" { memory(url) } else { disk(url).await }
}

fn memory(mut url: StoreUrl) -> Result<Arc<dyn Store>> {
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
        Ok(Arc::new(cache_memory::MemoryStore::open(options)?))
    }
    #[cfg(not(feature = "memory"))]
    {
        _ = (max_bytes, max_entries, max_blob_bytes);
        Err(feature_is_off(&url, "memory"))
    }
}

async fn disk(mut url: StoreUrl) -> Result<Arc<dyn Store>> {
    let (max_bytes, max_blob_bytes) = (url.take_size("max_size")?, url.take_size("max_blob")?);
    url.finish(&["max_size", "max_blob"])?;
    if !url.path.is_absolute() {
        return Err(url.refuse("disk: takes an absolute path, such as disk:/var/cache/build"));
    }
    #[cfg(feature = "disk")]
    {
        let options = cache_disk::DiskOptions::new(&url.path)
            .with_max_bytes(max_bytes.flatten())
            .with_max_blob_bytes(max_blob_bytes.flatten());
        Ok(Arc::new(cache_disk::DiskStore::open(options).await?))
    }
    #[cfg(not(feature = "disk"))]
    {
        _ = (max_bytes, max_blob_bytes);
        Err(feature_is_off(&url, "disk"))
    }
}

#[cfg(not(all(feature = "memory", feature = "disk")))]
fn feature_is_off(url: &StoreUrl, feature: &str) -> Error {
    url.refuse(format!("the feature `{feature}` of the cache crate is off in this build"))
}

fn stack(mut tiers: Vec<(String, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    match tiers.len() {
        0 => Err(Error::invalid("no store URL is given")),
        1 => tiers.pop().map(|(_, store)| store).ok_or_else(|| Error::invalid("no store URL is given")),
        _ => layered(tiers),
    }
}

#[cfg(feature = "layered")]
fn layered(tiers: Vec<(String, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    let mut builder = cache_layered::LayeredStore::builder();
    let mut seen: Vec<String> = Vec::new();
    for (kind, store) in tiers {
        let same = seen.iter().filter(|other| **other == kind).count();
        let name = if same == 0 { kind.clone() } else { format!("{kind}-{}", same + 1) };
        builder = builder.tier(name, store);
        seen.push(kind);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(not(feature = "layered"))]
fn layered(_tiers: Vec<(String, Arc<dyn Store>)>) -> Result<Arc<dyn Store>> {
    Err(Error::invalid(
        "several store URLs need the feature `layered` of the cache crate, which is off in this build",
    ))
}
