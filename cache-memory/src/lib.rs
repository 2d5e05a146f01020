//! A cache store in memory, bounded by bytes.
//!
//! Use it alone for values that may go with the process, or as the fastest tier of a layered store.
//! A hit hands out the bytes that were put, shared and never copied.
//!
//! | You want to          | Look at           |
//! |----------------------|-------------------|
//! | open a store         | [`MemoryStore`]   |
//! | bound it             | [`MemoryOptions`] |
//! | choose what goes     | [`Policy`]        |
//!
//! ```
//! use cache_core::{BlobName, Digest, Key, StoreExt};
//! use cache_memory::{MemoryOptions, MemoryStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = MemoryStore::open(MemoryOptions::default().with_max_bytes(64 << 20))?;
//! let key = Key::from(Digest::of("main.c"));
//! store.put_bytes(&key, "object code".into()).await?;
//! assert_eq!(store.get_bytes(&key, &BlobName::DATA).await?.as_deref(), Some(b"object code".as_slice()));
//! # Ok::<(), cache_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! The bound is exact and holds at every instant: bytes of a stream are reserved before they are kept.
//! Which entries go first is a [`Policy`]; they go whole. This crate does no I/O and spawns nothing.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod account;
mod clock;
mod engine;
mod eviction;
mod index;
mod memory;
mod options;
mod policy;
mod put;
mod seeds;
mod shard;
mod slab;
mod slot;
mod space;
mod table;
mod ticker;

pub use {memory::MemoryStore, options::MemoryOptions, policy::Policy};
