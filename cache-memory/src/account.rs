//! The one budget of a store. It is asked before anything is kept, so that it holds at every instant.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use cache_core::Refusal;

use crate::MemoryOptions;

/// What an entry takes besides the bytes of its blobs: its slot, its places in the table and in the order,
/// the headers of its bytes and of their allocations.
pub(crate) const ENTRY_BYTES: u64 = 224;
/// What each blob takes besides that is not named `data`.
const BLOB_BYTES: u64 = 160;
/// What an entry takes in the ordered index of a store that was listed.
const INDEX_BYTES: u64 = 64;
/// How much of all that is free, so that a small budget is one of blobs alone.
pub(crate) const FREE_BYTES: u64 = 64 << 10;

/// What an entry takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Those of the blobs.
    pub(crate) bytes: u64,
    more_blobs: u64,
    entries: u64,
}

impl Size {
    /// An entry of so many bytes, with so many blobs besides `data`.
    pub(crate) fn of(bytes: u64, more_blobs: u64) -> Self {
        Self { bytes, more_blobs, entries: 1 }
    }
}

/// What is held, and what may be.
#[derive(Debug, Default)]
pub(crate) struct Account {
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
    held: Mutex<Total>,
    /// Those of the total, for whoever needs no more.
    entries: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    size: Size,
    /// Bytes of streams that are still coming in.
    reserved: u64,
    indexed: bool,
}

impl Total {
    pub(crate) fn bytes(&self) -> u64 {
        self.size.bytes
    }

    pub(crate) fn entries(&self) -> u64 {
        self.size.entries
    }

    #[cfg(test)]
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    fn without(mut self, size: Size) -> Self {
        self.size.bytes = self.size.bytes.saturating_sub(size.bytes);
        self.size.more_blobs = self.size.more_blobs.saturating_sub(size.more_blobs);
        self.size.entries = self.size.entries.saturating_sub(size.entries);
        self
    }

    fn with(mut self, size: Size) -> Self {
        self.size.bytes = self.size.bytes.saturating_add(size.bytes);
        self.size.more_blobs = self.size.more_blobs.saturating_add(size.more_blobs);
        self.size.entries = self.size.entries.saturating_add(size.entries);
        self
    }

    /// The bytes of blobs, held and coming in.
    fn taken(&self) -> u64 {
        self.size.bytes.saturating_add(self.reserved)
    }

    fn bookkeeping(&self) -> u64 {
        let entry = ENTRY_BYTES + if self.indexed { INDEX_BYTES } else { 0 };
        let entries = self.size.entries.saturating_mul(entry);
        entries.saturating_add(self.size.more_blobs.saturating_mul(BLOB_BYTES)).saturating_sub(FREE_BYTES)
    }
}

impl Account {
    pub(crate) fn new(options: &MemoryOptions) -> Self {
        let (max_bytes, max_entries) = (options.max_bytes, options.max_entries);
        Self { max_bytes, max_entries, ..Self::default() }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.max_bytes.is_some() || self.max_entries.is_some()
    }

    fn held(&self) -> MutexGuard<'_, Total> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn total(&self) -> Total {
        *self.held()
    }

    fn tell(&self, total: &Total) {
        self.entries.store(total.entries(), Relaxed);
        self.bytes.store(total.bytes(), Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Relaxed)
    }

    fn admits(&self, total: &Total) -> bool {
        let taken = total.taken();
        self.max_bytes.is_none_or(|max| taken <= max && taken.saturating_add(total.bookkeeping()) <= max)
            && self.max_entries.is_none_or(|max| total.size.entries <= max)
    }

    /// Why an entry of this size cannot be kept, even if all others went. `reserved` is what was reserved for
    /// it already; what others reserved cannot be taken from them.
    pub(crate) fn refusal(&self, size: Size, reserved: u64) -> Option<Refusal> {
        let max = self.max_bytes?;
        if max == 0 {
            return Some(Refusal::Disabled);
        }
        let held = self.total();
        let alone = Total { size, reserved: 0, ..held };
        if !self.admits(&alone) {
            return Some(Refusal::OverBudget);
        }
        let beside = Total { reserved: held.reserved.saturating_sub(reserved), ..alone };
        (!self.admits(&beside)).then_some(Refusal::NoRoom)
    }

    /// How many bytes have to go.
    fn missing(&self, total: &Total) -> u64 {
        let taken = total.taken().saturating_add(total.bookkeeping());
        self.max_bytes.map_or(0, |max| taken.saturating_sub(max))
    }

    /// Puts an entry in the place of another one, or of nothing, and of what was reserved for it.
    ///
    /// # Errors
    ///
    /// How many bytes have to go first, if there is no room: nothing is done.
    pub(crate) fn exchange(&self, old: Option<Size>, new: Size, reserved: u64) -> Result<(), u64> {
        let mut held = self.held();
        let mut total = held.without(old.unwrap_or_default()).with(new);
        total.reserved = total.reserved.saturating_sub(reserved);
        // What grows in nothing needs no room: the bookkeeping may be over the budget since it was indexed.
        let grows = total.taken() > held.taken()
            || total.bookkeeping() > held.bookkeeping()
            || total.size.entries > held.size.entries;
        if grows && !self.admits(&total) {
            return Err(self.missing(&total));
        }
        *held = total;
        self.tell(&held);
        Ok(())
    }

    pub(crate) fn remove(&self, size: Size) {
        let mut held = self.held();
        *held = held.without(size);
        self.tell(&held);
    }

    /// Whether so many bytes could be reserved while an entry of this size stays, whatever else goes.
    pub(crate) fn could_reserve(&self, bytes: u64, stays: Option<Size>) -> bool {
        let held = self.total();
        let reserved = held.reserved.saturating_add(bytes);
        self.admits(&Total { size: stays.unwrap_or_default(), reserved, ..held })
    }

    /// Reserves bytes of a stream.
    ///
    /// # Errors
    ///
    /// As [`exchange`](Self::exchange).
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), u64> {
        let mut held = self.held();
        let mut total = *held;
        total.reserved = total.reserved.saturating_add(bytes);
        if !self.admits(&total) {
            return Err(self.missing(&total));
        }
        *held = total;
        Ok(())
    }

    pub(crate) fn release(&self, bytes: u64) {
        let mut held = self.held();
        held.reserved = held.reserved.saturating_sub(bytes);
    }

    /// From now on an entry takes its place in the index, too.
    pub(crate) fn index(&self) {
        self.held().indexed = true;
    }
}
