//! A memory store that counts what it is asked, and fails on demand.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, PutEntry, PutOptions,
    PutOutcome, Result, Store, StoreInfo, Usage,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: MemoryStore,
    failing: Mutex<Option<ErrorKind>>,
    failing_puts: AtomicBool,
    put_delay: Mutex<Duration>,
    reads: AtomicUsize,
    gate: Mutex<Option<Arc<Notify>>>,
}

impl Faulty {
    pub(crate) fn new(options: MemoryOptions) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::open(options).unwrap(),
            failing: Mutex::default(),
            failing_puts: AtomicBool::default(),
            put_delay: Mutex::default(),
            reads: AtomicUsize::default(),
            gate: Mutex::default(),
        })
    }

    /// Every operation fails like this from now on.
    pub(crate) fn fail(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.failing.lock().unwrap() = kind.into();
    }

    /// Every put fails from now on.
    pub(crate) fn fail_puts(&self) {
        self.failing_puts.store(true, Ordering::Relaxed);
    }

    /// Every put takes so long from now on.
    pub(crate) fn slow_puts(&self, delay: Duration) {
        *self.put_delay.lock().unwrap() = delay;
    }

    /// A read of a whole entry is answered only after this was notified.
    pub(crate) fn hold_reads(&self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        *self.gate.lock().unwrap() = Some(Arc::clone(&notify));
        notify
    }

    /// Reads and questions since the last time this was asked.
    pub(crate) fn asked(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        match *self.failing.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "faulty", operation)),
            None => Ok(()),
        }
    }

    fn read(&self, operation: &'static str) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.check(operation)
    }
}

#[async_trait]
impl KeyManagement for Faulty {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.read("contains")?;
        self.inner.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.check("evict")?;
        self.inner.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        match self.check("list") {
            Ok(()) => self.inner.list(options),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        self.inner.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.read("get")?;
        self.inner.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.read("get_entry")?;
        let entry = self.inner.get_entry(key, options).await;
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        entry
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.check("put")?;
        if self.failing_puts.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::NoSpace, "faulty", "put"));
        }
        let delay = *self.put_delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.inner.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.check("meta")?;
        self.inner.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.check("usage")?;
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.check("clean")?;
        self.inner.clean(scope, policy).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.check("flush")?;
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}
