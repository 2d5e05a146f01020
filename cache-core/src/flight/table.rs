//! The flights of every key, and which of them a write has overtaken.
//!
//! A call that begins after a write returned must not be answered by work that began before it. So a write
//! takes the reads of its key off the table when it ends: those who wait for them still get their answer,
//! and later callers begin anew. A computation that a write has overtaken stores nothing; one that is
//! storing already is waited for, so that the write lands last, and so is a put that is within the store although its
//! callers have left: they may be the same who write now. A put is joined by identical ones until
//! another write of its key begins or ends.

use std::{collections::HashMap, fmt, sync::Arc};

use futures::future::BoxFuture;

use super::{
    key_hash::KeyHash,
    outcome::{Computed, Found, Put, PutContent},
    slot::{Ahead, Boarded, Compute, Off, Putting, Slot, join, lead},
    sync::{Mutex, MutexGuard, PoisonError},
    waits::Computation,
};
use crate::{BlobName, Key, Namespace};

/// Locks that the table is spread over, by the first byte of the digest.
const SHARDS: usize = 16;

type Shard = HashMap<Key, Slot, KeyHash>;

/// The table, one for a handle and all its clones and views.
#[derive(Default)]
pub(crate) struct Flights {
    shards: [Mutex<Shard>; SHARDS],
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// Held by the work of a flight: takes it off the table when the work ends or is dropped.
pub(crate) struct Entered {
    table: Arc<Flights>,
    key: Key,
    id: u64,
}

/// Held while a key is written.
pub(crate) struct WriteGuard {
    table: Arc<Flights>,
    key: Key,
}

/// A put that can be shared.
pub(crate) enum PutEntered {
    Boarded(Boarded<Put>),
    /// This one may be identical: compare the bytes, then join it or name it as seen.
    Compare {
        id: u64,
        content: Arc<PutContent>,
    },
}

impl Flights {
    /// The lock over the slot of `key`. Nothing but a flight's own lock is taken under it.
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.digest.as_bytes();
        let at = usize::from(*first) % SHARDS;
        // The modulus keeps it within.
        let [zeroth, ..] = &self.shards;
        self.shards.get(at).unwrap_or(zeroth).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the slot of a key, and removes it if nothing is left.
    fn change(&self, key: &Key, change: impl FnOnce(&mut Slot) -> Off) -> Off {
        let mut shard = self.shard(key);
        let Some(slot) = shard.get_mut(key) else { return Off::default() };
        let off = change(slot);
        if slot.is_empty() {
            shard.remove(key);
        }
        off
    }

    fn entered(self: &Arc<Self>, key: &Key, id: u64) -> Entered {
        Entered { table: Arc::clone(self), key: key.clone(), id }
    }

    /// A read of `blob`; `whole` ones end with the bytes in hand whatever the size.
    pub(crate) fn read(
        self: &Arc<Self>,
        key: &Key,
        blob: &BlobName,
        whole: bool,
        work: impl FnOnce(Entered) -> BoxFuture<'static, Found>,
    ) -> Boarded<Found> {
        let mut shard = self.shard(key);
        let same = |read: &(BlobName, bool)| read.0 == *blob && read.1 == whole;
        if let Some(joined) = shard.get(key).and_then(|slot| join(&slot.reads, same)) {
            return joined;
        }
        let slot = shard.entry(key.clone()).or_default();
        lead(&mut slot.reads, |id| ((blob.clone(), whole), None, work(self.entered(key, id))))
    }

    /// A computation of `blob` in some form.
    pub(crate) fn compute(
        self: &Arc<Self>,
        key: &Key,
        blob: &BlobName,
        form: u64,
        work: impl FnOnce(Entered) -> (Option<Arc<Computation>>, BoxFuture<'static, Computed>),
    ) -> Boarded<Computed> {
        let mut shard = self.shard(key);
        let same = |compute: &Compute| compute.blob == *blob && compute.form == form;
        if let Some(joined) = shard.get(key).and_then(|slot| join(&slot.computes, same)) {
            return joined;
        }
        let slot = shard.entry(key.clone()).or_default();
        lead(&mut slot.computes, |id| {
            let (computation, work) = work(self.entered(key, id));
            (Compute { blob: blob.clone(), form, storing: false }, computation, work)
        })
    }

    /// A put of bytes in hand. Those in `seen` are known to be different.
    pub(crate) fn put(
        self: &Arc<Self>,
        key: &Key,
        content: &Arc<PutContent>,
        seen: &[u64],
        work: impl FnOnce(Entered, WriteGuard, Ahead) -> BoxFuture<'static, Put>,
    ) -> PutEntered {
        let mut shard = self.shard(key);
        let slot = shard.entry(key.clone()).or_default();
        let alike =
            slot.puts.iter().find(|put| !seen.contains(&put.flight.id()) && put.name.resembles(content));
        if let Some(put) = alike {
            return PutEntered::Compare { id: put.flight.id(), content: Arc::clone(&put.name) };
        }
        let (off, ahead) = slot.begin_write();
        let guard = WriteGuard { table: Arc::clone(self), key: key.clone() };
        let boarded =
            lead(&mut slot.puts, |id| (Arc::clone(content), None, work(self.entered(key, id), guard, ahead)));
        let put = slot.puts.last().map(|put| Arc::clone(&put.flight));
        slot.putting.extend(put.map(|flight| Putting { flight, is_left: false }));
        drop(shard);
        drop(off);
        PutEntered::Boarded(boarded)
    }

    /// Joins a put that was found to be identical, if it still can be joined.
    pub(crate) fn join_put(&self, key: &Key, id: u64) -> Option<Boarded<Put>> {
        let shard = self.shard(key);
        let put = shard.get(key)?.puts.iter().find(|put| put.flight.id() == id)?;
        let ticket = put.flight.join()?;
        Some(Boarded { led: false, ticket })
    }

    /// A write that nobody shares begins. It has to wait for what is ahead of it.
    pub(crate) fn write(self: &Arc<Self>, key: &Key) -> (WriteGuard, Ahead) {
        let (off, ahead) = self.shard(key).entry(key.clone()).or_default().begin_write();
        drop(off);
        (WriteGuard { table: Arc::clone(self), key: key.clone() }, ahead)
    }

    /// Entries of a scope went, by policy: nothing that began before may answer a later call.
    pub(crate) fn overtake(&self, scope: &Namespace) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let covered = shard.iter_mut().filter(|(key, _)| scope.covers(&key.namespace));
            let off: Vec<Off> = covered.map(|(_, slot)| slot.overtake()).collect();
            drop(shard);
            drop(off);
        }
    }

    /// How many callers wait for shared work.
    #[cfg(test)]
    pub(crate) fn callers(&self) -> usize {
        let mut callers = 0;
        for shard in &self.shards {
            for slot in shard.lock().unwrap().values() {
                callers += slot.reads.iter().map(|listed| listed.flight.callers()).sum::<usize>();
                callers += slot.computes.iter().map(|listed| listed.flight.callers()).sum::<usize>();
                callers += slot.puts.iter().map(|listed| listed.flight.callers()).sum::<usize>();
            }
        }
        callers
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().unwrap().is_empty())
    }
}

impl Entered {
    /// Which flight this is.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this computation may store its value: no write has overtaken it. From here on, writes wait
    /// for it.
    pub(crate) fn begin_store(&self) -> bool {
        let mut shard = self.table.shard(&self.key);
        let Some(slot) = shard.get_mut(&self.key) else { return false };
        // A computation of another blob stores the whole entry, too.
        if slot.writers > 0 || slot.computes.iter().any(|compute| compute.name.storing) {
            return false;
        }
        let Some(compute) = slot.computes.iter_mut().find(|compute| compute.flight.id() == self.id) else {
            return false;
        };
        compute.name.storing = true;
        true
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let off = self.table.change(&self.key, |slot| slot.remove(self.id));
        drop(off);
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let off = self.table.change(&self.key, |slot| {
            slot.writers = slot.writers.saturating_sub(1);
            slot.overtake()
        });
        drop(off);
    }
}
