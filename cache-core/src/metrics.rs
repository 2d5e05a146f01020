mod baseline;
mod display;
#[cfg(feature = "metrics")]
mod publish;
mod tier;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use thread_local::ThreadLocal;

pub use self::{
    baseline::Baseline,
    tier::{BreakerState, TierMetrics},
};
use crate::{
    ErrorKind, GetOptions, Handover, Latency, PutOutcome, Result, VerifyReport, latency::LatencyRecorder,
};

macro_rules! counters {
    (
        $($(#[$doc:meta])* $name:ident,)+
        @latency
        $($(#[$about:meta])* $latency:ident,)+
    ) => {
        /// A snapshot of what a store or a handle has done, taken without I/O.
        ///
        /// Its [`Display`](std::fmt::Display) is a labelled line each, its serde form a map.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)+
            $($(#[$about])* pub $latency: Latency,)+
            /// Bytes of blobs held now, where the store knows without I/O.
            pub resident_bytes: Option<u64>,
            /// Entries held now, where the store knows without I/O.
            pub entries: Option<u64>,
            /// What a stack says of this store, where it is one of its tiers.
            pub as_tier: Option<TierMetrics>,
            /// The stores below, fastest first.
            pub tiers: Vec<(Arc<str>, Metrics)>,
        }

        /// The counters behind [`Metrics`], for authors of backends.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)+
            $($latency: LatencyRecorder,)+
            hits_by_thread: ThreadLocal<Hits>,
        }

        impl Counters {
            /// What was counted so far.
            #[must_use]
            pub fn snapshot(&self) -> Metrics {
                let mut metrics = Metrics {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    $($latency: self.$latency.snapshot(),)+
                    ..Metrics::default()
                };
                for hits in &self.hits_by_thread {
                    metrics.hits += hits.count.load(Ordering::Relaxed);
                    metrics.bytes_out += hits.bytes.load(Ordering::Relaxed);
                }
                metrics
            }
        }

        impl Metrics {
            /// What was counted since `baseline` was taken, so that a view can be reset without
            /// touching the store. What is held now stays as it is.
            #[must_use]
            pub fn since(&self, baseline: &Self) -> Self {
                let none = Self::default();
                Self {
                    $($name: self.$name.saturating_sub(baseline.$name),)+
                    $($latency: self.$latency.since(&baseline.$latency),)+
                    resident_bytes: self.resident_bytes,
                    entries: self.entries,
                    as_tier: self.as_tier.map(|tier| tier.since(baseline.as_tier)),
                    tiers: self
                        .tiers
                        .iter()
                        .map(|(name, tier)| {
                            let before = baseline.tiers.iter().find(|(other, _)| other == name);
                            (name.clone(), tier.since(before.map_or(&none, |(_, tier)| tier)))
                        })
                        .collect(),
                }
            }

            /// Each counter with the name that it has outside of this process.
            #[cfg(feature = "metrics")]
            fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((concat!("cache_", stringify!($name), "_total"), self.$name),)+].into_iter()
            }

            /// Each histogram with the name that it has outside of this process.
            #[cfg(feature = "metrics")]
            fn latencies(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
                [$((concat!("cache_", stringify!($latency), "_seconds"), &self.$latency),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Reads that found their blob or entry.
    hits,
    /// Reads that did not, damaged ones included.
    misses,
    /// Reads that failed otherwise.
    errors,
    /// Reads that found damage.
    corrupt,
    /// Reads that found a value which they cannot take: of another codec, schema or type, or none at all.
    mismatches,
    /// Existence questions answered yes.
    contains_hits,
    /// Existence questions answered no.
    contains_misses,
    /// Puts that were stored.
    puts,
    /// Puts that were refused by policy.
    refused_puts,
    /// Puts that failed.
    put_errors,
    /// Entries that callers asked to remove, whether or not they were there.
    removals,
    /// Entries that went to keep a budget or by `clean`.
    evictions,
    /// Their bytes.
    evicted_bytes,
    /// Entries handed on to a slower tier when they were evicted.
    spills,
    /// Entries that should have been, could not be taken there, and are gone.
    spill_errors,
    /// Entries copied into a faster tier after a hit in a slower one.
    promotions,
    /// Such copies that failed; the read did not.
    promotion_errors,
    /// Reads and questions that were answered although a tier had failed to.
    degraded,
    /// Computations of a missing value that succeeded.
    computes,
    /// Such computations that failed.
    compute_errors,
    /// Calls that were answered by the work of another caller.
    coalesced,
    /// Flushes that succeeded.
    flushes,
    /// Flushes that failed.
    flush_errors,
    /// Bytes of blobs taken by puts that were stored.
    bytes_in,
    /// Bytes of blobs answered by hits.
    bytes_out,
    @latency
    /// How long reads took until they were answered, where that is measured: of streams, until the
    /// first piece can be asked for.
    get_latency,
    /// How long puts took, where that is measured.
    put_latency,
    /// How long computations of missing values took, where that is measured.
    compute_latency,
}

/// The hits of one thread, which alone writes them: what all threads add to costs each of them more than
/// the rest of a hit in memory.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Hits {
    count: AtomicU64,
    bytes: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    /// Counts a hit that answers `bytes` bytes.
    #[inline]
    pub fn hit(&self, bytes: u64) {
        let hits = self.hits_by_thread.get().unwrap_or_else(|| self.first_hit());
        hits.count.store(hits.count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        hits.bytes.store(hits.bytes.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    #[cold]
    #[inline(never)]
    fn first_hit(&self) -> &Hits {
        self.hits_by_thread.get_or_default()
    }

    /// Counts a miss.
    pub fn miss(&self) {
        add(&self.misses, 1);
    }

    /// Counts a read: a hit of so many bytes, a miss, damage (a miss, too) or an error.
    pub fn read<T>(&self, read: &Result<Option<T>>, bytes: impl FnOnce(&T) -> u64) {
        match read {
            Ok(Some(found)) => self.hit(bytes(found)),
            Ok(None) => self.miss(),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.miss();
                self.corrupt();
            }
            Err(_) => add(&self.errors, 1),
        }
    }

    /// Counts a read as [`read`](Self::read) does; of a [quiet](GetOptions::quiet) one only damage and failures.
    pub fn read_with<T>(
        &self,
        options: &GetOptions,
        read: &Result<Option<T>>,
        bytes: impl FnOnce(&T) -> u64,
    ) {
        match read {
            Ok(_) if options.quiet => {}
            Err(error) if options.quiet && error.kind() == ErrorKind::Corrupt => self.corrupt(),
            read => self.read(read, bytes),
        }
    }

    /// Counts the damage that a verify found.
    pub fn verified(&self, report: &Result<VerifyReport>) {
        add(&self.corrupt, report.as_ref().map_or(0, |report| report.damaged));
    }

    /// Counts damage that was found after a hit had been counted, midway in a stream.
    pub fn corrupt(&self) {
        add(&self.corrupt, 1);
    }

    /// Counts a value that its reader cannot take. The read itself is counted apart.
    pub fn mismatch(&self) {
        add(&self.mismatches, 1);
    }

    /// Counts an answer to an existence question; a failed one is an error.
    pub fn contains(&self, answer: &Result<bool>) {
        match answer {
            Ok(true) => add(&self.contains_hits, 1),
            Ok(false) => add(&self.contains_misses, 1),
            Err(_) => add(&self.errors, 1),
        }
    }

    /// Counts a put of `bytes` bytes.
    pub fn put(&self, outcome: &Result<PutOutcome>, bytes: u64) {
        match outcome {
            Ok(outcome) if outcome.is_stored() => {
                add(&self.puts, 1);
                add(&self.bytes_in, bytes);
            }
            Ok(_) => add(&self.refused_puts, 1),
            Err(_) => add(&self.put_errors, 1),
        }
    }

    /// Counts a removal that a caller asked for.
    pub fn removal(&self) {
        add(&self.removals, 1);
    }

    /// Counts an eviction by policy of `bytes` bytes.
    pub fn eviction(&self, bytes: u64) {
        add(&self.evictions, 1);
        add(&self.evicted_bytes, bytes);
    }

    /// Counts what was handed on to a slower tier.
    pub fn spill(&self, succeeded: bool) {
        add(if succeeded { &self.spills } else { &self.spill_errors }, 1);
    }

    /// Counts what became of a victim of `bytes` bytes: an eviction if it goes, and a spill where it was
    /// written or lost.
    pub fn handover(&self, handover: Handover, bytes: u64) {
        match handover {
            Handover::Busy => return,
            Handover::Known => {}
            Handover::Taken => self.spill(true),
            Handover::Lost => self.spill(false),
        }
        self.eviction(bytes);
    }

    /// Counts a copy into a faster tier.
    pub fn promotion(&self, succeeded: bool) {
        add(if succeeded { &self.promotions } else { &self.promotion_errors }, 1);
    }

    /// Counts a read or a question that was answered although a tier had failed to.
    pub fn degraded(&self) {
        add(&self.degraded, 1);
    }

    /// Counts the computation of a missing value.
    pub fn compute(&self, succeeded: bool) {
        add(if succeeded { &self.computes } else { &self.compute_errors }, 1);
    }

    /// Counts a call that was answered by the work of another caller.
    pub fn coalesced(&self) {
        add(&self.coalesced, 1);
    }

    /// Keeps how long a read took.
    pub fn get_took(&self, took: Duration) {
        self.get_latency.record(took, 1);
    }

    /// Keeps how long one read in `reads` took, the others not having been timed.
    pub fn get_sampled(&self, took: Duration, reads: u64) {
        self.get_latency.record(took, reads);
    }

    /// Keeps how long a put took.
    pub fn put_took(&self, took: Duration) {
        self.put_latency.record(took, 1);
    }

    /// Keeps how long the computation of a missing value took.
    pub fn compute_took(&self, took: Duration) {
        self.compute_latency.record(took, 1);
    }

    /// Counts a flush.
    pub fn flush(&self, succeeded: bool) {
        add(if succeeded { &self.flushes } else { &self.flush_errors }, 1);
    }
}

impl Metrics {
    /// Reads that were answered: hits and misses.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.hits.saturating_add(self.misses)
    }

    /// The share of lookups that hit, 0 to 1; 0 without lookups.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn hit_rate(&self) -> f64 {
        if self.lookups() == 0 { 0.0 } else { self.hits as f64 / self.lookups() as f64 }
    }
}

#[cfg(test)]
mod tests;
