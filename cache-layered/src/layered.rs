use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead, Error,
    ErrorKind, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
    clean_by_listing, usage_by_listing,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream,
    stream::BoxStream,
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    key_lock::KeyLocks,
    merge,
    spill::Spilling,
    tier::{LayeredBuilder, Tier, info_of},
};

/// Stores as tiers, fastest first. Clones share them.
///
/// - **Reads** ask the tiers in order, one atomic read each. A tier that fails is passed over and
///   counted; the read fails only if no tier could answer. What a slower tier has is copied into the
///   faster ones as a whole entry, if their limits let it in; a copy that fails does not fail the read.
///   A read of a range copies nothing.
/// - **Puts** that replace an entry go to every tier, fastest first. One that fails leaves the older value:
///   slower tiers are not touched, faster ones drop what they took. Streams are read once. Merges and fills
///   go to the slowest tier that has the entry; faster ones drop it until the next read brings it back
///   whole, slower ones get a copy of the whole.
/// - **Spill**: a tier with the policy [`Spill`](crate::WritePolicy::Spill) gets what the tier above it evicts or
///   is too small for, each version once. A put over a key that it has is written to it, too; merges live
///   there. What cannot be written there is lost and counted as `spill_errors`. A flush and a close write down what
///   the upper tier alone has, if the stack is durable by the lower one, which has to be this stack's alone.
/// - **Evictions** take the entry from all tiers. `contains` and `meta` ask the tiers in order, promote
///   nothing, and fail rather than guess if a tier cannot tell. `flush` and `close` mean every tier.
/// - **Verify** reads each tier apart. What is damaged in one is written again from another that has a sound copy, with
///   its time; which of several copies, decides the slowest tier.
/// - **Listings** merge those of the tiers: the same key is one entry. They need every tier.
/// - **Several processes** may share the slower tiers. A tier of one process alone, such as memory, learns
///   nothing of what others write: what it took once it answers until it lets go of it, as a whole.
///
/// Budgets are the tiers' own. The writes of one key run one after another and, once they have begun to
/// change a tier, to their end, also if their futures are dropped; a merge that streams is the exception.
/// A copy into a faster tier is given up when a write of its key comes in between.
#[derive(Clone)]
pub struct LayeredStore(Arc<Inner>);

struct Inner {
    tiers: Vec<Tier>,
    info: StoreInfo,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    locks: KeyLocks,
    /// The copies into other tiers, and the writes that run to their end.
    tasks: TaskTracker,
    spilling: Option<Spilling>,
    cleaning: tokio::sync::Mutex<()>,
    closed: AtomicBool,
}

impl LayeredStore {
    /// Begins a stack without tiers.
    pub fn builder() -> LayeredBuilder {
        LayeredBuilder::new()
    }

    /// A stack of these tiers; `None` if what one evicts is another stack's.
    pub(crate) fn of(mut tiers: Vec<Tier>, clock: Arc<dyn Clock>) -> Option<Self> {
        let info = info_of(&tiers);
        tiers.iter_mut().for_each(|tier| tier.recency = info.powers.recency);
        let (counters, locks, tasks) = (Arc::default(), KeyLocks::default(), TaskTracker::new());
        let spilling = Spilling::of(&tiers, &locks, &counters, &tasks);
        if spilling.as_ref().is_some_and(|spilling| !spilling.begin()) {
            return None;
        }
        Some(Self(Arc::new(Inner {
            tiers,
            info,
            clock,
            counters,
            locks,
            tasks,
            spilling,
            cleaning: tokio::sync::Mutex::default(),
            closed: AtomicBool::new(false),
        })))
    }

    pub(crate) fn tiers(&self) -> &[Tier] {
        &self.0.tiers
    }

    pub(crate) fn facts(&self) -> &StoreInfo {
        &self.0.info
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn spilling(&self) -> Option<&Spilling> {
        self.0.spilling.as_ref()
    }

    pub(crate) fn locks(&self) -> &KeyLocks {
        &self.0.locks
    }

    /// As [`to_its_end`], as a task of this stack.
    pub(crate) fn to_its_end<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        to_its_end(&self.0.tasks, operation, work)
    }

    async fn write_down(&self) -> Result<()> {
        match self.spilling() {
            Some(spilling) => spilling.write_down().await,
            None => Ok(()),
        }
    }

    fn open_for(&self, operation: &'static str) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "layered", operation));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyManagement for LayeredStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = match self.open_for("contains") {
            Ok(()) => self.holds(key).await,
            Err(closed) => Err(closed),
        };
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.open_for("evict")?;
        self.evict_everywhere(key).await?;
        self.0.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        match self.open_for("list") {
            Ok(()) => merge::list(&self.0.tiers, self.spilling().map(Spilling::source_at), &options),
            Err(closed) => stream::iter([Err(closed)]).boxed(),
        }
    }
}

#[async_trait]
impl Store for LayeredStore {
    fn info(&self) -> StoreInfo {
        self.0.info.clone()
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.counters.snapshot();
        metrics.tiers = self.0.tiers.iter().map(|tier| (tier.name.clone(), tier.store.metrics())).collect();
        metrics
    }

    /// Answers from the fastest tier alone.
    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        if self.open_for("get").is_err() {
            return None;
        }
        let bytes = self.0.tiers.first()?.store.get_now(key, blob)?;
        self.0.counters.hit(bytes.len() as u64);
        Some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = match self.open_for("get") {
            Ok(()) => self.read(key, blob, options.clone()).await,
            Err(closed) => Err(closed),
        };
        self.0.counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = match self.open_for("get_entry") {
            Ok(()) => self.read_entry(key, options.clone()).await,
            Err(closed) => Err(closed),
        };
        self.0.counters.read_with(&options, &read, |entry| entry.meta.counted_bytes());
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let outcome = match self.open_for("put") {
            Ok(()) => self.write(key, entry, options).await,
            Err(closed) => Err(closed),
        };
        let outcome = outcome.map_err(|error| match error.store() {
            "" => error.at("layered", "put").with_key(key),
            _ => error.with_key(key),
        });
        self.0.counters.put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.open_for("meta")?;
        self.known(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.open_for("usage")?;
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.open_for("clean")?;
        let _one_at_a_time = self.0.cleaning.lock().await;
        let counters = &self.0.counters;
        clean_by_listing(self, scope, policy, self.0.clock.now(), |entry| {
            counters.eviction(entry.counted_bytes());
        })
        .await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.open_for("verify")?;
        let report = self.verify_tiers(scope, options).await;
        self.0.counters.verified(&report);
        report
    }

    async fn flush(&self) -> Result<FlushReport> {
        let flushed = match self.open_for("flush") {
            Ok(()) => {
                let written = self.write_down().await;
                flush_all(&self.0.tiers).await.and_then(|report| written.map(|()| report))
            }
            Err(closed) => Err(closed),
        };
        self.0.counters.flush(flushed.is_ok());
        flushed
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.closed.store(true, Ordering::Release);
        self.0.tasks.close();
        let (mut left, mut deadline) = drain(&self.0.tasks, deadline).await;
        if let Some(spilling) = self.spilling() {
            let begun = Instant::now();
            // What cannot be written now is told as left.
            _ = within(deadline, spilling.write_down()).await;
            left = left.saturating_add(spilling.left());
            deadline = deadline.map(|deadline| deadline.saturating_sub(begun.elapsed()));
        }
        let closes = join_all(self.0.tiers.iter().map(|tier| tier.store.close(deadline))).await;
        let mut reports = Vec::new();
        for (tier, report) in self.0.tiers.iter().zip(closes) {
            reports.push((tier.name.clone(), report.map_err(|error| tier.failed("close", error))?));
        }
        let mut report = CloseReport::of_tiers(reports);
        report.left = report.left.saturating_add(left);
        Ok(report)
    }
}

/// Runs work that has begun to change a tier to its end, although its caller may not wait for it: what
/// a store does on a blocking thread must not land after the key's turn was given back.
pub(crate) fn to_its_end<T: Send + 'static>(
    tasks: &TaskTracker,
    operation: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> BoxFuture<'static, Result<T>> {
    let Ok(handle) = Handle::try_current() else { return work.boxed() };
    let task = tasks.spawn_on(work, &handle);
    async move {
        task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "layered", operation).with_source(error))
        })
    }
    .boxed()
}

/// Waits for `tasks` until `deadline` has passed: how many are left, and what is left of the time.
async fn drain(tasks: &TaskTracker, deadline: Option<Duration>) -> (u64, Option<Duration>) {
    if tasks.is_empty() || Handle::try_current().is_err() {
        return (tasks.len() as u64, deadline);
    }
    let Some(deadline) = deadline else {
        tasks.wait().await;
        return (0, None);
    };
    let begun = Instant::now();
    let drained = tokio::time::timeout(deadline, tasks.wait()).await.is_ok();
    let left = if drained { 0 } else { tasks.len() as u64 };
    (left, Some(deadline.saturating_sub(begun.elapsed())))
}

/// Flushes every tier, also after one failed; the first failure is the answer.
async fn flush_all(tiers: &[Tier]) -> Result<FlushReport> {
    let flushes = join_all(tiers.iter().map(|tier| tier.store.flush())).await;
    let reports: Result<Vec<_>> = tiers
        .iter()
        .zip(flushes)
        .map(|(tier, report)| {
            let report = report.map_err(|error| tier.failed("flush", error))?;
            Ok((tier.name.clone(), report))
        })
        .collect();
    reports.map(FlushReport::of_tiers)
}

/// What `work` answers, if it does before the deadline has passed.
async fn within<T>(deadline: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) if Handle::try_current().is_ok() => tokio::time::timeout(deadline, work).await.ok(),
        _ => Some(work.await),
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(spilling) = &self.spilling {
            spilling.end();
        }
    }
}

impl fmt::Debug for LayeredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredStore").field("tiers", &self.0.tiers).finish_non_exhaustive()
    }
}
