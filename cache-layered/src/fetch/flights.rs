//! Which reads are under way in the slower tiers, and who may join them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cache_core::{BlobName, Key};
use futures::{
    FutureExt,
    future::{BoxFuture, Either, Shared, WeakShared, select},
};
use tokio::sync::Notify;

use crate::{fetch::Fetched, key_lock::Watch};

pub(crate) type Fetching = BoxFuture<'static, Fetched>;

/// What is asked for. Readers who want the same share one flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// The whole entry, or this blob.
    pub(crate) blob: Option<BlobName>,
    pub(crate) stream_above: u64,
}

/// What becomes of a reader whom the fastest tier could not answer.
pub(crate) enum Boarded {
    Began(Flight),
    Joined(Flight),
    /// A flight has landed since the fastest tier was asked: it may have the entry now.
    Again,
    /// Not to be shared.
    Alone,
}

/// The read of one for all who join it. It goes on while somebody waits for it, whoever that is.
#[derive(Clone)]
pub(crate) struct Flight {
    fetching: Shared<Fetching>,
    left: Arc<Notify>,
}

impl Flight {
    /// Waits for the flight, and drives it.
    pub(crate) async fn land(self) -> Fetched {
        let mut fetching = self.fetching;
        let mut leaving = Leaving { left: &self.left, early: true };
        loop {
            let left = std::pin::pin!(self.left.notified());
            // Who left may have been the one who was woken for the rest.
            if let Either::Left((fetched, _)) = select(&mut fetching, left).await {
                leaving.early = false;
                return fetched;
            }
        }
    }
}

/// Wakes another one if this one leaves early.
struct Leaving<'a> {
    left: &'a Notify,
    early: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.early {
            self.left.notify_one();
        }
    }
}

/// The flights of one key that may be joined.
#[derive(Default)]
pub(crate) struct Flights(Mutex<Vec<Registered>>);

struct Registered {
    want: Want,
    /// A flight that everybody has left ends.
    fetching: WeakShared<Fetching>,
    left: Arc<Notify>,
}

impl Registered {
    fn flight(&self) -> Option<Flight> {
        Some(Flight { fetching: self.fetching.upgrade()?, left: Arc::clone(&self.left) })
    }
}

impl Flights {
    fn list(&self) -> MutexGuard<'_, Vec<Registered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn board(
        &self,
        want: &Want,
        is_late: impl FnOnce() -> bool,
        begin: impl FnOnce(Arc<Notify>) -> Fetching,
    ) -> Boarded {
        let mut list = self.list();
        if let Some(flight) = list.iter().find(|one| one.want == *want).and_then(Registered::flight) {
            return Boarded::Joined(flight);
        }
        if is_late() {
            return Boarded::Again;
        }
        let left = Arc::new(Notify::new());
        let fetching = begin(Arc::clone(&left)).shared();
        if let Some(weak) = fetching.downgrade() {
            list.retain(|one| one.want != *want);
            list.push(Registered { want: want.clone(), fetching: weak, left: Arc::clone(&left) });
        }
        Boarded::Began(Flight { fetching, left })
    }

    /// Nobody joins those that are under way.
    pub(crate) fn forget(&self) {
        self.list().clear();
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// Keeps a flight one that may be joined.
#[derive(Debug)]
pub(crate) struct Registration {
    watch: Watch,
    left: Arc<Notify>,
    landed: Arc<Landed>,
    copied: bool,
}

impl Registration {
    pub(crate) fn of(watch: Watch, left: Arc<Notify>, landed: Arc<Landed>) -> Self {
        Self { watch, left, landed, copied: false }
    }

    /// Has the flight be there although all of its readers may have gone; `None` if it may not be joined anymore.
    pub(crate) fn hold(&self) -> Option<Flight> {
        let list = self.watch.flights().list();
        list.iter().find(|one| Arc::ptr_eq(&one.left, &self.left)).and_then(Registered::flight)
    }

    /// A faster tier has the entry now.
    pub(crate) fn copied(&mut self) {
        self.copied = true;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut list = self.watch.flights().list();
        if self.copied {
            self.landed.count(self.watch.key());
        }
        list.retain(|one| !Arc::ptr_eq(&one.left, &self.left));
    }
}

/// Counts the flights that brought an entry into a faster tier: by groups of keys, so that it costs readers nothing.
#[derive(Debug)]
pub(crate) struct Landed([AtomicU64; 64]);

impl Default for Landed {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Landed {
    fn group(&self, key: &Key) -> Option<&AtomicU64> {
        let [first, ..] = key.digest.as_bytes();
        self.0.get(usize::from(first % 64))
    }

    pub(crate) fn seen(&self, key: &Key) -> u64 {
        self.group(key).map_or(0, |count| count.load(Ordering::Acquire))
    }

    fn count(&self, key: &Key) {
        if let Some(count) = self.group(key) {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }
}
