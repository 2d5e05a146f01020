//! What the reference store keeps its entries on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{BlobName, Envelope, Error, ErrorKind, Key, Result, Sealer};

use crate::{Crash, Damage, Failures};

/// A disk in memory: it keeps sealed blobs, loses what was not flushed, rots and fails as it is told.
#[derive(Debug, Default)]
pub(super) struct Medium {
    state: Mutex<State>,
    operations: AtomicU64,
    /// The number of the operation that fails.
    fails_at: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<Key, Held>,
    /// What survives the end of the process.
    flushed: BTreeMap<Key, Held>,
    /// Counts uses, as clocks may stand still between two of them.
    pub(super) uses: u64,
    /// Counts deaths: a store of an earlier life reaches nothing.
    pub(super) lives: u64,
    /// How many stores have it open.
    pub(super) opened: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) blobs: BTreeMap<BlobName, Sealed>,
    /// Of each write another one.
    pub(super) version: u64,
    /// When this version came here, whatever time it was given.
    pub(super) written: SystemTime,
    pub(super) use_number: u64,
    pub(super) accessed: SystemTime,
    pub(super) accesses: u64,
}

/// A blob as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) sealed: Bytes,
    pub(super) len: u64,
    pub(super) created: SystemTime,
}

/// A blob on its way in.
pub(super) struct Sealing {
    sealer: Sealer,
    sealed: Vec<u8>,
    len: u64,
}

impl Sealing {
    pub(super) fn new(key: &Key, name: &BlobName) -> Self {
        let sealer = Sealer::new(key, name);
        let sealed = sealer.header().to_vec();
        Self { sealer, sealed, len: 0 }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        // Room for an eighth more at most, as doubling it would take twice what is kept.
        if self.sealed.capacity() - self.sealed.len() < piece.len() {
            self.sealed.reserve_exact(piece.len().max(self.sealed.len() / 8));
        }
        self.sealer.update(piece);
        self.sealed.extend_from_slice(piece);
        self.len += piece.len() as u64;
    }

    pub(super) fn end(mut self, created: SystemTime) -> Sealed {
        let (trailer, _) = self.sealer.finish();
        self.sealed.reserve_exact(trailer.len());
        self.sealed.extend_from_slice(&trailer);
        Sealed { sealed: self.sealed.into_boxed_slice().into(), len: self.len, created }
    }
}

impl Sealed {
    /// The verified bytes.
    pub(super) fn open(&self, key: &Key, name: &BlobName) -> Result<Bytes> {
        let (bytes, _) = Envelope::open(key, name, &self.sealed)?;
        Ok(bytes)
    }
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.blobs.values().map(|blob| blob.len).sum()
    }
}

impl State {
    pub(super) fn held_bytes(&self) -> u64 {
        self.entries.values().map(Held::bytes).sum()
    }
}

impl Medium {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation, which fails if it is the one that shall.
    pub(super) fn access(&self, operation: &'static str) -> Result<()> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.fails_at.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "medium", operation));
        }
        Ok(())
    }

    /// Makes what is held now survive.
    pub(super) fn flush(&self) {
        let mut state = self.lock();
        state.flushed = state.entries.clone();
    }

    fn each(&self, object: &str, mut change: impl FnMut(&mut Held, &BlobName)) -> Result<()> {
        let (key, name) = parse(object)?;
        let mut state = self.lock();
        let State { entries, flushed, .. } = &mut *state;
        for held in [entries, flushed].into_iter().filter_map(|entries| entries.get_mut(&key)) {
            change(held, &name);
        }
        Ok(())
    }
}

/// The blob that an object is: `namespace/digest name`, as [`Key`] and [`BlobName`] encode them.
fn parse(object: &str) -> Result<(Key, BlobName)> {
    let unknown = || Error::invalid(format!("no such object: {object}"));
    let (place, name) = object.split_once(' ').ok_or_else(unknown)?;
    let (namespace, digest) = place.rsplit_once('/').unwrap_or(("", place));
    let digest = digest.parse::<cache_core::Digest>()?;
    Ok((Key::new(namespace.parse()?, digest), BlobName::new(name)?))
}

#[async_trait]
impl Damage for Medium {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let state = self.lock();
        let names = state.entries.get(key).into_iter().flat_map(|held| held.blobs.keys());
        let separator = if key.namespace.to_string().is_empty() { "" } else { "/" };
        Ok(names.map(|name| format!("{}{separator}{} {name}", key.namespace, key.digest)).collect())
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        let mut bytes = None;
        self.each(object, |held, name| {
            bytes = bytes.take().or_else(|| Some(held.blobs.get(name)?.sealed.clone()));
        })?;
        bytes.ok_or_else(|| Error::invalid(format!("no such object: {object}")))
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        self.each(object, |held, name| {
            if let Some(blob) = held.blobs.get_mut(name) {
                blob.sealed = bytes.clone();
            }
        })
    }

    async fn remove(&self, object: &str) -> Result<()> {
        self.write(object, Bytes::new()).await
    }
}

impl Failures for Medium {
    fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    fn fail(&self, nth: u64) {
        let at = if nth == 0 { 0 } else { self.operations() + nth };
        self.fails_at.store(at, Ordering::SeqCst);
    }
}

#[async_trait]
impl Crash for Medium {
    async fn crash(&self) -> Result<()> {
        let mut state = self.lock();
        state.entries = state.flushed.clone();
        state.lives += 1;
        state.opened = 0;
        Ok(())
    }
}
