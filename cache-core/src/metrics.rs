use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use crate::{ByteSize, ErrorKind, PutOutcome, Result};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A snapshot of what a store or a handle has done, taken without I/O.
        ///
        /// Its [`Display`](fmt::Display) is a labelled line each, its serde form a map.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)+
            /// Bytes of blobs held now, where the store knows without I/O.
            pub resident_bytes: Option<u64>,
            /// Entries held now, where the store knows without I/O.
            pub entries: Option<u64>,
            /// The stores below, fastest first.
            pub tiers: Vec<(Arc<str>, Metrics)>,
        }

        /// The counters behind [`Metrics`], for authors of backends.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)+
        }

        impl Counters {
            /// What was counted so far.
            #[must_use]
            pub fn snapshot(&self) -> Metrics {
                Metrics {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    ..Metrics::default()
                }
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
                    resident_bytes: self.resident_bytes,
                    entries: self.entries,
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
    /// Entries copied into a faster tier after a hit in a slower one.
    promotions,
    /// Such copies that failed; the read did not.
    promotion_errors,
    /// Reads and questions that were answered although a tier had failed to.
    degraded,
    /// Flushes that succeeded.
    flushes,
    /// Flushes that failed.
    flush_errors,
    /// Bytes of blobs taken by puts that were stored.
    bytes_in,
    /// Bytes of blobs answered by hits.
    bytes_out,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    /// Counts a hit that answers `bytes` bytes.
    pub fn hit(&self, bytes: u64) {
        add(&self.hits, 1);
        add(&self.bytes_out, bytes);
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

    /// Counts damage that was found after a hit had been counted, midway in a stream.
    pub fn corrupt(&self) {
        add(&self.corrupt, 1);
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

    /// Counts a copy into a faster tier.
    pub fn promotion(&self, succeeded: bool) {
        add(if succeeded { &self.promotions } else { &self.promotion_errors }, 1);
    }

    /// Counts a read or a question that was answered although a tier had failed to.
    pub fn degraded(&self) {
        add(&self.degraded, 1);
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

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let pad = " ".repeat(indent);
        let size = |bytes: u64| ByteSize::new(bytes).to_string();
        let rate = self.hit_rate() * 100.0;
        writeln!(
            f,
            "{pad}{:<16} {} ({} hits, {} misses)",
            "lookups:",
            self.lookups(),
            self.hits,
            self.misses
        )?;
        writeln!(f, "{pad}{:<16} {rate:.1} %", "hit rate:")?;
        writeln!(f, "{pad}{:<16} {} yes, {} no", "contains:", self.contains_hits, self.contains_misses)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({} refused, {} failed)",
            "puts:", self.puts, self.refused_puts, self.put_errors
        )?;
        writeln!(f, "{pad}{:<16} {}", "removals:", self.removals)?;
        writeln!(f, "{pad}{:<16} {} ({})", "evictions:", self.evictions, size(self.evicted_bytes))?;
        writeln!(f, "{pad}{:<16} {}", "spills:", self.spills)?;
        writeln!(f, "{pad}{:<16} {} ({} failed)", "promotions:", self.promotions, self.promotion_errors)?;
        writeln!(f, "{pad}{:<16} {} ({} failed)", "flushes:", self.flushes, self.flush_errors)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({} corrupt, {} degraded)",
            "errors:", self.errors, self.corrupt, self.degraded
        )?;
        writeln!(f, "{pad}{:<16} {} in, {} out", "bytes:", size(self.bytes_in), size(self.bytes_out))?;
        if let Some(entries) = self.entries {
            writeln!(f, "{pad}{:<16} {entries}", "entries:")?;
        }
        if let Some(bytes) = self.resident_bytes {
            writeln!(f, "{pad}{:<16} {}", "resident:", size(bytes))?;
        }
        for (name, tier) in &self.tiers {
            writeln!(f, "{pad}{name}:")?;
            tier.write(f, indent + 2)?;
        }
        Ok(())
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

#[cfg(test)]
mod tests;
