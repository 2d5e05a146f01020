//! The shards, the one budget over them, and what goes when it is reached.

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

use bytes::Bytes;
use cache_core::{BlobName, Digest, Key, KeyView, Namespace, PutMode, Refusal, Usage};
use tokio::sync::Notify;

use crate::{
    MemoryOptions, Policy,
    account::{Account, Total},
    eviction::{Clock, Order},
    seeds::Seeds,
    shard::{Read, Shard, Write, shard_of},
    slot::{Blobs, Slot},
    space::Spaces,
};

pub(crate) use evict::Leaving;

mod evict;
mod list;

#[derive(Debug)]
pub(crate) struct Engine {
    lanes: Box<[Lane]>,
    /// What the next victim of each shard is worth at least; the largest number without one.
    ranks: Box<[AtomicU64]>,
    bits: u32,
    seeds: Seeds,
    spaces: Spaces,
    account: Account,
    order: Policy,
    clock: Clock,
    /// Handovers that were not answered yet.
    in_handover: AtomicUsize,
    handed_over: Notify,
    /// Reads change the order, so that they need their shard alone.
    reads_reorder: bool,
    closed: AtomicBool,
}

/// A shard on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Lane(RwLock<Shard>);

/// How a put ended, or did not.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The entry is visible; the older one under its key, if there was one.
    Stored(Option<Slot>),
    Refused(Refusal),
    /// Something has to go first: so many bytes, or an entry.
    NeedsRoom(u64),
    Closed,
}

/// What is put, where and when.
#[derive(Debug)]
pub(crate) struct Put<'a> {
    pub(crate) key: &'a Key,
    pub(crate) blobs: Blobs,
    pub(crate) mode: PutMode,
    pub(crate) now: SystemTime,
    /// Bytes that were reserved for it; given back when it is stored.
    pub(crate) reserved: u64,
}

impl Engine {
    pub(crate) fn new(options: &MemoryOptions) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shards = (cores.saturating_mul(16)).clamp(16, 256).next_power_of_two();
        Self::with_shards(options, shards)
    }

    /// With so many shards, a power of two from 2 to 65,536.
    pub(crate) fn with_shards(options: &MemoryOptions, shards: usize) -> Self {
        let account = Account::new(options);
        let order = if account.is_bounded() { options.policy } else { Policy::Unbounded };
        Self {
            lanes: (0..shards).map(|_| Lane(RwLock::new(Shard::new(new_order(order))))).collect(),
            ranks: (0..shards).map(|_| AtomicU64::new(u64::MAX)).collect(),
            bits: shards.ilog2(),
            seeds: Seeds::new(),
            spaces: Spaces::default(),
            account,
            order,
            clock: Clock::default(),
            in_handover: AtomicUsize::new(0),
            handed_over: Notify::new(),
            reads_reorder: new_order(order).by_use(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn total(&self) -> Total {
        self.account.total()
    }

    /// How many [hits](Self::hit) there were, and their bytes.
    pub(crate) fn hits_so_far(&self) -> (u64, u64) {
        let counts = self.lanes.iter().map(|lane| lane.read().hits_so_far());
        counts.fold((0, 0), |(hits, bytes), (more, out)| (hits + more, bytes + out))
    }

    pub(crate) fn usage(&self, scope: &Namespace) -> Usage {
        self.spaces.usage(scope)
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there are as many lanes as the bits can count")]
    fn lane(&self, digest: &Digest) -> &Lane {
        &self.lanes[shard_of(digest, self.bits)]
    }

    #[inline]
    fn read<'a>(&'a self, key: KeyView<'a>, now: u64) -> Read<'a> {
        Read { key, hash: self.seeds.hash(key), now, clock: &self.clock }
    }

    fn writing(&self, hash: u64) -> Write<'_> {
        Write { hash, clock: &self.clock, held: self.account.entries(), held_bytes: self.account.bytes() }
    }

    /// A hit, which is counted, and a use of its entry. `None`: no such blob, and no use.
    #[inline]
    pub(crate) fn hit(&self, key: KeyView<'_>, blob: &BlobName, now: u64) -> Option<Bytes> {
        let lane = self.lane(key.digest);
        let read = self.read(key, now);
        // Alone, a read needs no further synchronisation; beside others, it does not keep them waiting.
        if let Some(mut shard) = lane.try_write() {
            return shard.read_alone::<true>(read, blob).cloned();
        }
        if self.reads_reorder {
            return lane.write().read_alone::<true>(read, blob).cloned();
        }
        lane.read().read_beside(read, blob).cloned()
    }

    /// A blob, which is a use of its entry. `None`: no such blob, and no use.
    pub(crate) fn get(&self, key: &Key, blob: &BlobName, now: u64) -> Option<Bytes> {
        let read = self.read(key.view(), now);
        self.write(&key.digest).read_alone::<false>(read, blob).cloned()
    }

    /// All of an entry, which counts as one use of it.
    pub(crate) fn with_entry<T>(&self, key: &Key, now: u64, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        let read = self.read(key.view(), now);
        let mut shard = self.write(&key.digest);
        let found = shard.read_entry(read).map(look);
        drop(shard);
        found
    }

    /// A look at an entry that is no use of it.
    pub(crate) fn look<T>(&self, key: &Key, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        let hash = self.seeds.hash(key.view());
        self.lane(&key.digest).read().get(hash, key.view()).map(look)
    }

    /// Makes the blobs visible in one step, or refuses them; a refused value does not leave an older one
    /// behind, except that a fill never takes anything away.
    pub(crate) fn attempt(&self, put: &mut Put<'_>) -> Attempt {
        let (key, hash) = (put.key.view(), self.seeds.hash(put.key.view()));
        let mut shard = self.write(key.digest);
        // A put that began before `close` must not bring anything back after it.
        if self.is_closed() {
            return Attempt::Closed;
        }
        let index = shard.find(hash, key);
        let old = index.and_then(|index| shard.slot(index));
        let old_size = old.map(Slot::size);
        let merged = match (put.mode, old) {
            (PutMode::Replace, _) | (_, None) => None,
            (mode, Some(old)) => match old.blobs().after(mode, &put.blobs) {
                None => {
                    self.account.release(std::mem::take(&mut put.reserved));
                    return Attempt::Stored(None);
                }
                merged => merged,
            },
        };
        let size = merged.as_ref().unwrap_or(&put.blobs).size();
        if let Some(refusal) = self.account.refusal(size, put.reserved) {
            return Attempt::Refused(refusal);
        }
        if let Err(missing) = self.account.exchange(old_size, size, put.reserved) {
            return Attempt::NeedsRoom(missing);
        }
        put.reserved = 0;
        let blobs = merged.unwrap_or_else(|| std::mem::take(&mut put.blobs));
        let space = match old {
            Some(old) => {
                old.space().resize(old.size().bytes, size.bytes);
                Arc::clone(old.space())
            }
            None => self.spaces.enter(key.namespace, size.bytes),
        };
        let slot = Slot::new(key, space, blobs, shard.next_version(), put.now);
        let old = shard.insert(self.writing(hash), index, slot);
        self.publish(key.digest, &shard);
        Attempt::Stored(old)
    }

    /// Removes an entry, if it is as `is_it` says. It is not to be dropped under a lock: values may have
    /// owners that use the store.
    pub(crate) fn remove(&self, key: &Key, is_it: impl FnOnce(&Slot) -> bool) -> Option<Slot> {
        let hash = self.seeds.hash(key.view());
        let mut shard = self.write(&key.digest);
        let index = shard.find(hash, key.view())?;
        shard.slot(index).filter(|slot| is_it(slot))?;
        let gone = shard.remove(hash, index);
        self.leave_behind(&shard, gone)
    }

    /// Takes an entry that left its shard off the account.
    fn leave_behind(&self, shard: &Shard, slot: Option<Slot>) -> Option<Slot> {
        let slot = slot?;
        let size = slot.size();
        self.spaces.leave(slot.space(), size.bytes);
        self.account.remove(size);
        self.publish(slot.digest(), shard);
        Some(slot)
    }

    /// Ends the store, and drops what it holds.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for (lane, rank) in self.lanes.iter().zip(&self.ranks) {
            let mut shard = lane.write();
            let slab = shard.clear(new_order(self.order));
            for (_, slot) in slab.iter() {
                let size = slot.size();
                self.spaces.leave(slot.space(), size.bytes);
                self.account.remove(size);
            }
            rank.store(u64::MAX, Ordering::Relaxed);
            drop(shard);
            drop(slab);
        }
        // Whoever waits for room need not wait for a sink.
        self.handed_over.notify_waiters();
    }

    /// Reserves bytes of a stream that comes in for `key`, whose older value stays: the stream may fail yet.
    pub(crate) fn could_reserve(&self, bytes: u64, key: &Key) -> bool {
        self.account.could_reserve(bytes, self.look(key, Slot::size))
    }

    /// Reserves bytes of a stream, or says how many have to go first.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), u64> {
        self.account.reserve(bytes)
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.account.release(bytes);
    }

    fn write(&self, digest: &Digest) -> RwLockWriteGuard<'_, Shard> {
        self.lane(digest).write()
    }

    /// Tells what the next victim of a shard is worth now.
    fn publish(&self, digest: &Digest, shard: &Shard) {
        if let Some(rank) = self.ranks.get(shard_of(digest, self.bits)) {
            rank.store(shard.rank(), Ordering::Relaxed);
        }
    }
}

fn new_order(policy: Policy) -> Order {
    match policy {
        Policy::TinyLfu => Order::tiny_lfu(),
        Policy::Lfu => Order::lfu(),
        Policy::Lru => Order::lru(),
        Policy::Unbounded => Order::None,
    }
}

impl Lane {
    // Nothing panics under a lock; a poisoned one would still hold a consistent shard.
    fn read(&self) -> RwLockReadGuard<'_, Shard> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shard> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn try_write(&self) -> Option<RwLockWriteGuard<'_, Shard>> {
        self.0.try_write().ok()
    }
}

#[cfg(test)]
mod tests;
