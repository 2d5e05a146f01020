//! What a handle does to more than one entry: short digests, listings, cleaning, the ends of things.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{
    future::{Either, select},
    stream::BoxStream,
};
use tokio::time::Instant;

use crate::{
    Cache, CleanPolicy, CleanReport, CloseReport, CopyOptions, CopyReport, Digest, DigestPrefix, EntryMeta,
    FlushReport, Intent, KeyRef, ListOptions, Namespace, Operation, Result, StoreExt, Target, Usage,
    VerifyOptions, VerifyReport,
    cache::shared_work::timer,
    hook::{pulled, within},
    resolve,
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
        let expand = async {
            self.long_enough(digest, "expand")?;
            resolve::expand(&**self.store(), self.address(), digest, "expand").await
        };
        within(self.hooks(), || self.operation("expand", digest, Intent::Read), expand).await
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
        let key = self.key(digest);
        let shrink = resolve::shrink(&**self.store(), &key, self.min_digits());
        within(self.hooks(), || Operation::read("shrink", &key), shrink).await
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
        let shrink = resolve::shrink_all(&**self.store(), self.address(), digests, self.min_digits());
        within(self.hooks(), || self.scope_operation("shrink_all", Intent::Read), shrink).await
    }

    /// The entries of this namespace, ascending. `options.namespace` is taken below this one; the keys
    /// that come back, and `start_after`, are those of the store.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the namespace grows too long.
    pub fn list(&self, mut options: ListOptions) -> Result<BoxStream<'static, Result<EntryMeta>>> {
        options.namespace = self.address().join(&options.namespace)?;
        Ok(self.list_store(options))
    }

    /// The entries of any namespace of the store.
    pub(crate) fn list_store(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let target = Target::of_listing(&options);
        let operation = move || Operation::new("list", target.clone(), Intent::Read);
        pulled(Arc::clone(self.hooks()), operation, self.store().list(options))
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
        let usage = self.store().usage(self.address());
        within(self.hooks(), || self.scope_operation("usage", Intent::Read), usage).await
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
        let clean = async {
            let report = self.store().clean(self.address(), policy).await;
            if !report.as_ref().is_ok_and(|report| report.evicted_entries == 0) {
                self.flights().overtake(self.address());
            }
            report
        };
        within(self.hooks(), || self.scope_operation("clean", Intent::Write), clean).await
    }

    /// Reads through every entry of this namespace and of all below it, and tells what is damaged; what another tier
    /// has a sound copy of is written again. It makes no entry recent, and counts no hit.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # async fn scrub(cache: &cache_core::Cache) -> cache_core::Result<()> {
    /// use cache_core::VerifyOptions;
    ///
    /// let options = VerifyOptions::default().with_progress(|at| println!("{} of {}", at.entries, at.of_entries));
    /// let report = cache.verify(&options).await?;
    /// if !report.is_sound() {
    ///     eprintln!("{report}");
    /// }
    /// # Ok(()) }
    /// # let _ = scrub;
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// If the store cannot list anything. What fails later is told in the report.
    ///
    /// # Cancel safety
    ///
    /// What was damaged may have been dropped or repaired; nothing else is changed.
    pub async fn verify(&self, options: &VerifyOptions) -> Result<VerifyReport> {
        let verify = self.store().verify(self.address(), options);
        within(self.hooks(), || self.scope_operation("verify", Intent::Read), verify).await
    }

    /// Copies every entry of this namespace, and of all below it, to the namespace of `to`, and below it. As
    /// [`StoreExt::copy_to`](crate::StoreExt::copy_to) says; `options.into` is taken below that namespace. Hooks
    /// of both handles are entered once.
    ///
    /// # Errors
    ///
    /// As [`StoreExt::copy_to`](crate::StoreExt::copy_to).
    ///
    /// # Cancel safety
    ///
    /// As [`StoreExt::copy_to`](crate::StoreExt::copy_to).
    pub async fn copy_to(&self, to: &Self, options: &CopyOptions) -> Result<CopyReport> {
        let into = to.address().join(options.into.as_ref().unwrap_or(&Namespace::root()))?;
        let options = options.clone().with_into(into.clone());
        let copy = async {
            let report = self.store().copy_to(&**to.store(), self.address(), &options).await;
            to.flights().overtake(&into);
            report
        };
        let write = within(to.hooks(), || to.scope_operation("copy_to", Intent::Write), copy);
        within(self.hooks(), || self.scope_operation("copy_to", Intent::Read), write).await
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
        let operation = || Operation::new("flush", Target::Store, Intent::Read);
        let report = within(self.hooks(), operation, self.store().flush()).await;
        self.counters().flush(report.is_ok());
        report
    }

    /// Ends the store for every handle. Waits for background work, and for work that callers of this handle
    /// share, until `deadline` has passed. Hooks that do not let it begin until then are passed over.
    ///
    /// # Errors
    ///
    /// If ending it failed.
    ///
    /// # Cancel safety
    ///
    /// The store is closed from the first poll on.
    pub async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let operation = || Operation::new("close", Target::Store, Intent::Write);
        let entered = AtomicBool::new(false);
        let close = within(self.hooks(), operation, async {
            entered.store(true, Ordering::Relaxed);
            self.end(deadline).await
        });
        let Some(end) = deadline.filter(|_| !self.hooks().is_empty()).and_then(timer) else {
            return close.await;
        };
        match select(pin!(close), pin!(end)).await {
            Either::Left((report, _)) => report,
            Either::Right(((), close)) if entered.load(Ordering::Relaxed) => close.await,
            Either::Right(_) => self.end(Some(Duration::ZERO)).await,
        }
    }

    async fn end(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let begun = Instant::now();
        let mut report = self.store().close(deadline).await?;
        self.tasks().close();
        let ended = self.tasks().wait();
        match deadline {
            None => ended.await,
            Some(deadline) if !self.tasks().is_empty() => {
                if let Some(end) = timer(deadline.saturating_sub(begun.elapsed())) {
                    select(pin!(ended), pin!(end)).await;
                }
            }
            Some(_) => {}
        }
        report.left = report.left.saturating_add(self.tasks().len() as u64);
        Ok(report)
    }
}
