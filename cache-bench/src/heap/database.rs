use std::path::Path;

use cache_core::{Cache, Digest, ListOptions};
use futures::TryStreamExt;

use crate::{
    failure::Result,
    heap::{HeapCounters, stream::resident},
    subject::{databases::ours, files::service},
};

/// Mebibytes of the heap's peak beyond what was there before the store, and of all that ever was resident, when a
/// database is opened, and so many of its entries are listed and read.
pub(crate) fn count(dir: &Path, gets: usize, counters: &HeapCounters) -> Result<Vec<f64>> {
    let before = (counters.allocated)();
    let runtime = service()?;
    let cache = {
        let _entered = runtime.enter();
        ours::cache(dir)?
    };
    let asked = cache.clone();
    runtime.block_on(runtime.spawn(async move { read(&asked, gets).await }))??;
    let peak = (counters.peak)().saturating_sub(before);
    runtime.block_on(cache.close(None))?;
    Ok(vec![peak as f64 / f64::from(1 << 20), resident()? / 1024.0])
}

async fn read(cache: &Cache, gets: usize) -> Result<()> {
    let mut entries = cache.list(ListOptions::default().with_limit(gets))?;
    while let Some(entry) = entries.try_next().await? {
        let digest: Digest = entry.key.digest;
        if cache.get(digest).await?.is_none() {
            return Err("a get missed".into());
        }
    }
    Ok(())
}
