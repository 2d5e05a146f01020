use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{Result, Store};

use crate::{Crash, Damage, Failures, Handle, Heap, Spill};

/// Opens the store that the suite is run over.
///
/// Every clause gets a factory of its own. The value owns what the store needs as long as the clause
/// runs, such as a temporary directory; it is dropped after the store and after its runtime.
///
/// Only [`open`](Self::open) must be written. The others hand out what reaches behind the store; tell
/// [`suite!`](crate::suite) which of them there are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` opens no store: it is no `Factory`",
    note = "the suite takes a value of a type of yours that implements `cache_conformance::Factory`"
)]
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// Opens the store. A second open over the same factory is of the same directory, file or bucket: the
    /// restart if the first store was closed and dropped, else a second process beside it.
    ///
    /// # Errors
    ///
    /// What opening fails with: [`Unsupported`](cache_core::ErrorKind::Unsupported) or
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for a budget that the store cannot keep,
    /// [`Locked`](cache_core::ErrorKind::Locked) if it is durable, not shared and open. Anything else fails
    /// the clause.
    ///
    /// # Cancel safety
    ///
    /// The suite always awaits it to the end, or ends with the clause.
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>>;

    /// Changes stored bytes, for the group `corruption`.
    fn damage(&self) -> Option<&dyn Damage> {
        None
    }

    /// Makes what lies below fail, for the group `faults`.
    fn failures(&self) -> Option<&dyn Failures> {
        None
    }

    /// Kills the store, for the group `crash`.
    fn crash(&self) -> Option<&dyn Crash> {
        None
    }

    /// Opens the store as a source, for the group `spill`. Who declares the power `spills` has it.
    fn spill(&self) -> Option<&dyn Spill> {
        None
    }

    /// Counts allocations, for the group `heap`.
    fn heap(&self) -> Option<&dyn Heap> {
        None
    }
}

impl dyn Factory {
    /// Whether it has what some clauses need.
    pub(crate) fn has(&self, handle: Handle) -> bool {
        match handle {
            Handle::Damage => self.damage().is_some(),
            Handle::Failures => self.failures().is_some(),
            Handle::Crash => self.crash().is_some(),
            Handle::Spill => self.spill().is_some(),
            Handle::Heap => self.heap().is_some(),
        }
    }
}

/// What a clause asks of the store that it opens; by default a store without limits.
///
/// A store with tiers gives the limits to each tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setup {
    /// The budget in bytes of blobs.
    pub max_bytes: Option<u64>,
    /// The largest blob.
    pub max_blob_bytes: Option<u64>,
}

impl Setup {
    /// Asks for a budget.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Asks for a limit on each blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, bytes: u64) -> Self {
        self.max_blob_bytes = Some(bytes);
        self
    }
}
