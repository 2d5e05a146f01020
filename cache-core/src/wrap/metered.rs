use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::time::Instant;

use crate::{
    Baseline, Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Counters, EntryMeta, EntryRead,
    EvictionSink, FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, SpillSource, Store, StoreInfo, Usage, VerifyOptions,
    VerifyReport,
};

/// Counts and times what is asked of a store, whatever the store counts itself.
///
/// A backend's own counters also see what other handles, tiers and retries ask of it, and few backends
/// keep latencies. This counts the calls that pass here: hits, misses, damage (also of streams, when
/// they end in it), failures, existence questions, puts, removals and bytes, and it times reads and puts,
/// whether they succeed or not. A stream is timed until it can be read; a put that streams includes the
/// pace of its source. Calls whose future is dropped are neither counted nor timed.
///
/// What cannot be seen from here is the inner store's: evictions, spills, promotions, degraded answers,
/// computations, flushes, what is held now, and the tiers.
///
/// Wrap a whole stack, or each tier to see them apart. Outside [`Retrying`](crate::Retrying) a call is
/// counted once, inside of it each attempt. A hit of [`get_now`](Store::get_now) costs three relaxed
/// additions; one call in 64 reads the clock, and stands for 64.
#[derive(Clone, Debug)]
pub struct Metered<S> {
    inner: S,
    own: Arc<Own>,
}

#[derive(Debug, Default)]
struct Own {
    counters: Arc<Counters>,
    baseline: Baseline,
    inline_reads: AtomicU64,
}

impl Own {
    /// Counts a read that begun then.
    fn read<T>(
        &self,
        begun: Instant,
        options: &GetOptions,
        read: &Result<Option<T>>,
        bytes: impl FnOnce(&T) -> u64,
    ) {
        if !options.quiet {
            self.counters.get_took(begun.elapsed());
        }
        self.counters.read_with(options, read, bytes);
    }
}

/// One inline read in so many is timed: a clock reading costs more than the hit.
const SAMPLED: u64 = 1 << SAMPLED_BITS;
const SAMPLED_BITS: u32 = 6;

/// Whether the call with this number, counted from 0, is timed: one in each row of so many. Which one varies,
/// so that callers with a rhythm, such as a hit and a miss in turn, are not always timed in the same beat.
fn is_sampled(nth: u64) -> bool {
    // 2^64 over the golden ratio: successive multiples are spread evenly.
    let spread = (nth / SAMPLED).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SAMPLED_BITS);
    nth % SAMPLED == SAMPLED - 1 - spread
}

impl<S: Store> Metered<S> {
    /// Counts what is asked of `inner` from here on.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, own: Arc::default() }
    }

    /// The store below, whose own view of things is its [`metrics`](Store::metrics).
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Starts the figures of this store and its clones again from zero; what is held now stays, and so
    /// do the tiers' own figures.
    pub fn reset(&self) {
        self.own.baseline.reset(Metrics { tiers: Vec::new(), ..self.totals() });
    }

    /// What was counted since this was made, and by the inner store since it was opened.
    fn totals(&self) -> Metrics {
        let own = self.own.counters.snapshot();
        // The inner figures are named one by one where they are known better here.
        Metrics {
            hits: own.hits,
            misses: own.misses,
            errors: own.errors,
            corrupt: own.corrupt,
            contains_hits: own.contains_hits,
            contains_misses: own.contains_misses,
            puts: own.puts,
            refused_puts: own.refused_puts,
            put_errors: own.put_errors,
            removals: own.removals,
            bytes_in: own.bytes_in,
            bytes_out: own.bytes_out,
            get_latency: own.get_latency,
            put_latency: own.put_latency,
            ..self.inner.metrics()
        }
    }

    /// Counts a read, and damage that shows later in any of its blobs.
    fn watch(&self, blob: Blob) -> Blob {
        let counters = Arc::clone(&self.own.counters);
        blob.on_damage(move || counters.corrupt())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Metered<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.inner.contains(key).await;
        self.own.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.inner.evict(key).await?;
        self.own.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.inner.list(options)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Metered<S> {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    fn metrics(&self) -> Metrics {
        self.own.baseline.apply(&self.totals())
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let nth = self.own.inline_reads.fetch_add(1, Ordering::Relaxed);
        let begun = is_sampled(nth).then(Instant::now);
        let bytes = self.inner.get_now(key, blob)?;
        self.own.counters.hit(bytes.len() as u64);
        if let Some(begun) = begun {
            self.own.counters.get_sampled(begun.elapsed(), SAMPLED);
        }
        Some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let begun = Instant::now();
        let read = self.inner.get(key, blob, options.clone()).await;
        self.own.read(begun, &options, &read, Blob::len);
        Ok(read?.map(|blob| self.watch(blob)))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let begun = Instant::now();
        let read = self.inner.get_entry(key, options.clone()).await;
        let bytes =
            |entry: &EntryRead| entry.blobs.iter().map(|(_, blob)| blob.len()).fold(0, u64::saturating_add);
        self.own.read(begun, &options, &read, bytes);
        Ok(read?.map(|mut entry| {
            entry.blobs = entry.blobs.into_iter().map(|(name, blob)| (name, self.watch(blob))).collect();
            entry
        }))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (entry, bytes) = entry.counted();
        let begun = Instant::now();
        let outcome = self.inner.put(key, entry, options).await;
        self.own.counters.put_took(begun.elapsed());
        self.own.counters.put(&outcome, bytes.load(Ordering::Relaxed));
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.inner.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        self.inner.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.inner.clean(scope, policy).await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        let report = self.inner.verify(scope, options).await;
        self.own.counters.verified(&report);
        report
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}

/// What is handed on is the inner store's to count.
#[deny(clippy::missing_trait_methods)]
impl<S: SpillSource> SpillSource for Metered<S> {
    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>> {
        self.inner.set_sink(sink)
    }

    fn peek(&self, key: &Key) -> Option<EntryRead> {
        self.inner.peek(key)
    }
}

#[cfg(test)]
mod tests;
