use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::stream::BoxStream;

use super::BlockingTasks;
use crate::{CloseReport, EntryMeta, Error, ErrorKind, ListOptions, Result, list_by_pages};

/// Entries listed in one hop to a blocking thread.
const PAGE: usize = 256;

/// An engine whose calls block, such as an embedded database: used on blocking threads, and given up by
/// [`close`](Self::close), with the lock that it holds. Clones share it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::sync::Mutex;
/// use cache_core::{BlockingEngine, ErrorKind};
///
/// let engine = BlockingEngine::new("tape", Mutex::new(vec![1]));
/// engine.write("put", |tape| Ok(tape.lock().unwrap().push(2))).await?;
/// assert_eq!(engine.read("get", |tape| Ok(tape.lock().unwrap().len())).await?, 2);
/// engine.close(None).await?;
/// let closed = engine.read("get", |_| Ok(())).await.unwrap_err();
/// assert_eq!(closed.kind(), ErrorKind::Closed);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub struct BlockingEngine<E> {
    tasks: BlockingTasks,
    engine: Arc<Mutex<Option<Arc<E>>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<E: Send + Sync + 'static> BlockingEngine<E> {
    /// Takes an open engine. Errors name `store`.
    #[must_use]
    pub fn new(store: &'static str, engine: E) -> Self {
        let engine = Arc::new(Mutex::new(Some(Arc::new(engine))));
        Self { tasks: BlockingTasks::new(store), engine, turn: Arc::default() }
    }

    /// The engine, or `None` once it was given up. Who holds it keeps it open.
    #[must_use]
    pub fn get(&self) -> Option<Arc<E>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<E>>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks something up, beside whatever else is under way.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after [`close`](Self::close); else as [`BlockingTasks::run`].
    ///
    /// # Cancel safety
    ///
    /// As [`BlockingTasks::run`].
    pub async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        look: impl FnOnce(&E) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.clone();
        // `close` waits for this work: what it takes away before that is not there.
        let work = move || look(&*engine.get().ok_or_else(|| Error::new(ErrorKind::Closed, "", ""))?);
        self.tasks.run(operation, work).await
    }

    /// Lists by pages, each of them looked up in one piece: the first entries of those asked for, up to the
    /// limit, as for [`list_by_pages`].
    ///
    /// The stream ends at the first error, of which there are the same as of [`read`](Self::read).
    pub fn list(
        &self,
        options: ListOptions,
        page: impl Fn(&E, &ListOptions) -> Result<Vec<EntryMeta>> + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<EntryMeta>> {
        let (engine, page) = (self.clone(), Arc::new(page));
        list_by_pages(options, PAGE, move |asked| {
            let (engine, page) = (engine.clone(), Arc::clone(&page));
            async move { engine.read("list", move |engine| page(engine, &asked)).await }
        })
    }

    /// Changes something, while no other change is under way.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// A change that has begun goes on to its end, and the next one waits for it: so it never undoes what
    /// its caller does after dropping the future.
    pub async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        change: impl FnOnce(&E) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let change = move |engine: &E| {
            let _turn = turn;
            change(engine)
        };
        self.read(operation, change).await
    }

    /// Gives up the engine, waits until what is under way has ended and the engine was dropped, or until the
    /// deadline, and tells how much is left then.
    ///
    /// # Errors
    ///
    /// As [`BlockingTasks::close`].
    ///
    /// # Cancel safety
    ///
    /// Closed from the first poll on.
    pub async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let engine = self.lock().take();
        self.tasks.spawn(move || drop(engine));
        self.tasks.close(deadline).await
    }
}

impl<E> Clone for BlockingEngine<E> {
    fn clone(&self) -> Self {
        let (engine, turn) = (Arc::clone(&self.engine), Arc::clone(&self.turn));
        Self { tasks: self.tasks.clone(), engine, turn }
    }
}

impl<E> fmt::Debug for BlockingEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingEngine").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}
