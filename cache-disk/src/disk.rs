use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cache_core::{
    Blob, BlobName, ByteStream, CleanPolicy, CleanReport, Clock, CloseReport, Counters, EntryMeta, EntryRead,
    Error, ErrorKind, FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, Powers,
    PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo, SystemClock,
    Usage,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::{
    DiskOptions,
    budget::{Budget, hard_limit},
    evict,
    pending::Pending,
    publish, read,
    root::Root,
    scan::{Scan, meta_of},
    session::Session,
    stage::{Stage, StagedBlob},
};

/// Entries fetched in one hop to a blocking thread while listing.
const PAGE: usize = 256;
/// Bytes of a stream gathered for one hop while writing.
const WRITE: usize = 1 << 20;

/// A store in one directory. Clones share it; so may other processes.
#[derive(Clone)]
pub struct DiskStore(Arc<Inner>);

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
    closed: AtomicBool,
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

    fn is_open(&self, operation: &'static str) -> Result<()> {
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

    async fn put_entry(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<(PutOutcome, u64)> {
        self.is_open("put")?;
        let limits = &self.0.options;
        entry.check(limits.max_blob_bytes)?;
        let (mode, max) = (options.mode, limits.max_bytes.unwrap_or(u64::MAX));
        let refusal = match entry.known_bytes() {
            _ if max == 0 => Some(Refusal::Disabled),
            Some(bytes) if bytes > max => Some(Refusal::OverBudget),
            _ => None,
        };
        if let Some(reason) = refusal {
            return Ok((self.refuse(key, mode, reason).await?, 0));
        }
        let created = options.created.unwrap_or_else(|| self.0.clock.now());
        let blobs = entry.into_blobs();
        let written = if blobs.iter().all(|(_, blob)| matches!(blob, PutBlob::Bytes(_))) {
            self.put_in_hand(key, blobs, mode, created).await?
        } else {
            self.put_streamed(key, blobs, mode, created, max).await?
        };
        match written {
            Ok(bytes) => {
                self.after_put(bytes);
                Ok((PutOutcome::stored(), bytes))
            }
            Err(reason) => Ok((self.refuse(key, mode, reason).await?, 0)),
        }
    }

    async fn put_in_hand(
        &self,
        key: &Key,
        blobs: Vec<(BlobName, PutBlob)>,
        mode: PutMode,
        created: std::time::SystemTime,
    ) -> Result<Result<u64, Refusal>> {
        let key = key.clone();
        self.run("put", move |inner| {
            let mut stage = Stage::begin(inner, &key, created)?;
            for (name, blob) in &blobs {
                if let PutBlob::Bytes(bytes) = blob {
                    stage.write(name, bytes)?;
                }
            }
            settle(inner, stage, mode)
        })
        .await
    }

    async fn put_streamed(
        &self,
        key: &Key,
        blobs: Vec<(BlobName, PutBlob)>,
        mode: PutMode,
        created: std::time::SystemTime,
        max: u64,
    ) -> Result<Result<u64, Refusal>> {
        let begun = key.clone();
        let mut stage = self.run("put", move |inner| Stage::begin(inner, &begun, created)).await?;
        for (name, blob) in blobs {
            let mut stream = blob.into_checked_stream(&name, self.0.options.max_blob_bytes);
            let begin = self.run("put", move |_| stage.begin_blob(&name).map(|blob| (stage, blob))).await?;
            let (mut staged, mut blob): (Stage, StagedBlob) = begin;
            while let Some(piece) = gather(&mut stream).await? {
                if staged.bytes() + blob.bytes + piece.len() as u64 > max {
                    return Ok(Err(Refusal::OverBudget));
                }
                (staged, blob) = self
                    .run("put", move |_| staged.append(&mut blob, &piece).map(|()| (staged, blob)))
                    .await?;
            }
            stage = self.run("put", move |_| staged.end_blob(blob).map(|()| staged)).await?;
        }
        self.run("put", move |inner| settle(inner, stage, mode)).await
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> Result<PutOutcome> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok(PutOutcome::refused(reason))
    }

    async fn remove(&self, key: &Key, operation: &'static str) -> Result<()> {
        let key = key.clone();
        self.run(operation, move |inner| {
            publish::remove(inner, &key, None, operation)?;
            inner.pending.forget(&key);
            Ok(())
        })
        .await
    }

    /// Leaves an eviction that is due to the background.
    fn after_put(&self, bytes: u64) {
        let Some(max) = self.0.options.max_bytes else { return };
        let budget = &self.0.budget;
        budget.add(bytes);
        let Ok(handle) = Handle::try_current() else { return };
        if budget.is_over(max) && budget.schedule() {
            let inner = Arc::clone(&self.0);
            self.0.tasks.spawn_blocking_on(
                move || {
                    // A failure comes back with the next put or flush, which find the store still over.
                    _ = evict::enforce(&inner, "evict");
                    inner.budget.unschedule();
                },
                &handle,
            );
        }
    }
}

/// Publishes a staged entry, on a blocking thread.
fn settle(inner: &Inner, stage: Stage, mode: PutMode) -> Result<Result<u64, Refusal>> {
    // A put that began before `close` must not bring anything back after it.
    if inner.closed.load(Ordering::Acquire) {
        return Err(Error::new(ErrorKind::Closed, "disk", "put"));
    }
    let key = stage.key.clone();
    let bytes = match publish::publish(inner, stage, mode)? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    if inner.pending.add(&key) {
        inner.pending.flush(&inner.root)?;
    }
    if let (Some(max), Some(held)) = (inner.options.max_bytes, inner.budget.estimate())
        && held > hard_limit(max)
    {
        evict::enforce(inner, "put")?;
    }
    Ok(Ok(bytes))
}

/// The next bytes of a stream, about as many as are worth a hop.
async fn gather(stream: &mut ByteStream) -> Result<Option<Bytes>> {
    let Some(first) = stream.try_next().await? else { return Ok(None) };
    if first.len() >= WRITE {
        return Ok(Some(first));
    }
    let mut gathered = BytesMut::from(first);
    while gathered.len() < WRITE {
        match stream.try_next().await? {
            Some(piece) => gathered.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(Some(gathered.freeze()))
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
