//! What stands between a stack and the store of a tier: it waits no longer than the tier's deadline, and leaves alone
//! what is sick.

mod breaker;
mod lingering;
mod source;
mod write;

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, BreakerState, CleanPolicy, CleanReport, CloseReport, Deadline, EntryMeta, EntryRead,
    Error, ErrorKind, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::{
    breaker::{Breaker, Pass},
    lingering::Lingering,
};
use crate::{TierOptions, tally::Tally};

/// How many times as long as for another call a tier may take for a flush.
const FLUSH: u32 = 10;

/// A tier's store, whose sickness is counted, waited for no longer than the deadline, and left alone by the breaker.
///
/// A server that hangs would hold up every caller of a stack that has the answer elsewhere; one that refuses
/// connections costs each of them a timeout. Has to stand next to the store: what is outside of it, such as a queue,
/// must not look like the store's answer.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    store: Arc<dyn Store>,
    /// The store with a deadline for each read, if there is one.
    timed: Arc<dyn Store>,
    kind: Cow<'static, str>,
    breaker: Arc<Breaker>,
    tally: Arc<Tally>,
    deadline: Option<Duration>,
    lingering: Lingering,
    tasks: TaskTracker,
}

impl Guarded {
    /// `tasks` are the stack's: a write that is late ends there.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        options: &TierOptions,
        tally: Arc<Tally>,
        tasks: TaskTracker,
    ) -> Self {
        let timed = match options.deadline {
            Some(deadline) => Arc::new(Deadline::new(Arc::clone(&store), deadline)),
            None => Arc::clone(&store),
        };
        Self {
            kind: store.info().kind,
            store,
            timed,
            breaker: Arc::new(Breaker::new(options.breaker.clone(), options.deadline, Arc::clone(&tally))),
            tally,
            deadline: options.deadline,
            lingering: Lingering::default(),
            tasks,
        }
    }

    /// Whether a write of the key was given up and may still land.
    pub(crate) fn lingers(&self, key: &Key) -> bool {
        self.lingering.has(key)
    }

    /// Whether the tier is asked now. No I/O.
    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    fn admit(&self, operation: &'static str, key: Option<&Key>) -> Result<Pass<'_>> {
        self.breaker.admit().map_err(|refused| {
            let error = Error::new(ErrorKind::Unavailable, self.kind.clone(), operation);
            named(error.with_detail(refused.to_string()), key)
        })
    }

    /// A tier that ends no writes is given no more of them. That is no word on it: each of those was one.
    fn admit_write(&self, operation: &'static str, key: &Key) -> Result<Pass<'_>> {
        if self.lingering.is_full() {
            self.tally.skipped();
            let error = Error::new(ErrorKind::Unavailable, self.kind.clone(), operation).with_key(key);
            return Err(
                error.with_detail("too many earlier writes have not ended, and this one was not begun")
            );
        }
        self.admit(operation, Some(key))
    }

    async fn call<T, W: Future<Output = Result<T>> + Send>(
        &self,
        operation: &'static str,
        key: Option<&Key>,
        work: impl FnOnce() -> W + Send,
    ) -> Result<T> {
        let pass = self.admit(operation, key)?;
        let answer = work().await;
        pass.end(&answer);
        answer.map_err(|error| named(error, key))
    }

    /// Whether streams have to be watched at all.
    fn is_idle(&self) -> bool {
        self.deadline.is_none() && !self.breaker.can_open()
    }

    fn watch_blob(&self, blob: Blob) -> Blob {
        if blob.bytes().is_some() || self.is_idle() {
            return blob;
        }
        let (len, total, checksum) = (blob.len(), blob.total_len(), blob.checksum());
        let watched = Blob::from_stream(len, total, watch(blob.into_stream(), Arc::clone(&self.breaker)));
        match checksum {
            Some(checksum) => watched.with_checksum(checksum),
            None => watched,
        }
    }

    async fn flush_in_time(&self, deadline: Duration) -> Result<FlushReport> {
        self.runtime("flush")?;
        let deadline = deadline.saturating_mul(FLUSH);
        timeout(deadline, self.store.flush()).await.unwrap_or_else(|late| {
            let error = Error::new(ErrorKind::Timeout, self.kind.clone(), "flush");
            Err(error.with_detail(write::too_late(deadline)).with_source(late))
        })
    }
}

fn named(error: Error, key: Option<&Key>) -> Error {
    match key {
        Some(key) if error.key().is_none() => error.with_key(key),
        _ => error,
    }
}

/// Counts each item of a stream, and its end, as a call is counted. An error is the last item: the end after it is no
/// answer.
fn watch<T: Send + 'static>(
    stream: BoxStream<'static, Result<T>>,
    breaker: Arc<Breaker>,
) -> BoxStream<'static, Result<T>> {
    stream::unfold(Some(stream), move |state| {
        let breaker = Arc::clone(&breaker);
        async move {
            let mut stream = state?;
            let row = breaker.row();
            let item = stream.next().await.transpose();
            breaker.count(row, &item);
            let rest = item.is_ok().then_some(stream);
            item.transpose().map(|item| (item, rest))
        }
    })
    .fuse()
    .boxed()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyManagement for Guarded {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.call("contains", Some(key), || self.timed.contains(key)).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let Some(deadline) = self.deadline else {
            return self.call("evict", Some(key), || self.store.evict(key)).await;
        };
        let pass = self.admit_write("evict", key)?;
        let answer = self.evict_in_time(key, deadline).await.flatten();
        pass.end(&answer);
        answer.map_err(|error| named(error, Some(key)))
    }

    /// One call until its first item, which is asked for when the stream is.
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        if self.is_idle() {
            return self.store.list(options);
        }
        let guard = self.clone();
        let begun = async move {
            let pass = guard.admit("list", None)?;
            let mut listed = guard.timed.list(options).fuse();
            let first = listed.next().await.transpose();
            pass.end(&first);
            let rest = watch(listed.boxed(), Arc::clone(&guard.breaker));
            first.map(|first| stream::iter(first.map(Ok)).chain(rest))
        };
        stream::once(begun).try_flatten().boxed()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Guarded {
    /// Without spilling: a sink can be given to the inner store only.
    fn info(&self) -> StoreInfo {
        let mut info = self.store.info();
        info.powers.spills = false;
        info
    }

    fn metrics(&self) -> Metrics {
        self.store.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        if self.state() == BreakerState::Closed { self.store.get_now(key, blob) } else { None }
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let pass = self.admit("get", Some(key))?;
        let found = self.timed.get(key, blob, options).await;
        match &found {
            Ok(Some(blob)) if blob.bytes().is_none() => pass.begun(),
            _ => pass.end(&found),
        }
        found.map(|found| found.map(|blob| self.watch_blob(blob))).map_err(|error| named(error, Some(key)))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let pass = self.admit("get_entry", Some(key))?;
        let found = self.timed.get_entry(key, options).await;
        match &found {
            Ok(Some(entry)) if entry.blobs.iter().any(|(_, blob)| blob.bytes().is_none()) => pass.begun(),
            _ => pass.end(&found),
        }
        let mut found = found.map_err(|error| named(error, Some(key)))?;
        if let Some(entry) = &mut found {
            let blobs = std::mem::take(&mut entry.blobs);
            entry.blobs = blobs.into_iter().map(|(name, blob)| (name, self.watch_blob(blob))).collect();
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, mut entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let pass = self.admit_write("put", key)?;
        let mut source = None;
        if write::streams(&entry) && !self.is_idle() {
            let (watched, has_failed) = write::watched(entry);
            (entry, source) = (watched, Some(has_failed));
        }
        let answer = match self.deadline {
            Some(deadline) => self.put_in_time(key, entry, options, deadline).await,
            None => Ok(self.store.put(key, entry, options).await),
        };
        match &answer {
            Ok(Err(_)) if source.is_some_and(|has_failed| has_failed.load(Ordering::Acquire)) => drop(pass),
            Ok(answer) => pass.end(answer),
            Err(_) => pass.end(&answer),
        }
        answer.flatten().map_err(|error| named(error, Some(key)))
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.call("meta", Some(key), || self.timed.meta(key)).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.call("usage", None, || self.store.usage(scope)).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.call("clean", None, || self.store.clean(scope, policy)).await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        self.call("verify", None, || self.store.verify(scope, options)).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        let flush = async || match self.deadline {
            Some(deadline) => self.flush_in_time(deadline).await,
            None => self.store.flush().await,
        };
        self.call("flush", None, flush).await
    }

    /// Never refused: what is sick has to be let go, too.
    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.store.close(deadline).await
    }
}

#[cfg(test)]
mod tests;
