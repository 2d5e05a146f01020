//! What a handle does to more than one entry: short digests, listings, cleaning, the ends of things.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;

use crate::{
    Cache, CleanPolicy, CleanReport, CloseReport, Digest, DigestPrefix, EntryMeta, FlushReport, KeyRef,
    ListOptions, Metrics, Result, Usage, resolve,
};

impl Cache {
    /// The one full digest that a short one stands for.
    ///
    /// # Errors
    ///
    /// As [`StoreExt::expand`](crate::StoreExt::expand); [`Invalid`](crate::ErrorKind::Invalid) if it is too short.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn expand(&self, digest: impl Into<KeyRef>) -> Result<Digest> {
        let digest = digest.into();
        self.long_enough(digest, "expand")?;
        resolve::expand(&**self.store(), self.address(), digest, "expand").await
    }

    /// The shortest prefix that stands for `digest` alone, never shorter than this handle accepts.
    ///
    /// # Errors
    ///
    /// As [`StoreExt::shrink`](crate::StoreExt::shrink).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn shrink(&self, digest: Digest) -> Result<DigestPrefix> {
        resolve::shrink(&**self.store(), &self.key(digest), self.min_digits()).await
    }

    /// [`shrink`](Self::shrink) of many digests, in the order given.
    ///
    /// # Errors
    ///
    /// As [`StoreExt::shrink_all`](crate::StoreExt::shrink_all).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn shrink_all(&self, digests: &[Digest]) -> Result<Vec<DigestPrefix>> {
        resolve::shrink_all(&**self.store(), self.address(), digests, self.min_digits()).await
    }

    /// The entries of this namespace, ascending. `options.namespace` is taken below this one; the keys
    /// that come back, and `start_after`, are those of the store.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the namespace grows too long.
    pub fn list(&self, mut options: ListOptions) -> Result<BoxStream<'static, Result<EntryMeta>>> {
        options.namespace = self.address().join(&options.namespace)?;
        Ok(self.store().list(options))
    }

    /// What this namespace and all below it hold.
    ///
    /// # Errors
    ///
    /// If the store cannot tell.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn usage(&self) -> Result<Usage> {
        self.store().usage(self.address()).await
    }

    /// Evicts entries of this namespace and of all below it by `policy`.
    ///
    /// # Errors
    ///
    /// If the store cannot list or evict.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves whole entries.
    pub async fn clean(&self, policy: &CleanPolicy) -> Result<CleanReport> {
        self.store().clean(self.address(), policy).await
    }

    /// Makes everything that was put before durable, where the store can.
    ///
    /// # Errors
    ///
    /// If durability could not be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets nothing.
    pub async fn flush(&self) -> Result<FlushReport> {
        let report = self.store().flush().await;
        self.counters().flush(report.is_ok());
        report
    }

    /// Ends the store for every handle. Waits for background work until `deadline` has passed.
    ///
    /// # Errors
    ///
    /// If ending it failed.
    ///
    /// # Cancel safety
    ///
    /// The store is closed from the first poll on.
    pub async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.store().close(deadline).await
    }

    /// What was done through this handle, its clones and views; below it the store's own.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.counters().snapshot();
        metrics.tiers = vec![(Arc::from(self.store().info().kind.as_ref()), self.store().metrics())];
        metrics
    }
}
