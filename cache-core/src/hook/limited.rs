use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Guard, Operation, OperationHook, Result};

/// Lets at most so many operations run at once; the others wait in the order of their coming.
///
/// For a backend that slows down or fails under too many calls at once. Operations that are nested in
/// one that runs, also side by side, run on its permit: else as many nested ones as there are permits
/// would wait for each other. Operations are counted over everything that shares this value.
///
/// Put it before hooks that lock: whoever waits for a permit must not hold what the owner of one may
/// ask for.
///
/// A nested operation in a task of its own takes a permit of its own, unless it is
/// [`carried`](crate::carried).
#[derive(Debug)]
pub struct Limited {
    permits: Arc<Semaphore>,
    running: Arc<Running>,
}

impl Limited {
    /// At most `operations` at once.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for 0, with which nothing would ever run.
    pub fn new(operations: usize) -> Result<Self> {
        if operations == 0 {
            return Err(Error::invalid("at least one operation must be allowed to run"));
        }
        let permits = Arc::new(Semaphore::new(operations.min(Semaphore::MAX_PERMITS)));
        Ok(Self { permits, running: Arc::default() })
    }
}

/// By the operation that got it, a permit, and how many operations run on it: that one and those nested
/// in it.
#[derive(Debug, Default)]
struct Running(Mutex<HashMap<u64, (usize, OwnedSemaphorePermit)>>);

impl Running {
    fn permits(&self) -> MutexGuard<'_, HashMap<u64, (usize, OwnedSemaphorePermit)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more operation on the permit of one that it is nested in.
    fn join(self: &Arc<Self>, operation: &Operation) -> Option<Run> {
        let mut permits = self.permits();
        for owner in &**operation.chain().operations() {
            if let Some((operations, _)) = permits.get_mut(owner) {
                *operations += 1;
                return Some(Run { running: Arc::clone(self), owner: *owner });
            }
        }
        None
    }

    /// Counts the operation to which this permit came.
    fn begin(self: &Arc<Self>, operation: &Operation, permit: OwnedSemaphorePermit) -> Run {
        let owner = operation.chain().operations().last().copied().unwrap_or_default();
        let mut spare = Some(permit);
        let mut permits = self.permits();
        if let Some((operations, _)) = permits.get_mut(&owner) {
            *operations += 1;
        } else if let Some(permit) = spare.take() {
            permits.insert(owner, (1, permit));
        }
        drop(permits);
        // Of an operation that entered twice at once. To give it back calls a waiter, so not under the lock.
        drop(spare);
        Run { running: Arc::clone(self), owner }
    }
}

/// One operation that runs.
struct Run {
    running: Arc<Running>,
    owner: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut permits = self.running.permits();
        let Some((operations, _)) = permits.get_mut(&self.owner) else { return };
        *operations = operations.saturating_sub(1);
        let last = if *operations == 0 { permits.remove(&self.owner) } else { None };
        drop(permits);
        // This calls a waiter, so not under the lock.
        drop(last);
    }
}

#[async_trait]
impl OperationHook for Limited {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        if let Some(run) = self.running.join(operation) {
            return Ok(Guard::holding(run));
        }
        // Never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|closed| Error::invalid("the limit is closed").with_source(closed))?;
        Ok(Guard::holding(self.running.begin(operation, permit)))
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        if let Some(run) = self.running.join(operation) {
            return Some(Guard::holding(run));
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Guard::holding(self.running.begin(operation, permit)))
    }
}

#[cfg(test)]
mod tests;
