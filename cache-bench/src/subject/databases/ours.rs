use std::{path::Path, sync::Arc};

use cache_core::{Cache, Store};
use cache_redb::{RedbOptions, RedbStore};
use tokio::runtime::Handle;

use crate::{failure::Result, subject::files::ours::StoreAlone};

/// A store without limits in a directory.
pub(crate) fn options(dir: &Path) -> RedbOptions {
    RedbOptions::new(dir.join("cache.redb"))
}

/// A store, by the runtime that this thread has entered.
pub(crate) fn open(options: RedbOptions) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Handle::current().block_on(RedbStore::open(options))?))
}

/// What applications hold.
pub(crate) fn cache(dir: &Path) -> Result<Cache> {
    Ok(Cache::new(open(options(dir))?))
}

/// The same, each put durable when it returns.
pub(crate) fn durable(dir: &Path) -> Result<Cache> {
    Ok(Cache::new(open(options(dir).with_durable_puts(true))?))
}

/// The store alone.
pub(crate) fn store(dir: &Path) -> Result<StoreAlone> {
    Ok(StoreAlone(open(options(dir))?))
}
