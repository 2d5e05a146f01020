//! Keys, names and bytes to try a store with: the same in every run.
#![expect(clippy::expect_used, reason = "samples are constants that are known to be valid")]

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_core::{BlobName, ByteStream, Clock, Digest, Error, Key, Namespace, PutEntry, SystemClock};
use futures::{StreamExt, stream};

/// The blobs of an entry by name.
pub(crate) type Contents = BTreeMap<String, Bytes>;

pub(crate) fn digest(number: u64) -> Digest {
    Digest::of(format!("sample {number}"))
}

/// A digest in the root namespace.
pub(crate) fn key(number: u64) -> Key {
    digest(number).into()
}

pub(crate) fn key_in(namespace: &Namespace, number: u64) -> Key {
    Key::new(namespace.clone(), digest(number))
}

/// A digest with these first digits, then zeros.
pub(crate) fn digest_starting(digits: &str) -> Digest {
    format!("{digits:0<64}").parse().expect("hex digits")
}

pub(crate) fn namespace(path: &str) -> Namespace {
    path.parse().expect("a valid namespace")
}

pub(crate) fn name(text: &str) -> BlobName {
    BlobName::new(text).expect("a valid blob name")
}

/// `len` bytes that no other seed yields.
pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

pub(crate) fn blobs<const N: usize, T: Into<Bytes>>(blobs: [(&str, T); N]) -> Contents {
    blobs.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.into())).collect()
}

/// One blob named `data`.
pub(crate) fn data(bytes: impl Into<Bytes>) -> Contents {
    blobs([("data", bytes)])
}

pub(crate) fn size(contents: &Contents) -> u64 {
    contents.values().map(|bytes| bytes.len() as u64).sum()
}

pub(crate) fn entry(contents: &Contents) -> PutEntry {
    contents.iter().fold(PutEntry::default(), |entry, (text, bytes)| entry.with(name(text), bytes.clone()))
}

/// The bytes in pieces of at most `piece`.
pub(crate) fn pieces(bytes: &Bytes, piece: usize) -> Vec<Bytes> {
    (0..bytes.len()).step_by(piece).map(|at| bytes.slice(at..bytes.len().min(at + piece))).collect()
}

/// The bytes in three pieces or so.
pub(crate) fn stream_of(bytes: &Bytes) -> ByteStream {
    let pieces = pieces(bytes, bytes.len() / 3 + 1);
    stream::iter(pieces.into_iter().map(Ok)).boxed()
}

/// The bytes, and then an error.
pub(crate) fn broken_stream(bytes: &Bytes) -> ByteStream {
    let error = Error::new(cache_core::ErrorKind::Unavailable, "source", "read");
    stream_of(bytes).chain(stream::iter([Err(error)])).boxed()
}

/// The bytes, and then nothing, not even an end.
pub(crate) fn endless_stream(bytes: &Bytes) -> ByteStream {
    stream_of(bytes).chain(stream::pending()).boxed()
}

pub(crate) fn now() -> SystemTime {
    SystemClock.now()
}

/// So many hours ago, to the second: what every store can keep.
pub(crate) fn hours_ago(hours: u64) -> SystemTime {
    minutes_ago(60 * hours)
}

/// So many minutes ago, to the second.
pub(crate) fn minutes_ago(minutes: u64) -> SystemTime {
    let since_epoch = now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs() - minutes * 60)
}

/// Long enough for clocks that order accesses to tell two of them apart: they may tick every few milliseconds, and
/// late where a machine is busy. In pieces, each of which gives a clock that was kept from ticking its turn.
pub(crate) async fn pause() {
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
