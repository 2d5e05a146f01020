//! The disk store against the conformance suite, and what only it promises.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may fail"
)]

use std::path::{Path, PathBuf};

use cache_core::{BlobName, Digest, Key};
use cache_disk::{DiskOptions, DiskStore};

mod budget;
mod cancel;
mod clear;
mod clock;
mod conformance;
mod contains;
mod damage;
mod directory;
mod hostile;
mod hygiene;
mod index;
mod links;
mod planted;
mod quarantine;
mod streams;
mod temporary;

async fn open(dir: &Path) -> DiskStore {
    DiskStore::open(DiskOptions::new(dir)).await.unwrap()
}

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

/// Where the documented layout puts an entry of the root namespace.
fn entry_path(dir: &Path, key: &Key) -> PathBuf {
    let digits = key.digest.to_string();
    dir.join(&digits[..2]).join(digits)
}

fn blob_path(dir: &Path, key: &Key) -> PathBuf {
    entry_path(dir, key).join(BlobName::DATA.encoded())
}
