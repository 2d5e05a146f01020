use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead, Error,
    ErrorKind, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
    usage_by_listing,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{
    Quorum, WritePolicy,
    close::close_all,
    flush::{adding, flush_all},
    key_lock::KeyLocks,
    merge,
    promote::Underway,
    spill::Spilling,
    tier::{LayeredBuilder, Tier, info_of},
};

/// Stores as tiers, fastest first. Clones share them. [`TierOptions`](crate::TierOptions) say what each is for.
///
/// - **Reads** ask the tiers that are read in order, one atomic read each. A tier that fails is passed over and
///   counted; the read fails only if no tier could answer. What a slower tier has is fetched once for all who ask
///   for it at the same time, and [copied](crate::Promotion) into the faster ones as a whole entry, if their limits
///   let it in. A large one streams to its reader and to those tiers at once. A copy that fails, hangs or has no room
///   does not fail the read. It takes the place of nothing that is newer, and what others keep in a tier that is
///   [never](crate::WritePolicy::Never) written is copied only where no tier of the stack's own has the entry. A read
///   of a range, and a quiet one, is answered alone and copies nothing.
/// - **Puts** that replace an entry go to every tier that is written by puts, fastest first, and the answer tells what
///   each did. One that fails leaves the older value: slower tiers are not touched, faster ones drop what they took. Where
///   only tiers failed that are not read, it leaves the newer one.
///   Only a tier that is written behind may have lost the older value already, of which the next flush tells.
///   Streams are read once. Merges and fills go to the slowest tier that is read and written and has the entry; faster
///   ones drop it until the next read brings it back whole, slower ones get a copy of the whole. They fail if a tier
///   cannot tell whether it has the entry, also if it is written behind, or a quorum could do without it.
/// - **Behind**: a tier with the policy [`Behind`](crate::WritePolicy::Behind) gets its puts from a queue in memory, which is
///   bounded and which all reads of the tier go by. What it can never write is lost, and counted as `dropped`; the older
///   value is evicted then. Evictions are not queued. What waits is lost with the process.
/// - **Quorum**: where [fewer than all](crate::Quorum) tiers have to take a write, it succeeds although others fail. Those
///   are owed it by the same queue, and a flush fails as long as it cannot be written. A stream needs every tier.
/// - **Spill**: a tier with the policy [`Spill`](crate::WritePolicy::Spill) gets what the tier above it evicts or
///   is too small for, each version once. A put over a key that it has is written to it, too; merges live
///   there. What cannot be written there is lost and counted as `spill_errors`. A flush and a close write down what
///   the upper tier alone has, if the stack is durable by the lower one, which has to be this stack's alone.
/// - **Evictions** take the entry from all tiers that are written; what others keep in one that is
///   [never](crate::WritePolicy::Never) is still found afterwards. `contains` and `meta` ask the tiers that are to answer
///   for existence in order, promote nothing, and fail rather than guess if one of those cannot tell.
/// - **Sick tiers**: one that has a deadline is waited for no longer. One that fails too often in a row is left alone
///   for a while by its [breaker](crate::BreakerOptions), and then until one call has found it well. A write that was
///   given up may still land, but before the next one of its key. The tier above one for spill has neither.
/// - **Clean** goes by what the stack has as a whole, and evicts nothing that was put since it began.
/// - **Flush** means every tier that is written, and what waits for it. The answer tells of each; it is an error if one
///   of them fails, if something could not be written now, or if a queued put was lost since the last flush.
/// - **Close** ends what is under way, writes what waits and closes every tier, as long as it may, and says how much was
///   left, also in its error if one fails. A tier that ignores the deadline has a second more; without a deadline it is
///   waited for.
/// - **Verify** reads each tier apart. What is damaged in one is written again from another that has a sound copy, with
///   its time; which of several copies, decides the slowest tier. [`repair`](Self::repair) also finds what is missing or old.
/// - **Listings** merge those of the tiers that are read: the same key is one entry. They need every one of them. If one
///   [counts stored bytes](cache_core::StoreInfo::counts_stored), the stack does.
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
    quorum: Quorum,
    info: StoreInfo,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    locks: KeyLocks,
    /// The copies into other tiers, and the writes that run to their end.
    tasks: TaskTracker,
    underway: Underway,
    spilling: Option<Spilling>,
    cleaning: Arc<tokio::sync::Mutex<()>>,
    closed: AtomicBool,
}

impl LayeredStore {
    /// Begins a stack without tiers.
    pub fn builder() -> LayeredBuilder {
        LayeredBuilder::new()
    }

    /// A stack of these tiers; `None` if what one evicts is another stack's.
    pub(crate) fn of(mut tiers: Vec<Tier>, quorum: Quorum, clock: Arc<dyn Clock>) -> Option<Self> {
        let info = info_of(&tiers);
        let (counters, locks, tasks) = (Arc::default(), KeyLocks::default(), TaskTracker::new());
        for tier in &mut tiers {
            tier.recency = info.powers.recency;
            tier.counts_stored = info.counts_stored;
            tier.take_up(quorum, &tasks, &clock);
        }
        let spilling = Spilling::of(&tiers, &locks, &counters, &tasks);
        if spilling.as_ref().is_some_and(|spilling| !spilling.begin()) {
            return None;
        }
        Some(Self(Arc::new(Inner {
            tiers,
            quorum,
            info,
            clock,
            counters,
            locks,
            tasks,
            underway: Underway::default(),
            spilling,
            cleaning: Arc::default(),
            closed: AtomicBool::new(false),
        })))
    }

    pub(crate) fn tiers(&self) -> &[Tier] {
        &self.0.tiers
    }

    /// The tiers that are read, fastest first. What is not read stands behind them.
    pub(crate) fn read_tiers(&self) -> &[Tier] {
        let read = self.0.tiers.iter().take_while(|tier| tier.options.read).count();
        self.0.tiers.get(..read).unwrap_or_default()
    }

    /// The tiers that are written, fastest first. What is not written stands behind them.
    pub(crate) fn written_tiers(&self) -> &[Tier] {
        let written = self.0.tiers.iter().take_while(|tier| tier.options.write != WritePolicy::Never).count();
        self.0.tiers.get(..written).unwrap_or_default()
    }

    /// The tiers that are both.
    pub(crate) fn kept_tiers(&self) -> &[Tier] {
        let (read, written) = (self.read_tiers(), self.written_tiers());
        if read.len() < written.len() { read } else { written }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    pub(crate) fn quorum(&self) -> Quorum {
        self.0.quorum
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

    /// Held by who cleans.
    pub(crate) fn cleaning(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.0.cleaning
    }

    /// The promotions that have not ended.
    pub(crate) fn underway(&self) -> &Underway {
        &self.0.underway
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

    pub(crate) fn open_for(&self, operation: &'static str) -> Result<()> {
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
        self.evict_everywhere(key, |_| true).await?;
        self.0.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        match self.open_for("list") {
            Ok(()) => merge::list(self.read_tiers(), self.spilling().map(Spilling::moving), &options),
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
        let of = |tier: &Tier| {
            let mut metrics = tier.store.metrics();
            metrics.as_tier = Some(tier.as_tier());
            (tier.name.clone(), metrics)
        };
        metrics.tiers = self.0.tiers.iter().map(of).collect();
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
        self.clean_tiers(scope, policy).await
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
                // They may fill a tier that is durable.
                self.0.underway.drained().await;
                let written = self.write_down().await;
                flush_all(self.written_tiers(), self.kept_tiers().len())
                    .await
                    .and_then(|report| written.map(|()| report))
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
        match close_all(&self.0.tiers, deadline).await {
            Ok(mut report) => {
                report.left = report.left.saturating_add(left);
                Ok(report)
            }
            Err(error) if left > 0 => Err(adding(error, &format!("the stack left {left}"))),
            Err(error) => Err(error),
        }
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

/// What `work` answers, if it does before the deadline has passed.
pub(crate) async fn within<T>(deadline: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
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
