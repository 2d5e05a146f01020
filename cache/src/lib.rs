//! A cache for artifacts named by a digest: build outputs, compiled shaders, memoised results.
//!
//! This crate opens stores and re-exports what it takes to use them. Features pick the backends:
//!
//! | Feature   | URL                           | Keeps artifacts                                    |
//! |-----------|-------------------------------|----------------------------------------------------|
//! | `memory`  | `memory:?max_size=256MB`      | in this process, shared and never copied           |
//! | `disk`    | `disk:/abs/path?max_size=5GB` | in a directory that several processes may share    |
//! | `redb`    | `redb:/abs/path/file.redb`    | in one database file: millions of small ones       |
//! | `s3`      | `s3://bucket/prefix`          | in a bucket of S3, or of a server that speaks it   |
//! | `gcs`     | `gs://bucket/prefix`          | in a bucket of Google Cloud Storage                |
//! | `azure`   | `az://container/prefix?account=…` | in a container of Azure Blob Storage           |
//! | `layered` | several URLs                  | in tiers, fastest first                            |
//!
//! and what is built on top of them:
//!
//! | Feature                       | Adds                                                              |
//! |-------------------------------|-------------------------------------------------------------------|
//! | `json`, `msgpack`, `postcard` | codecs for typed values, see [`TypedCache`]                       |
//! | `calls`                       | recorded and memoised calls, see `CallStore`                      |
//! | `metrics`                     | [`Metrics`] handed to the recorder of the `metrics` crate         |
//! | `zstd`                        | the decorator `Compressed`                                        |
//!
//! `memory`, `disk`, `layered`, `json` and `calls` are on by default; `full` turns on everything there is.
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

mod config;
mod environment;
pub mod global;
mod kind;
mod limit;
mod open;
mod plan;
mod secret;
#[cfg(all(feature = "memory", feature = "disk", feature = "layered"))]
mod two_tiers;
mod url;

#[cfg(feature = "json")]
#[doc(no_inline)]
pub use cache_core::Json;
#[cfg(feature = "msgpack")]
#[doc(no_inline)]
pub use cache_core::MessagePack;
#[cfg(feature = "postcard")]
#[doc(no_inline)]
pub use cache_core::Postcard;
#[doc(no_inline)]
pub use cache_core::{
    Ambiguity, BLOCK_BYTES, Baseline, Blob, BlobMeta, BlobName, BlockingEngine, BlockingTasks, ByteRange,
    ByteSize, ByteStream, Cache, Checksum, CleanPolicy, CleanReport, ClearReport, Clock, CloseReport, Codec,
    CodecId, ComputeLimits, ComputeOptions, CopyOptions, CopyProgress, CopyReport, Counters, Deadline,
    Digest, DigestPrefix, DigestWriter, EntryHandle, EntryMeta, EntryRead, Envelope, Error, ErrorKind,
    FlushReport, GetOptions, Guard, Hooked, Intent, Key, KeyBuilder, KeyManagement, KeyRef, KeyView, Latency,
    Limited, ListOptions, ManualClock, Metered, Metrics, Namespace, Operation, OperationHook, Overwrite,
    PerKeyLock, Place, Powers, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, PutStatus, ReadOnly,
    Refusal, Repair, Result, RetryOptions, Retrying, SealedIndex, Sealer, Serialized, Store, StoreExt,
    StoreInfo, SystemClock, Target, Traced, TypedCache, Usage, ValueStore, Verified, VerifyOptions,
    VerifyProgress, VerifyReport, carried, clean_by_listing, collect_capped, list_by_pages, read_through,
    slice_range, usage_by_listing, verify_by_listing, verify_content,
};
#[cfg(feature = "calls")]
#[doc(no_inline)]
pub use cache_core::{Call, CallQuery, CallStore, CallTemplate, Datum, TransformReport};
#[cfg(feature = "zstd")]
#[doc(no_inline)]
pub use cache_core::{CompressOptions, Compressed};
#[cfg(feature = "disk")]
#[doc(no_inline)]
pub use cache_disk::{DiskOptions, DiskStore};
#[cfg(feature = "layered")]
#[doc(no_inline)]
pub use cache_layered::{
    BreakerOptions, LayeredBuilder, LayeredStore, Promotion, Quorum, RepairOptions, RepairProgress,
    RepairReport, TierOptions, TierRepair, WhenFull, WritePolicy,
};
#[cfg(feature = "memory")]
#[doc(no_inline)]
pub use cache_memory::{MemoryOptions, MemoryStore, Policy};
#[cfg(feature = "redb")]
#[doc(no_inline)]
pub use cache_redb::{RedbOptions, RedbStore};
#[cfg(feature = "azure")]
#[doc(no_inline)]
pub use cache_s3::AzureOptions;
#[cfg(feature = "gcs")]
#[doc(no_inline)]
pub use cache_s3::GcsOptions;
#[cfg(feature = "s3")]
#[doc(no_inline)]
pub use cache_s3::S3Options;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
#[doc(no_inline)]
pub use cache_s3::{S3Store, StoreOptions};
pub use config::{Config, QuorumConfig, TierConfig};
pub use environment::default_directory;
pub use limit::Limit;
#[cfg(feature = "layered")]
pub use open::open_layered;
pub use open::{open, open_config, open_store, open_tiers};
pub use secret::Secret;
#[cfg(all(feature = "memory", feature = "disk", feature = "layered"))]
pub use two_tiers::TwoTiers;

/// The examples of the project's front page.
#[cfg(all(doctest, feature = "memory", feature = "disk", feature = "layered", feature = "json"))]
#[doc = include_str!("../README.md")]
mod readme {}
