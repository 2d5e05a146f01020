use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use cache_core::{BlockingTasks, Clock, CloseReport, Error, ErrorKind, Key, Result, SystemClock};
use futures::{FutureExt, future::BoxFuture};
use redb::ReadOnlyDatabase;
use tokio::sync::oneshot;

use crate::{
    RedbOptions,
    chunks::Part,
    closing,
    contain::{Contained, Fault, contain_fault},
    engine::Engine,
    file_medium::FileMedium,
    format::{Format, examine},
    medium::Medium,
    opening::held,
    queue::{Only, Op},
    reading::Readings,
    snapshot::Snapshot,
    stage::StageQueue,
    stream::StreamSource,
    writer::Writer,
};

/// A store in one database file. Clones share it.
#[derive(Clone)]
pub struct RedbStore(pub(crate) Arc<Handle>);

/// Closes the store with its last clone.
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
    pub(crate) uploads: Arc<dyn StageQueue>,
    /// Of a store that is only looked into.
    viewed: Option<Contained<ReadOnlyDatabase>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.engine.set_closed();
        if self.viewed.is_some() {
            self.engine.publish(None, self.engine.held(), false);
        } else {
            let end = closing::begin(self.engine.medium.location());
            self.engine.tell(Op::Close { reply: end });
        }
    }
}

impl Handle {
    pub(crate) async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let engine = &self.engine;
        engine.set_closed();
        let (reply, closed) = oneshot::channel();
        if self.viewed.is_some() {
            engine.publish(None, engine.held(), false);
        } else {
            engine.tell(Op::Close { reply });
        }
        let report = engine.tasks.close(deadline).await?;
        // Of a store that was closed before there is nothing to tell.
        match closed.now_or_never() {
            Some(Ok(closed)) => closed.map(|()| report).map_err(|error| error.at("redb", "close")),
            _ => Ok(report),
        }
    }
}

impl RedbStore {
    /// Opens the file, and makes it if it is not there. Takes no longer the more it holds, also after the process or the
    /// machine had died.
    ///
    /// A database that is damaged is set aside as `<path>.damaged`, in place of the one before it, and an empty one
    /// takes its place; an event of the level `ERROR` tells that.
    ///
    /// # Errors
    ///
    /// [`Locked`](ErrorKind::Locked) if this or another process has it open; [`Corrupt`](ErrorKind::Corrupt) if the
    /// file is not a database of this store, which is left as it is; [`Unsupported`](ErrorKind::Unsupported) if a
    /// newer version laid it out, or outside a tokio runtime; [`Invalid`](ErrorKind::Invalid) for what is no file, and
    /// for a limit of 0 entries; [`Denied`](ErrorKind::Denied) and the like if the file system refuses.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave an empty database behind. What was opened is closed in the background.
    pub async fn open(options: RedbOptions) -> Result<Self> {
        Self::open_with_clock(options, Arc::new(SystemClock)).await
    }

    /// Opens the file with a clock of your own.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with_clock(options: RedbOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let medium = Arc::new(FileMedium::new(&options.path, options.cache_bytes));
        Self::open_on(medium, options, clock).await
    }

    pub(crate) async fn open_on(
        medium: Arc<dyn Medium>,
        options: RedbOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if options.max_entries == Some(0) {
            return Err(Error::invalid("a store has room for at least one entry").at("redb", "open"));
        }
        closing::wait(medium.location()).await;
        let tasks = BlockingTasks::new("redb");
        let running = tasks.clone();
        let open = move || {
            let engine = Arc::new_cyclic(|engine: &Weak<Engine>| {
                let engine = Weak::clone(engine);
                let readings = Readings::new(move |id| {
                    if let Some(engine) = engine.upgrade() {
                        engine.tell(Op::Discard { id });
                    }
                });
                Engine::new(medium, options, clock, running, readings)
            });
            let uploads = Arc::new(Link(Arc::clone(&engine)));
            let mut handle = Handle { engine, uploads, viewed: None };
            let named = |fault: Fault| fault.error().clone().at("redb", "open");
            if handle.engine.options.read_only {
                handle.viewed = Some(view(&handle.engine).map_err(named)?);
            } else {
                let mut writer = Writer::default();
                writer.open(&handle.engine).map_err(named)?;
                handle.engine.park(writer);
            }
            Ok(Self(Arc::new(handle)))
        };
        tasks.run("open", open).await
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Another way to the same engine, which does not keep the store from being closed.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::new(Link(Arc::clone(&self.0.engine)))
    }
}

fn view(engine: &Engine) -> Result<Contained<ReadOnlyDatabase>, Fault> {
    let db = Contained::new(contain_fault(|| engine.medium.open_read_only())?);
    contain_fault(|| {
        if examine(&*db, engine.medium.location())? == Format::Empty {
            return Err(Fault::refused(ErrorKind::Corrupt, "nothing was ever written to this database"));
        }
        let held = held(&*db)?;
        engine.publish(Some(Snapshot::of(&*db, 1)?), held, false);
        Ok(())
    })?;
    Ok(db)
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("options", &self.0.engine.options).finish_non_exhaustive()
    }
}

/// What uploads and streams know of the store.
pub(crate) struct Link(Arc<Engine>);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.0.medium.location()).finish()
    }
}

impl StageQueue for Link {
    fn next_id(&self) -> u64 {
        self.0.ids.take()
    }

    fn stage(&self, part: Part) -> BoxFuture<'_, Result<()>> {
        async move { self.0.ask("put", |reply| Op::Stage { part, reply }).await }.boxed()
    }

    fn discard(&self, id: u64) {
        self.0.tell(Op::Discard { id });
    }
}

impl StreamSource for Link {
    type Snapshot = Contained<Snapshot>;

    fn snapshot(&self) -> Result<Arc<Self::Snapshot>> {
        if self.0.is_closed() {
            return Err(self.0.closed("get"));
        }
        self.0.snapshot().ok_or_else(|| Error::new(ErrorKind::Unavailable, "redb", "get"))
    }

    fn tasks(&self) -> &BlockingTasks {
        &self.0.tasks
    }

    fn damaged(&self, key: &Key, id: u64) {
        self.0.counters.corrupt();
        self.0.forsake(key, Only::WithChunks(id));
    }

    fn failed(&self, generation: u64, fault: &Fault) {
        // There is no writer then.
        if self.0.options.read_only {
            return;
        }
        let (reply, _) = oneshot::channel();
        self.0.tell(Op::Heal { generation: Some(generation), fault: Some(fault.clone()), reply });
    }
}
