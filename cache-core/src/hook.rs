//! What is done around every operation: a lock, a session, a span, a permit.

mod around;
mod guard;
mod limited;
mod operation;
mod per_key_lock;
mod serialized;
mod table;
mod traced;

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use crate::Result;

pub(crate) use around::{Hooks, pulled, try_within, within};
pub(crate) use guard::Held;
pub use {
    guard::Guard,
    limited::Limited,
    operation::{Intent, Operation, Target},
    per_key_lock::PerKeyLock,
    serialized::Serialized,
    traced::Traced,
};

/// Something that is entered around every operation and left when it ends.
///
/// Attach it to a store with [`Hooked`](crate::Hooked). Without one nothing is done and nothing is paid.
///
/// A compound operation is one operation: the hook is entered before its first step and left after the
/// last. Operations nest, where a computation asks the cache again, or where a hook is on several
/// layers. They share an [`Operation::chain_id`], also those that run side by side inside of one
/// operation: a hook that makes operations wait lets at least the nested ones share what is held.
///
/// Several hooks nest: the first is entered first and left last. A hook that limits how many operations
/// run belongs before one that locks: whoever waits for a permit must not hold a lock that the owner of
/// the permit may ask for.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use cache_core::{Guard, Intent, Operation, OperationHook, Result};
///
/// /// Counts the writes.
/// #[derive(Debug, Default)]
/// struct Writes(AtomicU64);
///
/// #[async_trait::async_trait]
/// impl OperationHook for Writes {
///     async fn enter(&self, operation: &Operation) -> Result<Guard> {
///         if operation.intent == Intent::Write {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///         Ok(Guard::none())
///     }
///
///     fn try_enter(&self, _operation: &Operation) -> Option<Guard> {
///         Some(Guard::none()) // only reads are tried
///     }
/// }
/// ```
#[async_trait]
pub trait OperationHook: Debug + Send + Sync + 'static {
    /// Waits until the operation may begin. What the guard holds is held until the operation ends.
    ///
    /// # Errors
    ///
    /// An error refuses the operation: it is not begun, and this is what the caller gets. The
    /// operation and the key are added to it.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped must leave nothing held.
    async fn enter(&self, operation: &Operation) -> Result<Guard>;

    /// The same without waiting, for [`get_now`](crate::Store::get_now). `None` means that it would have
    /// to wait or refuse: the caller asks again with an operation that may wait.
    fn try_enter(&self, operation: &Operation) -> Option<Guard>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<H: OperationHook + ?Sized> OperationHook for Arc<H> {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        (**self).enter(operation).await
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        (**self).try_enter(operation)
    }
}

#[cfg(test)]
pub(crate) mod recorder;
#[cfg(test)]
mod tests;
