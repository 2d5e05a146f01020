use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{Key, Result, SpillSource};

use crate::Setup;

/// What some clauses need besides an open store: a way to reach behind it.
///
/// A [`Factory`](crate::Factory) that has none answers `None`; the clauses that need it are then shown as
/// ignored or as not run, and never as passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handle {
    /// [`Damage`]: stored bytes can be changed.
    Damage,
    /// [`Failures`]: what lies below can be made to fail.
    Failures,
    /// [`Crash`]: the store can be killed.
    Crash,
    /// [`Spill`]: what the store evicts can be taken.
    Spill,
    /// [`Heap`]: allocations are counted.
    Heap,
}

impl Handle {
    /// Why a clause that needs it is not run without it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Damage => "needs a handle that damages stored bytes",
            Self::Failures => "needs a handle that makes what lies below the store fail",
            Self::Crash => "needs a handle that kills the store",
            Self::Spill => "needs a handle that takes what the store evicts",
            Self::Heap => "needs a test binary of its own that counts allocations",
        }
    }
}

/// Changes stored bytes behind the back of the store, as failing hardware does.
///
/// It is used while nothing is under way in the store, open or closed.
#[async_trait]
pub trait Damage: Send + Sync {
    /// The objects (files, rows, values) that hold bytes of the entry, in an order that does not change;
    /// none if the entry is not there. An object may hold several blobs, or a part of one.
    ///
    /// # Errors
    ///
    /// What looking failed with; it fails the clause, here and below.
    ///
    /// # Cancel safety
    ///
    /// The suite always awaits it to the end, here and below.
    async fn objects(&self, key: &Key) -> Result<Vec<String>>;

    /// All stored bytes of an object.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    async fn read(&self, object: &str) -> Result<Bytes>;

    /// Makes these the stored bytes of an object, of any length.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    async fn write(&self, object: &str, bytes: Bytes) -> Result<()>;

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// If it may still be there.
    async fn remove(&self, object: &str) -> Result<()>;
}

/// Makes what lies below the store fail: a file system, a server, the store that a decorator is around.
pub trait Failures: Send + Sync {
    /// How many operations were asked of it so far.
    fn operations(&self) -> u64;

    /// Has the `nth` operation from now on fail, once: 1 is the next one, 0 none. It fails with a kind that
    /// blames nobody above, such as [`Unavailable`](cache_core::ErrorKind::Unavailable), and is not carried out.
    fn fail(&self, nth: u64);
}

/// Ends a store as the death of its process does.
#[async_trait]
pub trait Crash: Send + Sync {
    /// What the next [`open`](crate::Factory::open) finds is what was stored at some moment within this call.
    ///
    /// The old store may still be held; whatever it still does reaches nobody.
    ///
    /// # Errors
    ///
    /// If it could not be killed; that fails the clause.
    ///
    /// # Cancel safety
    ///
    /// The suite always awaits it to the end.
    async fn crash(&self) -> Result<()>;
}

/// Opens the store as one that hands on what it evicts.
#[async_trait]
pub trait Spill: Send + Sync {
    /// As [`Factory::open`](crate::Factory::open), of the same place.
    ///
    /// # Errors
    ///
    /// What opening fails with; it fails the clause.
    ///
    /// # Cancel safety
    ///
    /// The suite always awaits it to the end.
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn SpillSource>>;
}

/// Tells how much memory the process holds, in a test binary that runs nothing else at the same time.
pub trait Heap: Send + Sync {
    /// Bytes on the heap now.
    fn allocated(&self) -> u64;

    /// Bytes that the store holds at most, by its options, of what is on its way: the parts that an upload is made of,
    /// for example. They are allowed besides 4 MiB for each tier.
    fn held_on_the_way(&self) -> u64 {
        0
    }
}
