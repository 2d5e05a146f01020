//! A tier that is written behind, or that is owed what it failed to write.
//!
//! Of each key there is one word: an entry, or that there is none. Reads go by it until the tier has it. A word leaves
//! the queue after the tier has it and not before, so there is no moment at which neither shows it.

mod drain;
mod overlay;
mod queue;
#[cfg(test)]
mod tests;
mod word;
mod write;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport, usage_by_listing,
};
use futures::stream::BoxStream;
use tokio::{sync::Notify, time::Instant};
use tokio_util::task::TaskTracker;

use self::{queue::Queue, word::What};
use crate::{
    TierOptions, WritePolicy,
    close::close_in_time,
    flush::adding,
    key_lock::KeyLocks,
    layered::{to_its_end, within},
    tally::Tally,
};

/// Goes around the store of a tier. Clones share the queue.
///
/// What was accepted and not flushed is lost when the last clone is dropped without a close, as it is with the process.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    shared: Arc<Shared>,
    /// Tells the task that writes whether anybody is left to write for.
    _alive: Arc<()>,
}

/// Why a flush failed that wrote everything.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) error: Error,
    /// What [`Behind::told`] is told, once somebody knows of it.
    pub(crate) up_to: u64,
}

#[derive(Debug)]
struct Shared {
    inner: Arc<dyn Store>,
    info: StoreInfo,
    options: TierOptions,
    /// Whether puts are queued; else they pass, and only what is owed is.
    is_behind: bool,
    tally: Arc<Tally>,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    /// Who writes a key in the tier holds its turn.
    locks: KeyLocks,
    tasks: TaskTracker,
    /// There is something new for the task that writes.
    wake: Notify,
    /// There may be room now.
    freed: Notify,
    /// Those who wait for room stand here one behind the other.
    door: tokio::sync::Mutex<()>,
    alive: Weak<()>,
    /// Whether the store below was told to close: from there on nothing can be written.
    ended: AtomicBool,
    /// Whether a close has said what was left.
    is_told: AtomicBool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, kind: ErrorKind, operation: &'static str) -> Error {
        Error::new(kind, self.info.kind.clone(), operation)
    }

    fn open_for(&self, operation: &'static str) -> Result<()> {
        if self.queue().closed {
            return Err(self.error(ErrorKind::Closed, operation));
        }
        Ok(())
    }

    /// The word of a key, by which reads go instead of by the tier.
    fn word(&self, key: &Key, operation: &'static str) -> Result<Option<What>> {
        let queue = self.queue();
        if queue.closed {
            return Err(self.error(ErrorKind::Closed, operation));
        }
        Ok(queue.word(key).cloned())
    }
}

impl Behind {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        options: &TierOptions,
        tally: Arc<Tally>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let alive = Arc::new(());
        let mut info = store.info();
        info.powers.spills = false;
        let shared = Shared {
            inner: store,
            info,
            options: options.clone(),
            is_behind: options.write == WritePolicy::Behind,
            tally,
            clock,
            queue: Mutex::new(Queue::new(options.queue_bytes)),
            locks: KeyLocks::default(),
            tasks: TaskTracker::new(),
            wake: Notify::new(),
            freed: Notify::new(),
            door: tokio::sync::Mutex::default(),
            alive: Arc::downgrade(&alive),
            ended: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), _alive: alive }
    }

    /// Whether there is room to owe the tier these blobs, or, without any, an eviction.
    pub(crate) fn has_room(&self, key: &Key, blobs: &[(BlobName, Bytes)]) -> bool {
        let what = match blobs {
            [] => What::Evict,
            blobs => self.shared.hold(blobs.to_vec(), &PutOptions::default()),
        };
        tokio::runtime::Handle::try_current().is_ok() && self.shared.queue().has_room(key, &what)
    }

    /// Owes the tier this entry, which its put failed to write: as if it had been written behind. It is taken also
    /// where others have taken the room since it was found: only so much is over the bound.
    pub(crate) fn owe_put(&self, key: &Key, blobs: Vec<(BlobName, Bytes)>, options: &PutOptions) -> bool {
        self.shared.owe(key, self.shared.hold(blobs, options), true)
    }

    /// Owes the tier an eviction: from now on reads find nothing under the key, and the tier drops what it has when
    /// it can. As [`owe_put`](Self::owe_put).
    pub(crate) fn owe_evict(&self, key: &Key) -> bool {
        self.shared.owe(key, What::Evict, true)
    }

    /// A flush that tells of losses again and again, until one who asked has them [told](Self::told): its answer may
    /// be held up by other tiers, and never come.
    pub(crate) async fn flush_telling(&self) -> Result<Result<FlushReport, Loss>> {
        self.shared.open_for("flush")?;
        let written = self.shared.write_down().await;
        let flushed = self.shared.inner.flush().await;
        written?;
        let report = flushed?;
        Ok(self.shared.untold().map_or(Ok(report), Err))
    }

    /// Has the word of a key written, if there is one.
    pub(crate) async fn settle(&self, key: &Key) -> Result<()> {
        if self.shared.word(key, "put")?.is_none() {
            return Ok(());
        }
        let work = Arc::clone(&self.shared).write_in_turn(key.clone());
        to_its_end(&self.shared.tasks, "put", work).await
    }

    /// Losses up to this one need not be told again.
    pub(crate) fn told(&self, up_to: u64) {
        self.shared.queue().told(up_to);
    }

    /// Entries that wait to be written now, and the bytes in memory that the bound counts.
    pub(crate) fn queued(&self) -> (u64, u64) {
        self.shared.queue().len()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyManagement for Behind {
    async fn contains(&self, key: &Key) -> Result<bool> {
        match self.shared.word(key, "contains")? {
            Some(what) => Ok(matches!(what, What::Put(_))),
            None => self.shared.inner.contains(key).await,
        }
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.shared.open_for("evict")?;
        self.shared.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        overlay::list(Arc::clone(&self.shared), options)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Behind {
    fn info(&self) -> StoreInfo {
        self.shared.info.clone()
    }

    fn metrics(&self) -> Metrics {
        self.shared.inner.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        match self.shared.word(&key.to_key(), "get") {
            Ok(None) => self.shared.inner.get_now(key, blob),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let info = &self.shared.info;
        match self.shared.word(key, "get")? {
            Some(What::Put(held)) => held
                .blob(info, blob, &options)
                .map_err(|error| error.at(info.kind.clone(), "get").with_key(key)),
            Some(What::Evict) => Ok(None),
            None => self.shared.inner.get(key, blob, options).await,
        }
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        match self.shared.word(key, "get_entry")? {
            Some(What::Put(held)) => held.read(&self.shared.info, key, &options.whole()).map(Some),
            Some(What::Evict) => Ok(None),
            None => self.shared.inner.get_entry(key, options).await,
        }
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.shared.open_for("put")?;
        self.shared.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        match self.shared.word(key, "meta")? {
            Some(What::Put(held)) => Ok(Some(held.meta(&self.shared.info, key))),
            Some(What::Evict) => Ok(None),
            None => self.shared.inner.meta(key).await,
        }
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.shared.open_for("usage")?;
        usage_by_listing(self, scope).await
    }

    /// What waits is written first: the tier knows best what goes. What could not be is not cleaned, and that is an
    /// error.
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.shared.open_for("clean")?;
        let written = self.shared.write_down().await;
        let report = self.shared.inner.clean(scope, policy).await?;
        written.map(|()| report)
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.shared.open_for("verify")?;
        // What could not be written is not there yet to be damaged.
        _ = self.shared.write_down().await;
        self.shared.inner.verify(scope, options).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.flush_telling().await?.map_err(|loss| {
            // In the poll that answers: a flush that is dropped has told nobody.
            self.told(loss.up_to);
            loss.error
        })
    }

    /// Each word is tried once more. What could not be written is left, and so are lost puts that no flush has told of: the first
    /// close that answers says how much.
    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let shared = &self.shared;
        shared.queue().closed = true;
        shared.wake.notify_one();
        shared.freed.notify_waiters();
        shared.tasks.close();
        let begun = Instant::now();
        let rest = || deadline.map(|deadline| deadline.saturating_sub(begun.elapsed()));
        if !shared.ended.load(Ordering::Acquire) {
            _ = within(deadline, shared.write_down()).await;
            // Writes that are under way, and the task that began them.
            _ = within(rest(), shared.tasks.wait()).await;
            shared.ended.store(true, Ordering::Release);
        }
        let closed = close_in_time(&*shared.inner, rest()).await;
        let (words, lost) = {
            let queue = shared.queue();
            (queue.len().0, queue.lost().map_or(0, |lost| lost.puts))
        };
        // Who closed before was told.
        let left = if shared.is_told.swap(true, Ordering::AcqRel) { 0 } else { words.saturating_add(lost) };
        match closed {
            Ok(mut report) => {
                report.left = report.left.saturating_add(left);
                Ok(report)
            }
            Err(error) if left > 0 => {
                Err(adding(error, &format!("{left} entries were not written and are lost")))
            }
            Err(error) => Err(error),
        }
    }
}
