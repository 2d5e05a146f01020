use async_trait::async_trait;

use super::table::{Mode, Table};
use crate::{Guard, Operation, OperationHook, Result};

/// Runs one operation at a time, reads too, in the order of their coming.
///
/// For a store below that cannot take two calls at once. Nested operations run within the one that they
/// are nested in, and share it if they run side by side; where this hook is not around the outer one,
/// they come one after the other. Operations are serialized over everything that
/// shares this value (behind an `Arc`), and only there.
///
/// A nested operation in a task of its own is a stranger, unless it is [`carried`](crate::carried): it
/// would wait for the operation that waits for it.
///
/// ```
/// use std::sync::Arc;
/// use cache_core::{Hooked, Serialized};
///
/// # fn wrap(store: Arc<dyn cache_core::Store>) {
/// let store = Hooked::new(store, Arc::new(Serialized::default()));
/// # let _ = store;
/// # }
/// # let _ = wrap;
/// ```
#[derive(Debug, Default)]
pub struct Serialized {
    table: Table<()>,
}

#[async_trait]
impl OperationHook for Serialized {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        Ok(Guard::holding(self.table.lock(operation, (), Mode::Exclusive).await?))
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        self.table.try_lock(operation, (), Mode::Exclusive).map(Guard::holding)
    }
}

#[cfg(test)]
mod tests;
