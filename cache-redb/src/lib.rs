//! A cache store in one database file: many small blobs, transactional, verified on every read.
//!
//! | You want to | Look at         |
//! |-------------|-----------------|
//! | open a file | [`RedbStore`]   |
//! | bound it    | [`RedbOptions`] |
//!
//! ```
//! use cache_core::{BlobName, Digest, Key, Store, StoreExt};
//! use cache_redb::{RedbOptions, RedbStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("features.redb");
//! let store = RedbStore::open(RedbOptions::new(&path).with_max_bytes(10_000_000_000)).await?;
//! let key = Key::from(Digest::of("user 17"));
//! store.put_bytes(&key, "features".into()).await?;
//! store.flush().await?; // from here on it survives a crash
//! assert_eq!(store.get_bytes(&key, &BlobName::DATA).await?.as_deref(), Some(b"features".as_slice()));
//! # Ok::<(), cache_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! One process at a time has the file open. Puts of many tasks are committed together; reads see the last commit and
//! wait for nobody.
//!
//! The database may panic where its file is damaged. Such panics are caught and taken for the damage that they are, but
//! not in a program that is built with `panic = "abort"`, which they end.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod batch;
mod checked_pages;
mod chunks;
mod clean;
mod closing;
mod cold;
mod compact;
mod contain;
mod cut;
mod engine;
mod file_medium;
mod format;
mod large_blob;
mod list;
mod lookup;
mod medium;
#[cfg(test)]
mod memory_medium;
mod nature;
mod opening;
mod options;
mod page_file;
mod place;
mod prepared;
mod queue;
mod read;
mod reading;
mod recency;
mod redb_store;
mod rows;
mod snapshot;
mod stage;
mod store;
mod stream;
mod stub;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod toy;
mod writer;

pub use {options::RedbOptions, redb_store::RedbStore};
