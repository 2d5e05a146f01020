//! A store for the tests of the handle: counts what reaches it, holds it back, fails it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use tokio::sync::Semaphore;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, toy::Toy,
};

/// Lets calls through while it is open; those that came before wait at it.
#[derive(Debug)]
pub(crate) struct Latch {
    permits: Semaphore,
    shut: AtomicBool,
    pub(crate) waiting: AtomicUsize,
}

impl Default for Latch {
    fn default() -> Self {
        Self { permits: Semaphore::new(0), shut: AtomicBool::new(false), waiting: AtomicUsize::new(0) }
    }
}

impl Latch {
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        self.permits.add_permits(10_000);
    }

    /// Waits until somebody waits here.
    pub(crate) async fn reached(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn pass(&self) {
        if self.shut.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) toy: Toy,
    pub(crate) gets: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) before_get: Latch,
    /// Between the look and the answer.
    pub(crate) within_get: Latch,
    pub(crate) before_put: Latch,
    /// Where the next put that is let through holds up its thread: tells so, and waits.
    pub(crate) within_put: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
    pub(crate) fail_gets: AtomicBool,
    pub(crate) fail_puts: AtomicBool,
    pub(crate) panic_gets: AtomicBool,
    /// Puts panic before they have made a future.
    pub(crate) panic_puts: AtomicBool,
    /// Answers streams.
    pub(crate) streams: AtomicBool,
    pub(crate) closed: AtomicBool,
    /// Takes some turns before and after each step.
    pub(crate) jitters: AtomicBool,
}

impl Probe {
    pub(crate) fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    pub(crate) fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }

    async fn jitter(&self) {
        if self.jitters.load(Ordering::SeqCst) {
            for _ in 0..fastrand::usize(0..3) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn check(&self, failing: &AtomicBool, operation: &'static str) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "probe", operation));
        }
        if failing.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "probe", operation));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyManagement for Arc<Probe> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.toy.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.jitter().await;
        let evicted = self.toy.evict(key).await;
        self.jitter().await;
        evicted
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.toy.list(options)
    }
}

#[async_trait]
impl Store for Arc<Probe> {
    fn info(&self) -> StoreInfo {
        self.toy.info()
    }

    fn metrics(&self) -> Metrics {
        self.toy.metrics()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.before_get.pass().await;
        self.check(&self.fail_gets, "get")?;
        assert!(!self.panic_gets.load(Ordering::SeqCst), "a bug in the store");
        self.jitter().await;
        let found = self.toy.get(key, blob, options).await?;
        self.jitter().await;
        self.within_get.pass().await;
        Ok(found.map(|blob| match self.streams.load(Ordering::SeqCst) {
            true => {
                let bytes = blob.bytes().cloned().unwrap();
                Blob::from_stream(blob.len(), blob.len(), stream::iter([Ok(bytes)]).boxed())
            }
            false => blob,
        }))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.toy.get_entry(key, options).await
    }

    // Written by hand, as a store may do it.
    fn put<'a, 'k, 'async_trait>(
        &'a self,
        key: &'k Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> BoxFuture<'async_trait, Result<PutOutcome>>
    where
        'a: 'async_trait,
        'k: 'async_trait,
        Self: 'async_trait,
    {
        assert!(!self.panic_puts.load(Ordering::SeqCst), "a bug in the store");
        let put = async move {
            self.puts.fetch_add(1, Ordering::SeqCst);
            self.before_put.pass().await;
            let within = self.within_put.lock().unwrap().take();
            if let Some((reached, go_on)) = within {
                reached.send(()).unwrap();
                go_on.recv().unwrap();
            }
            self.check(&self.fail_puts, "put")?;
            self.jitter().await;
            let put = self.toy.put(key, entry, options).await;
            self.jitter().await;
            put
        };
        put.boxed()
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.toy.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.toy.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut report = self.toy.clean(scope, policy).await?;
        if policy.max_bytes == Some(0) {
            report.evict(1);
        }
        Ok(report)
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.toy.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.closed.store(true, Ordering::SeqCst);
        self.toy.close(deadline).await
    }
}

/// Polls a future once: it is then under way.
pub(crate) fn begin<F: Future + Unpin>(future: &mut F) {
    assert!(future.now_or_never().is_none(), "it was to wait");
}
