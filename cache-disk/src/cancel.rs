//! What happens to a write whose caller went away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cache_core::{Error, ErrorKind, Result};

/// Set when nobody waits for a write any more. Looked at under the key's stripe, immediately before
/// the write becomes visible: what its caller does to that key next happens after it, or instead.
#[derive(Debug, Default)]
pub(crate) struct Cancel(AtomicBool);

impl Cancel {
    /// An error, which nobody sees, if the write was dropped.
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        if self.0.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "disk", operation).with_detail("it was dropped"));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Cancels the work that a future waits for when the future is dropped; when it has ended, that means
/// nothing any more.
pub(crate) struct CancelOnDrop(pub(crate) Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}
