//! A cache for artifacts named by a digest: build outputs, compiled shaders, memoised results.
//!
//! This crate opens stores and re-exports what it takes to use them. Features pick the backends:
//!
//! | Feature   | URL                           | Keeps artifacts                                    |
//! |-----------|-------------------------------|----------------------------------------------------|
//! | `memory`  | `memory:?max_size=256MB`      | in this process, shared and never copied           |
//! | `disk`    | `disk:/abs/path?max_size=5GB` | in a directory that several processes may share    |
//! | `layered` | several URLs                  | in tiers, fastest first                            |
//!
//! All three are on by default; `full` turns on everything there is.
//!
//! ```
//! # #[cfg(feature = "memory")]
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use cache::Digest;
//!
//! let cache = cache::open("memory:?max_size=64MiB").await?.namespace("compile")?;
//! let digest = Digest::of("main.c -O2");
//! assert_eq!(cache.get(digest).await?, None);
//! cache.put(digest, "object code").await?;
//! assert_eq!(cache.get(digest).await?.as_deref(), Some(b"object code".as_slice()));
//! # Ok::<(), cache::Error>(())
//! # }).unwrap();
//! ```
//!
//! To write a backend of your own, depend on `cache-core`, and prove it with `cache-conformance`.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod open;
mod url;

#[doc(no_inline)]
pub use cache_core::{
    Ambiguity, BLOCK_BYTES, Blob, BlobMeta, BlobName, ByteRange, ByteSize, ByteStream, Cache, Checksum,
    CleanPolicy, CleanReport, Clock, CloseReport, Counters, Deadline, Digest, DigestPrefix, DigestWriter,
    EntryHandle, EntryMeta, EntryRead, Envelope, Error, ErrorKind, FlushReport, GetOptions, Key,
    KeyManagement, KeyRef, ListOptions, ManualClock, Metrics, Namespace, Place, Powers, PutBlob, PutEntry,
    PutMode, PutOptions, PutOutcome, PutStatus, Refusal, Result, SealedIndex, Sealer, Store, StoreExt,
    StoreInfo, SystemClock, Usage, clean_by_listing, collect_capped, slice_range, usage_by_listing,
    verify_content,
};
#[cfg(feature = "disk")]
#[doc(no_inline)]
pub use cache_disk::{DiskOptions, DiskStore};
#[cfg(feature = "layered")]
#[doc(no_inline)]
pub use cache_layered::{LayeredBuilder, LayeredStore};
#[cfg(feature = "memory")]
#[doc(no_inline)]
pub use cache_memory::{MemoryOptions, MemoryStore};
pub use open::{open, open_store, open_tiers};

/// The examples of the project's front page.
#[cfg(all(doctest, feature = "memory", feature = "disk", feature = "layered"))]
#[doc = include_str!("../README.md")]
mod readme {}
