//! The store in a database file against the conformance suite, and what only it promises.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use cache_core::{Digest, Key};
use cache_redb::{RedbOptions, RedbStore};

mod budget;
mod compaction;
mod conformance;
mod open;
#[cfg(unix)]
mod processes;
mod recency;
mod strangers;
mod stress;

async fn open(path: &Path) -> RedbStore {
    RedbStore::open(RedbOptions::new(path)).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}
