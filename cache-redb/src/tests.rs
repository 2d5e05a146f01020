//! The store over a medium that can be copied, broken and made to fail.
#![expect(clippy::cast_possible_truncation, reason = "a test may fail")]

mod conformance;
mod crash;
mod damage;
mod faults;
mod golden;
mod large;
mod recovery;
mod rows;
mod writer;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cache_core::{BlobName, Digest, GetOptions, Key, PutBlob, PutEntry, Result, Store, SystemClock};
use futures::{StreamExt, stream};
use tokio::runtime::{Builder, Runtime};

use crate::{RedbOptions, RedbStore, memory_medium::MemoryMedium};

/// The blobs of an entry.
type Contents = BTreeMap<BlobName, Bytes>;

/// Whether far more is to be tried.
fn is_long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the one place where these tests look at the environment")]
    let long = std::env::var_os("CACHE_REDB_LONG");
    long.is_some_and(|value| value == "1")
}

/// Runs it on this thread's own runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

async fn open(medium: &MemoryMedium) -> Result<RedbStore> {
    open_as(medium, options()).await
}

async fn open_as(medium: &MemoryMedium, options: RedbOptions) -> Result<RedbStore> {
    RedbStore::open_on(Arc::new(medium.clone()), options, Arc::new(SystemClock)).await
}

fn options() -> RedbOptions {
    RedbOptions::new("memory")
}

/// Bytes that nobody else asked for, unless with the same seed.
fn bytes(seed: u64, len: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes.into()
}

fn key(namespace: &str, number: u64) -> Key {
    Key::new(namespace.parse().unwrap(), Digest::of(number.to_le_bytes()))
}

/// What is large as a stream, the rest in hand.
fn entry(contents: &Contents) -> PutEntry {
    contents.iter().fold(PutEntry::default(), |entry, (name, bytes)| {
        let blob = match bytes.len() {
            0..300_000 => PutBlob::Bytes(bytes.clone()),
            _ => {
                let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(bytes.slice_ref(piece))).collect();
                PutBlob::Stream { len: None, stream: stream::iter(pieces).boxed() }
            }
        };
        entry.with_blob(name.clone(), blob)
    })
}

/// Reads an entry, large blobs piece by piece.
async fn read(store: &RedbStore, key: &Key) -> Result<Option<Contents>> {
    let options = GetOptions::default().with_stream_above(300_000);
    let Some(found) = store.get_entry(key, options).await? else { return Ok(None) };
    let mut contents = Contents::new();
    for (name, blob) in found.blobs {
        contents.insert(name, blob.collect(u64::MAX).await?);
    }
    Ok(Some(contents))
}
