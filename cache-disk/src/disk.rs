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
    ErrorKind, FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, Powers,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, SystemClock, Usage,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::{
    DiskOptions,
    budget::Budget,
    evict,
    pending::Pending,
    publish, read,
    root::Root,
    scan::{Scan, meta_of},
    session::Session,
};

/// Entries fetched in one hop to a blocking thread while listing.
const PAGE: usize = 256;

/// A store in one directory. Clones share it; so may other processes.
#[derive(Clone)]
pub struct DiskStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) session: Session,
    pub(crate) root: Root,
    pub(crate) options: DiskOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) pending: Pending,
    pub(crate) budget: Budget,
    /// Everything that runs on a blocking thread, so that `close` can wait for it.
    pub(crate) tasks: TaskTracker,
    pub(crate) closed: AtomicBool,
}

impl DiskStore {
    /// Opens the directory, and makes it if it is not there. Takes no longer the more it holds.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the path is a file; [`Denied`](ErrorKind::Denied) if it cannot
    /// be read or written; [`Unsupported`](ErrorKind::Unsupported) if a newer version laid it out, or
    /// outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave an empty directory behind.
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
        let tasks = TaskTracker::new();
        let opening = tasks.clone();
        let open = move || {
            let root = Root::open(&options.dir)?;
            let session = Session::begin(&root)?;
            let inner = Inner {
                session,
                root,
                options,
                clock,
                counters: Counters::default(),
                pending: Pending::default(),
                budget: Budget::default(),
                tasks: opening,
                closed: AtomicBool::new(false),
            };
            Ok(Self(Arc::new(inner)))
        };
        let handle = runtime("open")?;
        let store: Self = joined("open", tasks.spawn_blocking_on(open, &handle).await)?;
        let sweeping = store.clone();
        // Dead temporaries only cost space: what cannot be swept now is tried at the next open.
        tasks.spawn_blocking_on(move || sweeping.0.session.sweep(), &handle);
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

    /// Runs file operations where they may block. They run to their end also if nobody waits.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.is_open(operation)?;
        let handle = runtime(operation)?;
        let inner = Arc::clone(&self.0);
        joined(operation, self.0.tasks.spawn_blocking_on(move || work(&inner), &handle).await)
    }

    pub(crate) async fn remove(&self, key: &Key, operation: &'static str) -> Result<()> {
        let key = key.clone();
        self.run(operation, move |inner| {
            publish::remove(inner, &key, None, operation)?;
            inner.pending.forget(&key);
            Ok(())
        })
        .await
    }
}

fn runtime(operation: &'static str) -> Result<Handle> {
    Handle::try_current().map_err(|error| {
        Error::new(ErrorKind::Unsupported, "disk", operation)
            .with_detail("this runs only inside a tokio runtime")
            .with_source(error)
    })
}

fn joined<T>(operation: &'static str, join: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    join.unwrap_or_else(|error| {
        let kind = if error.is_panic() { ErrorKind::Internal } else { ErrorKind::Unavailable };
        Err(Error::new(kind, "disk", operation).with_source(error))
    })
}

#[async_trait]
impl KeyManagement for DiskStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let asked = key.clone();
        let answer = self.run("contains", move |inner| read::contains(inner, &asked)).await;
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.remove(key, "evict").await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let page = options.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let store = self.clone();
        stream::try_unfold(Some(Scan::new(options)), move |scan| {
            let store = store.clone();
            async move {
                let Some(mut scan) = scan else { return Ok(None) };
                let fetch = move |inner: &Arc<Inner>| {
                    let mut found = Vec::new();
                    while found.len() < page {
                        match scan.next(&inner.root)? {
                            Some(meta) => found.push(meta),
                            None => return Ok((found, None)),
                        }
                    }
                    Ok((found, Some(scan)))
                };
                let (found, rest) = store.run("list", fetch).await?;
                Ok::<_, Error>(Some((stream::iter(found.into_iter().map(Ok)), rest)))
            }
        })
        .try_flatten()
        .fuse()
        .boxed()
    }
}

#[async_trait]
impl Store for DiskStore {
    fn info(&self) -> StoreInfo {
        let mut powers = Powers::default();
        (powers.durable, powers.shared, powers.bounded, powers.recency) = (true, true, true, true);
        (powers.cross_process_merge, powers.streaming) = (true, true);
        StoreInfo::new("disk", self.0.root.path.display().to_string(), powers)
            .with_max_bytes(self.0.options.max_bytes)
            .with_max_blob_bytes(self.0.options.max_blob_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.counters.snapshot();
        metrics.resident_bytes = self.0.budget.estimate();
        metrics
    }

    /// Never answers: every read is verified, on a thread that may wait for the disk.
    fn get_now(&self, _key: &Key, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let (asked, name) = (key.clone(), blob.clone());
        let read = self.run("get", move |inner| read::get(inner, &asked, &name, &options)).await;
        self.0.counters.read(&read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let asked = key.clone();
        let read = self.run("get_entry", move |inner| read::get_entry(inner, &asked, &options)).await;
        self.0.counters.read(&read, |entry| entry.meta.counted_bytes());
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let put = self.put_entry(key, entry, options).await;
        let bytes = put.as_ref().map_or(0, |(_, bytes)| *bytes);
        let outcome = put.map(|(outcome, _)| outcome).map_err(|error| error.at("disk", "put").with_key(key));
        self.0.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let asked = key.clone();
        self.run("meta", move |inner| meta_of(&inner.root, &asked, "meta")).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let scope = scope.clone();
        self.run("usage", move |inner| {
            let mut usage = Usage::default();
            let mut scan = Scan::new(ListOptions::below(&scope));
            while let Some(entry) = scan.next(&inner.root)? {
                usage.add(entry.counted_bytes(), entry.stored_bytes);
            }
            Ok(usage)
        })
        .await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let (scope, policy) = (scope.clone(), *policy);
        self.run("clean", move |inner| evict::clean(inner, &scope, &policy)).await
    }

    /// One `syncfs` of the file system that the directory lies on.
    async fn flush(&self) -> Result<FlushReport> {
        let flushed = self
            .run("flush", |inner| {
                evict::enforce(inner, "flush")?;
                inner.pending.flush(&inner.root).map(FlushReport::durable)
            })
            .await;
        self.0.counters.flush(flushed.is_ok());
        flushed
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.closed.store(true, Ordering::Release);
        runtime("close")?;
        self.0.tasks.close();
        let drained = match deadline {
            None => {
                self.0.tasks.wait().await;
                true
            }
            Some(deadline) => tokio::time::timeout(deadline, self.0.tasks.wait()).await.is_ok(),
        };
        Ok(CloseReport::left(if drained { 0 } else { self.0.tasks.len() as u64 }))
    }
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskStore").field("options", &self.0.options).finish_non_exhaustive()
    }
}
