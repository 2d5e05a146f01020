//! Traits and value types that every cache backend and every cache user agree on.
//!
//! Depend on this crate to **write** a backend or a decorator. To **use** a cache, depend on the
//! `cache` facade, which opens stores and re-exports everything here.
//!
//! | You want to                          | Look at                                     |
//! |--------------------------------------|---------------------------------------------|
//! | read and write artifacts             | [`Cache`]                                   |
//! | write a backend                      | [`Store`], [`KeyManagement`], [`Envelope`]  |
//! | address an artifact                  | [`Digest`], [`Namespace`], [`Key`]          |
//! | do something around every operation  | [`OperationHook`], [`Hooked`]               |
//! | name an artifact by its inputs       | [`KeyBuilder`], [`Digest::of_serialize`]    |
//! | know why a call failed               | [`Error`], [`ErrorKind`]                    |
//!
//! A miss is a value (`Ok(None)`), never an error:
//!
//! ```
//! use cache_core::{BlobName, Digest, Key, Store, StoreExt};
//!
//! async fn size(store: &dyn Store, digest: Digest) -> cache_core::Result<usize> {
//!     let found = store.get_bytes(&Key::from(digest), &BlobName::DATA).await?;
//!     Ok(found.map_or(0, |bytes| bytes.len()))
//! }
//! # let _ = size;
//! ```
//!
//! This crate does no I/O.
#![doc(test(attr(deny(warnings), allow(dead_code))))]
#![cfg_attr(
    test,
    expect(clippy::duplicate_mod, reason = "the model checker builds shared work from its own locks")
)]

mod blob;
mod blob_name;
mod blocking;
mod byte_size;
mod cache;
#[cfg(feature = "calls")]
mod call;
mod canonical;
mod chain;
mod checksum;
mod clean;
mod clock;
mod codec;
mod component;
mod content;
mod copy;
mod digest;
mod entry;
mod envelope;
mod error;
mod ext;
mod flight;
mod forward;
mod hook;
mod info;
mod key;
mod key_builder;
mod keys;
mod latency;
mod metrics;
mod namespace;
mod options;
mod outcome;
mod pages;
mod prefix;
mod put;
mod range;
mod report;
mod resolve;
mod spill;
mod store;
mod stored_time;
#[cfg(test)]
mod toy;
mod typed_blob;
mod usage;
mod value;
mod verify;
mod wrap;

#[cfg(feature = "calls")]
pub use call::{Call, CallQuery, CallStore, CallTemplate, Datum, TransformReport};
#[cfg(feature = "json")]
pub use codec::Json;
#[cfg(feature = "msgpack")]
pub use codec::MessagePack;
#[cfg(feature = "postcard")]
pub use codec::Postcard;
#[cfg(feature = "zstd")]
pub use wrap::{CompressOptions, Compressed};
pub use {
    blob::{Blob, ByteStream, collect_capped},
    blob_name::BlobName,
    blocking::{BlockingEngine, BlockingTasks},
    byte_size::ByteSize,
    cache::{Cache, ComputeLimits, ComputeOptions, EntryHandle, TypedCache},
    chain::carried,
    checksum::{BLOCK_BYTES, Checksum},
    clean::{CleanPolicy, CleanReport, clean_by_listing},
    clock::{Clock, ManualClock, SystemClock},
    codec::{Codec, CodecId},
    content::verify_content,
    copy::{CopyOptions, CopyProgress, CopyReport, Overwrite},
    digest::{Digest, DigestWriter},
    entry::{BlobMeta, EntryMeta, EntryRead, Place},
    envelope::{Envelope, SealedIndex, Sealer},
    error::{Ambiguity, Error, ErrorKind, Result},
    ext::StoreExt,
    hook::{Guard, Intent, Limited, Operation, OperationHook, PerKeyLock, Serialized, Target, Traced},
    info::{Powers, StoreInfo},
    key::{Key, KeyRef, KeyView},
    key_builder::KeyBuilder,
    keys::KeyManagement,
    latency::Latency,
    metrics::{Baseline, BreakerState, Counters, Metrics, TierMetrics},
    namespace::Namespace,
    options::{GetOptions, ListOptions, PutMode, PutOptions},
    outcome::{PutOutcome, PutStatus, Refusal},
    pages::list_by_pages,
    prefix::DigestPrefix,
    put::{PutBlob, PutEntry},
    range::{ByteRange, slice_range},
    report::{ClearReport, CloseReport, FlushReport},
    spill::{EvictionSink, Handover, SpillSource},
    store::Store,
    stored_time::{decode_time, encode_time},
    usage::{Usage, usage_by_listing},
    value::ValueStore,
    verify::{Repair, VerifyOptions, VerifyProgress, VerifyReport, read_through, verify_by_listing},
    wrap::{Deadline, Hooked, Metered, ReadOnly, RetryOptions, Retrying, Verified},
};
