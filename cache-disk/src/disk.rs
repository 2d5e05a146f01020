use std::{
    fmt,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cache_core::{
    BlockingTasks, Clock, Counters, EntryMeta, Error, ErrorKind, Key, KeyView, Result, SystemClock,
};
use tokio::sync::Semaphore;

use crate::{
    DiskOptions,
    budget::Budget,
    cancel::{Cancel, CancelOnDrop},
    index::{Index, Log},
    pending::Pending,
    queue::Queue,
    recency::Recency,
    remove::{Only, remove},
    root::Root,
    session::Session,
    stripe::Stripes,
    temporary::{Kept, Temporary, fresh_dir, wants_fresh},
};

/// A store in one directory. Clones share it; so may other processes.
#[derive(Clone)]
pub struct DiskStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    session: Mutex<Arc<Session>>,
    pub(crate) root: Root,
    /// The directory, alone or with others, until the store is closed.
    claim: Mutex<Option<OwnedFd>>,
    pub(crate) options: DiskOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) pending: Pending,
    pub(crate) index: Index,
    pub(crate) recency: Recency,
    pub(crate) budget: Budget,
    /// Whether reads are tried without waiting.
    pub(crate) inline: bool,
    /// Who goes next, between two evictions.
    queue: Mutex<Queue>,
    pub(crate) stripes: Stripes,
    /// At most one eviction at a time; who waits for it waits without a thread.
    pub(crate) evicting: Arc<Semaphore>,
    /// Everything that runs on a blocking thread, so that `close` can wait for it.
    pub(crate) tasks: BlockingTasks,
    pub(crate) closed: AtomicBool,
    /// The last, since it is dropped after all that holds files open.
    pub(crate) temporary: Temporary,
}

impl Inner {
    fn current_session(&self) -> MutexGuard<'_, Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks an entry as used now.
    pub(crate) fn touch(self: &Arc<Self>, key: KeyView<'_>) {
        if self.recency.touch(key, self.clock.now()) {
            let inner = Arc::clone(self);
            self.tasks.spawn(move || inner.write_recency());
        }
    }

    /// Writes down which entries were read. Blocks.
    pub(crate) fn write_recency(&self) {
        self.recency.drain(&self.root, || self.clock.now());
    }

    /// What is known of an entry, with reads that only this store knows of.
    pub(crate) fn with_recency(&self, mut meta: EntryMeta) -> EntryMeta {
        meta.last_accessed = meta.last_accessed.max(self.recency.last(&meta.key));
        meta
    }

    /// Writes down that an entry went away. If that cannot be done, an eviction finds that there is nothing.
    pub(crate) fn gone(&self, log: Option<&mut Log>, key: &Key, bytes: u64) {
        if let Some(log) = log {
            _ = log.write(key, bytes, None);
            self.was_written(log);
        }
    }

    /// Sees to what a write to a log calls for.
    pub(crate) fn was_written(&self, log: &Log) {
        self.index.note_length(log);
        self.budget.look_after(log.totals(), || self.index.glance());
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_queue(&self) -> Queue {
        std::mem::take(&mut *self.queue())
    }

    pub(crate) fn keep_queue(&self, queue: Queue) {
        *self.queue() = queue;
    }

    /// Leaves the directory to others.
    pub(crate) fn give_up_claim(&self) {
        drop(self.claim.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Where entries are prepared.
    pub(crate) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.current_session())
    }

    /// Begins a new session in place of one whose directory was removed.
    pub(crate) fn renew_session(&self, gone: &Arc<Session>, operation: &'static str) -> Result<Arc<Session>> {
        let mut current = self.current_session();
        if Arc::ptr_eq(&current, gone) {
            self.root.check_format()?;
            *current = Arc::new(Session::begin(&self.root, operation)?);
        }
        Ok(Arc::clone(&current))
    }
}

impl Drop for Inner {
    /// What was read last is written down, too, if the store was not closed.
    fn drop(&mut self) {
        if !self.recency.is_empty()
            && let Ok(root) = self.root.again()
        {
            let recency = std::mem::take(&mut self.recency);
            let clock = Arc::clone(&self.clock);
            self.tasks.spawn(move || recency.drain(&root, || clock.now()));
        }
    }
}

impl DiskStore {
    /// Opens the directory, and makes it if it is not there. Takes no longer the more it holds.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the path is a file; [`Denied`](ErrorKind::Denied) if it cannot
    /// be read or written; [`Locked`](ErrorKind::Locked) if this or another store is to have it
    /// [alone](DiskOptions::exclusive); [`Unsupported`](ErrorKind::Unsupported) if a newer version laid it out, or
    /// outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the directory behind, made and marked as a store, without entries of
    /// its own. What was opened is closed in the background.
    pub async fn open(options: DiskOptions) -> Result<Self> {
        Self::open_with_clock(options, Arc::new(SystemClock)).await
    }

    /// Opens a store in a fresh directory below the system's temporary directory. Nobody else can look into it, and
    /// it goes with the store: when that is closed, or else in the background when its last clone is dropped.
    /// [`DiskOptions::temporary`] is the same with limits.
    ///
    /// ```
    /// use cache_core::{Digest, Key, StoreExt};
    /// use cache_disk::DiskStore;
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let scratch = DiskStore::temporary().await?;
    /// scratch.put_bytes(&Key::from(Digest::of("main.c")), "object code".into()).await?;
    /// # Ok::<(), cache_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn temporary() -> Result<Self> {
        Self::open(DiskOptions::temporary()).await
    }

    /// Opens the directory with a clock of your own.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with_clock(options: DiskOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let tasks = BlockingTasks::new("disk");
        let opening = tasks.clone();
        let open = move || {
            let mut options = options;
            let fresh = if wants_fresh(&options.dir, options.temporary) { Some(fresh_dir()?) } else { None };
            if let Some(fresh) = &fresh {
                options.dir = fresh.path().to_owned();
            }
            let root = Root::open(&options.dir)?;
            let claim = root.claim(options.exclusive)?;
            let session = Session::begin(&root, "open")?;
            let inline = root.has_cached_reads();
            let index = Index::open(&root, "open")?;
            // Last: an open that fails removes nothing.
            let kept = match fresh {
                Some(fresh) => Some(Kept::fresh(fresh)),
                None if options.temporary => Some(Kept::given(root.again()?)),
                None => None,
            };
            let inner = Inner {
                session: Mutex::new(Arc::new(session)),
                claim: Mutex::new(claim),
                root,
                options,
                clock,
                counters: Counters::default(),
                pending: Pending::default(),
                index,
                recency: Recency::default(),
                budget: Budget::default(),
                inline,
                queue: Mutex::default(),
                stripes: Stripes::default(),
                evicting: Arc::new(Semaphore::new(1)),
                temporary: Temporary::new(kept, opening.clone()),
                tasks: opening,
                closed: AtomicBool::new(false),
            };
            Ok(Self(Arc::new(inner)))
        };
        let store = tasks.run("open", open).await?;
        // A flush under a budget waits for the sweep: until then it is not known whether what died has left more than the
        // index tells.
        let evicting = store.evicting("open").await?;
        let sweeping = store.clone();
        // Dead temporaries only cost space: what cannot be swept now is tried at the next open.
        tasks.spawn(move || {
            let inner = &sweeping.0;
            _ = inner.session().sweep(|| inner.index.suspect());
            if inner.options.max_bytes.is_some() {
                _ = inner.budget.look(|| inner.index.totals(&inner.root, "open"));
            }
            drop(evicting);
            // What was lost is found again in the background.
            sweeping.start_eviction();
        });
        Ok(store)
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self, operation: &'static str) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "disk", operation));
        }
        Ok(())
    }

    /// Runs file operations where they may block. If the future is dropped, those that have begun run to
    /// their end, and others do not begin.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run_write(operation, move |inner, _| work(inner)).await
    }

    /// As [`run`](Self::run), for what makes something visible or removes it: that is told if the future
    /// is dropped.
    pub(crate) async fn run_write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Arc<Inner>, &Cancel) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.is_open(operation)?;
        let inner = Arc::clone(&self.0);
        let cancel = Arc::new(Cancel::default());
        let seen = Arc::clone(&cancel);
        let _cancel = CancelOnDrop(cancel);
        self.0.tasks.run(operation, move || work(&inner, &seen)).await
    }

    pub(crate) async fn remove(&self, key: &Key, operation: &'static str) -> Result<()> {
        let key = key.clone();
        self.run_write(operation, move |inner, cancel| {
            remove(inner, &key, Only::Any, operation, cancel).map(|_| ())
        })
        .await
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}
