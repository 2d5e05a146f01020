//! A cache store in one directory: crash-safe, verified on every read, shared by processes.
//!
//! | You want to      | Look at         |
//! |------------------|-----------------|
//! | open a directory | [`DiskStore`]   |
//! | bound it         | [`DiskOptions`] |
//! | have a scratch store | [`DiskStore::temporary`] |
//!
//! ```
//! use cache_core::{BlobName, Digest, Key, Store, StoreExt};
//! use cache_disk::{DiskOptions, DiskStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path().join("build-cache");
//! let store = DiskStore::open(DiskOptions::new(&dir).with_max_bytes(50_000_000_000)).await?;
//! let key = Key::from(Digest::of("main.c"));
//! store.put_bytes(&key, "object code".into()).await?;
//! store.flush().await?; // from here on it survives a crash
//! assert_eq!(store.get_bytes(&key, &BlobName::DATA).await?.as_deref(), Some(b"object code".as_slice()));
//! # Ok::<(), cache_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! An entry is the directory `<dir>/<~namespace…>/<hh>/<64 hex digits>` with one sealed file per blob,
//! `~data` and the like. It is prepared aside, renamed into place and never changed afterwards: a put over
//! an entry exchanges directories. `ls` shows everything; files that the store did not write are left
//! alone. Entries that turn out to be damaged are kept aside in `.quarantine`, some of them, named by the time and
//! their digests.
#![doc(test(attr(deny(warnings), allow(dead_code))))]
#![cfg(unix)]

mod at;
mod budget;
mod cancel;
mod clean;
mod damage;
mod disk;
mod entry_dir;
mod entry_path;
mod evict;
mod index;
mod inline;
mod options;
mod page_cache;
mod pass;
mod pending;
mod prune;
mod publish;
mod put;
mod quarantine;
mod queue;
mod read;
mod recency;
mod remove;
mod root;
mod scan;
mod session;
mod stage;
mod staged_blob;
mod store;
mod stream;
mod stripe;
mod temporary;
mod tree;
mod victims;

pub use {disk::DiskStore, options::DiskOptions};
