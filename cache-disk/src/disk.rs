use std::{
    fmt,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cache_core::{BlockingTasks, Clock, Counters, Error, ErrorKind, Key, Result, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    DiskOptions,
    budget::Budget,
    cancel::{Cancel, CancelOnDrop},
    pending::Pending,
    remove::{Only, remove},
    root::Root,
    session::Session,
    stripe::Stripes,
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
    pub(crate) budget: Budget,
    pub(crate) stripes: Stripes,
    /// At most one eviction at a time; who waits for it waits without a thread.
    pub(crate) evicting: Arc<Semaphore>,
    /// Everything that runs on a blocking thread, so that `close` can wait for it.
    pub(crate) tasks: BlockingTasks,
    pub(crate) closed: AtomicBool,
}

impl Inner {
    fn current_session(&self) -> MutexGuard<'_, Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
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
            let root = Root::open(&options.dir)?;
            let claim = root.claim(options.exclusive)?;
            let session = Session::begin(&root, "open")?;
            let inner = Inner {
                session: Mutex::new(Arc::new(session)),
                claim: Mutex::new(claim),
                root,
                options,
                clock,
                counters: Counters::default(),
                pending: Pending::default(),
                budget: Budget::default(),
                stripes: Stripes::default(),
                evicting: Arc::new(Semaphore::new(1)),
                tasks: opening,
                closed: AtomicBool::new(false),
            };
            Ok(Self(Arc::new(inner)))
        };
        let store = tasks.run("open", open).await?;
        let sweeping = store.clone();
        // Dead temporaries only cost space: what cannot be swept now is tried at the next open.
        tasks.spawn(move || _ = sweeping.0.session().sweep());
        Ok(store)
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    pub(crate) fn is_open(&self, operation: &'static str) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
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

    /// Waits until no other eviction runs.
    pub(crate) async fn evicting(&self, operation: &'static str) -> Result<OwnedSemaphorePermit> {
        self.is_open(operation)?;
        let permit = Arc::clone(&self.0.evicting).acquire_owned().await;
        permit.map_err(|error| Error::new(ErrorKind::Closed, "disk", operation).with_source(error))
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
