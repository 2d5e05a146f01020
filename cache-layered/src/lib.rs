//! A cache store that composes other stores into tiers, fastest first.
//!
//! A read asks the tiers in order and copies what a slower one has into the faster ones; a put goes
//! through to all; an eviction takes the entry from all. Any [`Store`](cache_core::Store) can be a
//! tier, another layered store too.
//!
//! | You want to  | Look at                                  |
//! |--------------|------------------------------------------|
//! | build tiers  | [`LayeredStore::builder`]                |
//! | say when a tier is written | [`WritePolicy`]            |
//! | know the rules | [`LayeredStore`]                       |
//!
//! ```
//! use std::sync::Arc;
//! use cache_core::{BlobName, Digest, Key, StoreExt};
//! use cache_layered::LayeredStore;
//! use cache_memory::{MemoryOptions, MemoryStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let fast = MemoryStore::open(MemoryOptions::default().with_max_bytes(1 << 20))?;
//! let slow = MemoryStore::open(MemoryOptions::default().with_max_bytes(1 << 30))?;
//! let store = LayeredStore::builder().tier("fast", Arc::new(fast)).tier("slow", Arc::new(slow)).build()?;
//! let key = Key::from(Digest::of("main.c"));
//! store.put_bytes(&key, "object code".into()).await?;
//! assert!(store.get_bytes(&key, &BlobName::DATA).await?.is_some());
//! # Ok::<(), cache_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! This crate knows no concrete backend.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod gather;
mod key_lock;
mod layered;
mod limbo;
mod merge;
mod policy;
mod promote;
mod read;
mod spill;
mod tee;
mod tier;
mod verify;
mod write;

pub use {layered::LayeredStore, policy::WritePolicy, tier::LayeredBuilder};
