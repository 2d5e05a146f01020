mod options;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

pub use self::options::RetryOptions;
use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutBlob, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage, VerifyOptions, VerifyReport, verify_by_listing,
};

/// Asks again when a store is [`Unavailable`](ErrorKind::Unavailable) or out of
/// [time](ErrorKind::Timeout), after growing random pauses.
///
/// A connection that breaks or a server that throttles costs a whole computation, although the same
/// question a moment later would have been a hit. Other kinds of errors come back at once: asking again
/// does not help. That goes for [`Locked`](ErrorKind::Locked) too, as a process that holds a store holds
/// it for long.
///
/// Asked again are `contains`, `evict`, `get`, `get_entry`, `meta`, `usage`, a `put` whose blobs are in
/// hand, and a listing that fails before its first entry. A put that streams is tried once, since its
/// stream can be read once, and so are `clean`, whose report would miss what a failed attempt evicted,
/// `flush`, whose failure is to be known, and `close`. A stream or a listing that breaks off midway stays
/// broken. An attempt that failed may have been carried out all the same: a put or an eviction that is
/// repeated can undo one of somebody else that came between.
///
/// Wrap outside of [`Deadline`](crate::Deadline), so that each attempt has a deadline of its own and a
/// hung one is tried again; the time for all is in [`RetryOptions`]. A deadline outside of this would end
/// the attempts and the pauses, too. Do not wrap stores that are local, or that retry on their own: attempts
/// multiply. Runs inside a tokio runtime with time enabled; outside of one the first failure is the answer.
pub struct Retrying<S>(Arc<Inner<S>>);

struct Inner<S> {
    store: S,
    options: RetryOptions,
    random: Mutex<fastrand::Rng>,
}

impl<S: Store> Retrying<S> {
    /// Asks `inner` as often as `options` allow.
    #[must_use]
    pub fn new(inner: S, options: RetryOptions) -> Self {
        Self::with_random(inner, options, fastrand::Rng::new())
    }

    /// [`new`](Self::new) with pauses that are the same for the same seed.
    #[must_use]
    pub fn with_seed(inner: S, options: RetryOptions, seed: u64) -> Self {
        Self::with_random(inner, options, fastrand::Rng::with_seed(seed))
    }

    fn with_random(store: S, options: RetryOptions, random: fastrand::Rng) -> Self {
        Self(Arc::new(Inner { store, options, random: Mutex::new(random) }))
    }

    fn store(&self) -> &S {
        &self.0.store
    }

    async fn retry<T, F: Future<Output = Result<T>>>(&self, attempt: impl FnMut() -> F) -> Result<T> {
        self.0.retry(attempt).await
    }
}

impl<S> Inner<S> {
    async fn retry<T, F: Future<Output = Result<T>>>(&self, mut attempt: impl FnMut() -> F) -> Result<T> {
        let begun = Instant::now();
        let mut attempts = 1;
        loop {
            let error = match attempt().await {
                Err(error) if is_passing(error.kind()) => error,
                answer => return answer,
            };
            let pause = self.options.longest_pause(attempts).mul_f64(self.draw());
            let in_time = begun.elapsed().saturating_add(pause) <= self.options.max_time;
            if attempts >= self.options.attempts || !in_time || Handle::try_current().is_err() {
                return Err(tell(error, attempts));
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
            attempts += 1;
        }
    }

    /// A share of the longest pause: any is as likely, so that many callers do not come back at once.
    fn draw(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout)
}

fn tell(error: Error, attempts: u32) -> Error {
    let told = match attempts {
        1 => "gave up after 1 attempt".to_owned(),
        _ => format!("gave up after {attempts} attempts"),
    };
    let detail = match error.detail() {
        Some(detail) => format!("{detail}; {told}"),
        None => told,
    };
    error.with_detail(detail)
}

/// The blobs of an entry that can be put more than once.
fn in_hand(entry: &PutEntry) -> Option<Vec<(BlobName, Bytes)>> {
    let blob = |(name, blob): &(BlobName, PutBlob)| match blob {
        PutBlob::Bytes(bytes) => Some((name.clone(), bytes.clone())),
        PutBlob::Stream { .. } => None,
    };
    entry.blobs().iter().map(blob).collect()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Retrying<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.retry(|| self.store().contains(key)).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.retry(|| self.store().evict(key)).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let inner = Arc::clone(&self.0);
        let begun = async move {
            let begin = || async {
                let mut listing = inner.store.list(options.clone());
                let first = listing.next().await.transpose()?;
                Ok(first.map(|first| stream::iter([Ok(first)]).chain(listing)))
            };
            match inner.retry(begin).await {
                Ok(Some(listing)) => listing.boxed(),
                Ok(None) => stream::empty().boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(begun).flatten().boxed()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Retrying<S> {
    /// Without spilling: a sink can be given to the inner store only.
    fn info(&self) -> StoreInfo {
        let mut info = self.store().info();
        info.powers.spills = false;
        info
    }

    fn metrics(&self) -> Metrics {
        self.store().metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.store().get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.retry(|| self.store().get(key, blob, options.clone())).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.retry(|| self.store().get_entry(key, options.clone())).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let Some(blobs) = in_hand(&entry) else { return self.store().put(key, entry, options).await };
        drop(entry);
        self.retry(|| {
            let add =
                |entry: PutEntry, (name, bytes): &(BlobName, Bytes)| entry.with(name.clone(), bytes.clone());
            self.store().put(key, blobs.iter().fold(PutEntry::default(), add), options.clone())
        })
        .await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.retry(|| self.store().meta(key)).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.retry(|| self.store().usage(scope)).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.store().clean(scope, policy).await
    }

    /// Each read is retried; of a stack only the copy that is found first is read.
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        verify_by_listing(self, scope, options).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.store().flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.store().close(deadline).await
    }
}

impl<S> Clone for Retrying<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: fmt::Debug> fmt::Debug for Retrying<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { store, options, .. } = &*self.0;
        f.debug_struct("Retrying").field("inner", store).field("options", options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
