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

mod blob;
mod blob_name;
mod byte_size;
mod cache;
mod checksum;
mod clean;
mod clock;
mod component;
mod content;
mod digest;
mod entry;
mod envelope;
mod error;
mod ext;
mod forward;
mod info;
mod key;
mod keys;
mod metrics;
mod namespace;
mod options;
mod prefix;
mod put;
mod range;
mod report;
mod resolve;
mod store;
#[cfg(test)]
mod toy;
mod usage;
mod wrap;

pub use {
    blob::{Blob, ByteStream, collect_capped},
    blob_name::BlobName,
    byte_size::ByteSize,
    cache::{Cache, EntryHandle},
    checksum::{BLOCK_BYTES, Checksum},
    clean::{CleanPolicy, CleanReport, clean_by_listing},
    clock::{Clock, ManualClock, SystemClock},
    content::verify_content,
    digest::{Digest, DigestWriter},
    entry::{BlobMeta, EntryMeta, EntryRead, Place},
    envelope::{Envelope, SealedIndex, Sealer},
    error::{Ambiguity, Error, ErrorKind, Result},
    ext::StoreExt,
    info::{Powers, StoreInfo},
    key::{Key, KeyRef},
    keys::KeyManagement,
    metrics::{Counters, Metrics},
    namespace::Namespace,
    options::{GetOptions, ListOptions, PutMode, PutOptions},
    prefix::DigestPrefix,
    put::{PutBlob, PutEntry, PutOutcome, PutStatus, Refusal},
    range::{ByteRange, slice_range},
    report::{CloseReport, FlushReport},
    store::Store,
    usage::{Usage, usage_by_listing},
    wrap::Deadline,
};
