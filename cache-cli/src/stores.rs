//! Which stores a command works on, and for how long.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use cache::Cache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::{Outcome, args::Shared, environment, failure::Failure};

/// How long a command that is done waits for the store's own background work.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// What may stand in the path of a URL as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URLs of the stores that `shared` asks for.
pub(crate) fn urls(shared: &Shared) -> Result<Vec<String>, Failure> {
    if !shared.store.is_empty() {
        return Ok(shared.store.clone());
    }
    match environment::stores()? {
        Some(urls) => Ok(urls),
        None => default_stores(),
    }
}

/// The URLs that a verb was given, or else those that `shared` asks for.
pub(crate) fn chosen(given: &[String], shared: &Shared) -> Result<Vec<String>, Failure> {
    match (given.is_empty(), shared.store.is_empty()) {
        (true, _) => urls(shared),
        (false, true) => Ok(given.to_vec()),
        (false, false) => Err(Failure::because("give the store either as URLs or with --store")),
    }
}

/// Refuses a store in a directory or a file that is not there, which opening it would make.
pub(crate) async fn must_exist(url: &str) -> Result<(), Failure> {
    let config = cache::Config::from_urls([url])?;
    for path in config.tiers.iter().filter_map(|tier| tier.path.as_deref()) {
        match tokio::fs::metadata(path).await {
            Ok(_) => {}
            Err(error) => return Err(Failure::io(format!("cannot copy from {}", path.display()), &error)),
        }
    }
    Ok(())
}

/// Opens what `shared` asks for.
pub(crate) async fn open(shared: &Shared) -> Result<Cache, Failure> {
    let mut cache = cache::open_tiers(urls(shared)?).await?;
    for part in &shared.namespace {
        cache = cache.namespace(part)?;
    }
    Ok(cache)
}

/// Opens, runs `verb`, closes.
pub(crate) async fn with_cache(
    shared: &Shared,
    verb: impl AsyncFnOnce(&Cache) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let cache = open(shared).await?;
    let outcome = verb(&cache).await;
    let closed = close(&cache).await;
    let outcome = outcome?;
    closed.map(|()| outcome)
}

/// Closes the store.
pub(crate) async fn close(cache: &Cache) -> Result<(), Failure> {
    cache.close(Some(CLOSE_WITHIN)).await?;
    Ok(())
}

/// Memory over the user's cache directory.
fn default_stores() -> Result<Vec<String>, Failure> {
    let directory = cache::default_directory().ok_or_else(|| {
        Failure::because("no store: give --store, or set CACHE_STORE, XDG_CACHE_HOME or HOME")
    })?;
    // Without double slashes, which would begin a host in a URL.
    let directory: PathBuf = directory.components().collect();
    Ok(vec!["memory:?max_size=256MB".to_owned(), disk_url(&directory)])
}

fn disk_url(directory: &Path) -> String {
    format!("disk:{}", percent_encode(directory.as_os_str().as_bytes(), PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_directory_stays_one_path_in_the_url() {
        assert_eq!(disk_url(Path::new("/srv/a b/100%?#x")), "disk:/srv/a%20b/100%25%3F%23x");
        assert_eq!(disk_url(Path::new("/var/cache-1/~x")), "disk:/var/cache-1/~x");
    }
}
