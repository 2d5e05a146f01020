//! The promotions that have not ended: how much they may hold, and who waits for them.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What all that are in hand may hold together: 64 MiB. A larger entry is promoted alone.
const ROOM: u64 = 64 << 20;

/// A semaphore counts no single bytes.
const UNIT: u64 = 1024;

/// How many entries may stream at the same time. They have their own room: downloads that hang take none from
/// what is in hand.
const STREAMS: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Underway {
    room: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    begun: watch::Sender<Begun>,
}

#[derive(Debug, Default)]
struct Begun {
    next: u64,
    open: BTreeSet<u64>,
}

/// A promotion that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _units: OwnedSemaphorePermit,
    begun: watch::Sender<Begun>,
    number: u64,
}

impl Default for Underway {
    fn default() -> Self {
        let units = usize::try_from(ROOM / UNIT).unwrap_or(usize::MAX);
        Self {
            room: Arc::new(Semaphore::new(units)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            begun: watch::Sender::default(),
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT).clamp(1, ROOM / UNIT)).unwrap_or(u32::MAX)
}

impl Underway {
    /// Waits for room for so many bytes.
    pub(crate) async fn room(&self, bytes: u64) -> Option<Room> {
        let taken = Arc::clone(&self.room).acquire_many_owned(units(bytes)).await.ok()?;
        Some(self.begin(taken))
    }

    /// Room for so many bytes, if there is.
    pub(crate) fn room_now(&self, bytes: u64) -> Option<Room> {
        let taken = Arc::clone(&self.room).try_acquire_many_owned(units(bytes)).ok()?;
        Some(self.begin(taken))
    }

    /// Room for an entry that streams, if there is.
    pub(crate) fn stream_now(&self) -> Option<Room> {
        let taken = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        Some(self.begin(taken))
    }

    fn begin(&self, taken: OwnedSemaphorePermit) -> Room {
        let mut number = 0;
        self.begun.send_modify(|begun| {
            number = begun.next;
            begun.next += 1;
            begun.open.insert(number);
        });
        Room { _units: taken, begun: self.begun.clone(), number }
    }

    /// Waits for those that have begun by now, but for those that nobody waits for.
    pub(crate) async fn drained(&self) {
        let until = self.begun.borrow().next;
        let is_drained = |begun: &Begun| begun.open.first().is_none_or(|first| *first >= until);
        // Ends in an error only if there is no sender left, and here is one.
        _ = self.begun.subscribe().wait_for(is_drained).await;
    }
}

impl Room {
    /// Has nobody wait for this promotion any longer. It keeps its room.
    pub(crate) fn unawaited(&self) {
        let number = self.number;
        self.begun.send_if_modified(|begun| begun.open.remove(&number));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.unawaited();
    }
}
