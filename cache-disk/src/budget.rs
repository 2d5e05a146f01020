//! How full the store is, as this process has last seen it, and how full it may be.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use crate::index::Totals;

/// What all processes together hold, by the last look at the index. Each write looks at it.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    looks: AtomicU64,
    seen: Mutex<Seen>,
    /// How many evictions have ended.
    evictions: AtomicU64,
    in_vain: AtomicU64,
    /// Told whenever a put that waits may find room, or learns that it need not wait for it any longer.
    pub(crate) relieved: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    held: u64,
    /// Whether the index may lack entries.
    suspect: bool,
    /// Which look that was.
    look: u64,
    /// The bytes of this store's puts that are on their way.
    under_way: u64,
}

impl Budget {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the index. Of several looks at a time the one that began last counts: a put that has ended is in it,
    /// since it looked afterwards, and another one is on its way still.
    pub(crate) fn look<E>(&self, totals: impl FnOnce() -> Result<Totals, E>) -> Result<Totals, E> {
        let look = self.looks.fetch_add(1, Ordering::AcqRel) + 1;
        let totals = totals()?;
        let mut seen = self.seen();
        if look > seen.look {
            (seen.look, seen.held, seen.suspect) = (look, totals.bytes, totals.suspect);
        }
        Ok(totals)
    }

    /// As [`look`](Self::look) after a write, where one may fail: then what the write itself found has to do.
    pub(crate) fn look_after(&self, totals: Totals, glance: impl FnOnce() -> io::Result<Totals>) {
        _ = self.look(|| Ok::<_, io::Error>(glance().unwrap_or(totals)));
    }

    pub(crate) fn held(&self) -> u64 {
        self.seen().held
    }

    /// What is held, unless more may be.
    pub(crate) fn known(&self) -> Option<u64> {
        let seen = self.seen();
        (!seen.suspect).then_some(seen.held)
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.seen().suspect
    }

    pub(crate) fn is_over(&self, max: u64) -> bool {
        self.held() > max
    }

    /// Whether so much is held that a put has to wait for an eviction.
    pub(crate) fn is_far_over(&self, max: u64) -> bool {
        self.held() > hard_limit(max)
    }

    /// Takes room for a put of so many bytes, if there is any beside what is held and what is on its way. Whatever
    /// its size, one put at a time has room unless much too much is held.
    pub(crate) fn take_room(&self, bytes: u64, max: u64) -> bool {
        let mut seen = self.seen();
        let sum = seen.under_way.saturating_add(bytes);
        let then = if seen.under_way == 0 { seen.held } else { seen.held.saturating_add(sum) };
        if then > hard_limit(max) {
            return false;
        }
        seen.under_way = sum;
        true
    }

    /// The put has ended.
    pub(crate) fn give_room(&self, bytes: u64) {
        let mut seen = self.seen();
        seen.under_way = seen.under_way.saturating_sub(bytes);
        drop(seen);
        self.relieved.notify_waiters();
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Acquire)
    }

    /// How many of them took nothing away and left much too much.
    pub(crate) fn evictions_in_vain(&self) -> u64 {
        self.in_vain.load(Ordering::Acquire)
    }

    pub(crate) fn eviction_ended(&self, in_vain: bool) {
        self.evictions.fetch_add(1, Ordering::Release);
        self.in_vain.fetch_add(in_vain.into(), Ordering::Release);
    }
}

/// An eviction goes on down to this, so that it does not start again with the next put.
pub(crate) fn low_watermark(max: u64) -> u64 {
    max - max / 32
}

/// Beyond this a put waits.
pub(crate) fn hard_limit(max: u64) -> u64 {
    max.saturating_add(max / 20)
}

#[cfg(test)]
mod tests;
