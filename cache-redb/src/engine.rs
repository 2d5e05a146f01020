//! What the handles of a store and its writer share.

mod look;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use cache_core::{BlockingTasks, Clock, Counters, EntryMeta, Error, ErrorKind, Key, KeyView, Result};
use tokio::sync::oneshot;

pub(crate) use look::{Look, Steady};

use crate::{
    RedbOptions,
    chunks::ChunkIds,
    contain::Contained,
    medium::Medium,
    queue::{Only, Op, Queue, Reply},
    reading::Readings,
    recency::Recency,
    rows::{EntryRow, Totals},
    snapshot::Snapshot,
    writer::{self, Writer},
};

pub(crate) struct Engine {
    pub(crate) medium: Arc<dyn Medium>,
    pub(crate) options: RedbOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) recency: Recency,
    /// All that runs on a blocking thread, so that `close` can wait for it.
    pub(crate) tasks: BlockingTasks,
    pub(crate) queue: Queue,
    snapshot: ArcSwapOption<Contained<Snapshot>>,
    /// Held while the reads that are noted move from memory into a snapshot.
    switch: RwLock<()>,
    /// The writer, while it has nothing to do.
    parked: Mutex<Option<Writer>>,
    held: Mutex<Totals>,
    /// The last stamp of a use.
    stamp: AtomicU64,
    pub(crate) ids: ChunkIds,
    pub(crate) readings: Arc<Readings>,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        options: RedbOptions,
        clock: Arc<dyn Clock>,
        tasks: BlockingTasks,
        readings: Arc<Readings>,
    ) -> Self {
        let queue = Queue::new(options.max_bytes);
        Self {
            medium,
            options,
            clock,
            counters: Counters::default(),
            recency: Recency::default(),
            tasks,
            queue,
            snapshot: ArcSwapOption::empty(),
            switch: RwLock::default(),
            parked: Mutex::default(),
            held: Mutex::default(),
            stamp: AtomicU64::new(0),
            ids: ChunkIds::default(),
            readings,
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn next_stamp(&self) -> u64 {
        self.stamp.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn last_stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// A database was opened in which this was the last stamp.
    pub(crate) fn go_on_after(&self, stamp: u64) {
        self.stamp.fetch_max(stamp, Ordering::Relaxed);
    }

    pub(crate) fn held(&self) -> Totals {
        *lock(&self.held)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn closed(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::Closed, "redb", operation)
    }

    pub(crate) fn park(&self, writer: Writer) {
        *lock(&self.parked) = Some(writer);
    }

    pub(crate) fn unpark(&self) -> Option<Writer> {
        lock(&self.parked).take()
    }

    /// From now on reads see this, and those that were noted are in it if `noted`.
    pub(crate) fn publish(&self, snapshot: Option<Snapshot>, held: Totals, noted: bool) {
        let snapshot = snapshot.map(|snapshot| Arc::new(Contained::new(snapshot)));
        let switch = self.switch.write().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.swap(snapshot);
        if noted {
            self.recency.written();
        }
        drop(switch);
        *lock(&self.held) = held;
        drop(old);
    }

    /// The current snapshot.
    pub(crate) fn snapshot(&self) -> Option<Arc<Contained<Snapshot>>> {
        self.snapshot.load_full()
    }

    /// Has the writer do something, and waits for that.
    pub(crate) async fn ask<T>(
        self: &Arc<Self>,
        operation: &'static str,
        op: impl FnOnce(Reply<T>) -> Op,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let is_first = self.queue.push(op(reply)).await.map_err(|error| error.at("redb", operation))?;
        if is_first {
            self.start();
        }
        let lost = || Error::new(ErrorKind::Internal, "redb", operation).with_detail("the writer panicked");
        answer.await.unwrap_or_else(|_| Err(lost())).map_err(|error| match error.store() {
            "" => error.at("redb", operation),
            _ => error,
        })
    }

    /// Has the writer do something, which nobody waits for.
    pub(crate) fn tell(self: &Arc<Self>, op: Op) {
        if self.queue.push_now(op) == Some(true) {
            self.start();
        }
    }

    /// Removes an entry that was found damaged; nobody waits for that.
    pub(crate) fn forsake(self: &Arc<Self>, key: &Key, only: Only) {
        if !self.options.read_only {
            self.tell(Op::Forsake { key: key.clone(), only });
        }
    }

    fn start(self: &Arc<Self>) {
        let work = Work(Arc::clone(self));
        self.tasks.spawn(move || drop(work));
    }

    /// Notes that an entry was read.
    pub(crate) fn touch(self: &Arc<Self>, key: KeyView<'_>) {
        if !self.options.read_only && self.recency.touch(key, self.next_stamp(), self.clock.now()) {
            self.tell(Op::Drain { reply: None });
        }
    }

    /// What is known of an entry by its row, and of the reads that the row does not tell of yet; `None` if the row
    /// is damaged.
    pub(crate) fn meta(&self, key: Key, row_key: &[u8], row: &[u8]) -> Option<EntryMeta> {
        let mut row = EntryRow::decode(row_key, row)?;
        if let Some(reads) = self.recency.unwritten(&key) {
            row.last = reads.after(row.last);
        }
        Some(row.meta(key).with_place("redb", self.medium.location().to_owned()))
    }
}

/// What there is to be written. It is done when this is dropped: by a task that takes it, or by a runtime that ends and
/// drops the task before it began. Others would wait for ever else, for they see that a writer is at work.
struct Work(Arc<Engine>);

impl Drop for Work {
    fn drop(&mut self) {
        writer::work(&self.0);
    }
}
