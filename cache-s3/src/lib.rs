//! A cache store in any object store: S3 and what speaks its language, Google Cloud Storage, Azure, or what you have.
//!
//! | You want to                            | Look at                                         |
//! |----------------------------------------|-------------------------------------------------|
//! | open a bucket                          | [`S3Store`]                                     |
//! | say which, and how to reach it         | [`S3Options`], [`GcsOptions`], [`AzureOptions`] |
//! | say how the store works in it          | [`StoreOptions`]                                |
//! | use an object store of your own        | [`S3Store::with_object_store`]                  |
//!
//! ```no_run
//! # #[cfg(feature = "s3")]
//! # async fn open() -> cache_core::Result<()> {
//! use cache_core::{BlobName, Digest, Key, StoreExt};
//! use cache_s3::{S3Options, S3Store, StoreOptions};
//!
//! let options = S3Options::new("build-cache").with_store(StoreOptions::default().with_prefix("team"));
//! let store = S3Store::open(options).await?;
//! let key = Key::from(Digest::of("main.c, -O2"));
//! store.put_bytes(&key, "object code".into()).await?; // durable, and seen by all
//! assert!(store.get_bytes(&key, &BlobName::DATA).await?.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! An entry is one object: a put is one request, and appears all at once. An entry of up to 1 MiB is read in one request,
//! a larger one in two; removing one is one, a listing one for every 1,000 entries. What is read is verified; what goes
//! wrong is an error that tells what to do, in bounded time, and never a miss.
//!
//! Puts replace what is there. Those that add to an entry ([`Merge`](cache_core::PutMode::Merge)) keep what others add at
//! the same time: always within one process, and across processes where the server honours conditions on puts, which the
//! power [`cross_process_merge`](cache_core::Powers) tells. An entry that goes up in parts is compared with what is there
//! right before its end: in that moment another process may be faster.
//!
//! Nothing is removed that a caller has not named, unless the store [owns](StoreOptions::owned) its prefix: on a bucket
//! that is shared have lifecycle rules of the bucket expire what is old. Ages go by when an entry was written to the
//! bucket, compared with this machine's clock.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "azure")]
mod azure_options;
mod budget;
mod clean;
mod client;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod endpoint;
mod engine;
mod failure;
mod fetch;
mod gate;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "gcs")]
mod gcs_options;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod http;
mod list;
mod locks;
mod object;
mod probe;
mod provider;
mod put;
mod read;
mod recent;
#[cfg(any(feature = "gcs", feature = "azure"))]
mod remote;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod s3_options;
mod s3_store;
mod secret;
mod store;
mod store_options;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "s3", feature = "gcs"))]
mod unfinished;
mod upload;
mod verified;

#[cfg(feature = "azure")]
pub use azure_options::AzureOptions;
#[cfg(feature = "gcs")]
pub use gcs_options::GcsOptions;
#[cfg(feature = "s3")]
pub use s3_options::S3Options;
pub use {s3_store::S3Store, secret::Secret, store_options::StoreOptions};

/// What errors call this store.
const STORE: &str = "s3";
