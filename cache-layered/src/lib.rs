//! A cache store that composes other stores into tiers, fastest first.
//!
//! A read asks the tiers in order and copies what a slower one has into the faster ones; a put goes
//! to all; an eviction takes the entry from all. A tier that is sick is left alone, and costs no
//! answer that another one has. Any [`Store`](cache_core::Store) can be a tier, another layered store too.
//!
//! | You want to                                        | Look at                            |
//! |----------------------------------------------------|------------------------------------|
//! | build tiers                                        | [`LayeredStore::builder`]          |
//! | know the rules                                     | [`LayeredStore`]                   |
//! | say what a tier is for                             | [`TierOptions`]                    |
//! | say when a tier is written: at once, behind, never | [`WritePolicy`]                    |
//! | say what comes up from slower tiers, and when      | [`Promotion`]                      |
//! | wait for a slow tier no longer than so long        | [`TierOptions::deadline`]          |
//! | leave a sick tier alone                            | [`BreakerOptions`]                 |
//! | have puts succeed although a tier fails            | [`Quorum`]                         |
//! | put right what is damaged, missing or old in a tier | [`LayeredStore::repair`]          |
//! | see how each tier does                             | [`TierMetrics`](cache_core::TierMetrics) in [`Metrics::as_tier`](cache_core::Metrics::as_tier) |
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

mod behind;
mod clean;
mod close;
mod fetch;
mod flush;
mod gather;
mod guard;
mod key_lock;
mod layered;
mod limbo;
mod merge;
mod policy;
mod promote;
mod quorum;
mod read;
mod repair;
mod role;
mod spill;
mod stream;
mod tally;
mod tee;
mod through;
mod tier;
mod verify;
mod write;

pub use {
    layered::LayeredStore,
    policy::WritePolicy,
    repair::{RepairOptions, RepairProgress, RepairReport, TierRepair},
    role::{BreakerOptions, Promotion, Quorum, TierOptions, WhenFull},
    tier::LayeredBuilder,
};
