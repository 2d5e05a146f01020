use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Each power of two is cut into 2^3 buckets.
const STEP_BITS: u32 = 3;
const STEPS: usize = 1 << STEP_BITS;

/// The last bucket begins at 2^42 ns times 15/8, which is 2.3 hours, and takes all that is longer.
const BUCKETS: usize = (42 - STEP_BITS as usize + 2) * STEPS;

/// How long calls took: a histogram, as [`Metrics`](crate::Metrics) holds it.
///
/// Durations below 8 ns are kept exactly, longer ones to within 6 % up to two hours; beyond that only
/// the longest one is known. Its [`Display`](fmt::Display) names two quantiles and the longest, its
/// serde form is a map of microseconds.
///
/// ```
/// use std::time::Duration;
/// use cache_core::Counters;
///
/// let counters = Counters::default();
/// counters.get_took(Duration::from_micros(20));
/// counters.get_took(Duration::from_millis(4));
/// let latency = counters.snapshot().get_latency;
/// assert_eq!(latency.count(), 2);
/// assert_eq!(latency.quantile(1.0), Some(Duration::from_millis(4)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Buckets that hold something, ascending, and how much.
    buckets: Vec<(usize, u64)>,
    total_nanos: u64,
    max_nanos: u64,
}

impl Latency {
    /// How many calls were timed. Where one call in so many is timed, each stands for all of these.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| *count).fold(0, u64::saturating_add)
    }

    /// Whether no call was timed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The mean; `None` without calls.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.total_nanos.checked_div(self.count()).map(Duration::from_nanos)
    }

    /// The duration that a share `q` of the calls did not exceed, to within 6 %; `None` without calls.
    ///
    /// `q` is clamped to 0..=1; 1 is the longest of all.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rank needs no more than 52 bits")]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = q * self.count() as f64;
        let mut seen = 0_u64;
        let found = self.buckets.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen as f64 >= rank
        });
        let (bucket, _) = found.or(self.buckets.last())?;
        let last = self.buckets.last().map(|(last, _)| last);
        if (q >= 1.0 && last == Some(bucket)) || *bucket == BUCKETS - 1 {
            return self.max();
        }
        Some(Duration::from_nanos(middle_of(*bucket).min(self.max_nanos)))
    }

    /// The longest; `None` without calls. After [`since`](Self::since) it may be up to 13 % too long
    /// if a longer one was timed before.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(self.max_nanos))
    }

    /// The calls that were timed since `baseline` was taken.
    #[must_use]
    pub fn since(&self, baseline: &Self) -> Self {
        let before = |bucket: usize| {
            let at = baseline.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket).ok()?;
            baseline.buckets.get(at).map(|(_, count)| *count)
        };
        let newer =
            |(bucket, count): &(usize, u64)| (*bucket, count.saturating_sub(before(*bucket).unwrap_or(0)));
        let buckets: Vec<_> = self.buckets.iter().map(newer).filter(|(_, count)| *count > 0).collect();
        let max_nanos = match buckets.last() {
            None => 0,
            Some(_) if self.max_nanos > baseline.max_nanos => self.max_nanos,
            Some((last, _)) if *last == BUCKETS - 1 => self.max_nanos,
            Some((last, _)) => start_of(last + 1).saturating_sub(1).min(self.max_nanos),
        };
        let total_nanos = self.total_nanos.saturating_sub(baseline.total_nanos);
        Self { buckets, total_nanos, max_nanos }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(p50), Some(p99), Some(max)) = (self.quantile(0.5), self.quantile(0.99), self.max()) else {
            return f.write_str("none");
        };
        write!(f, "p50 {}, p99 {}, max {} ({} calls)", Short(p50), Short(p99), Short(max), self.count())
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64() * 1e6);
        let mut map = serializer.serialize_struct("Latency", 6)?;
        map.serialize_field("count", &self.count())?;
        map.serialize_field("mean_us", &micros(self.mean()))?;
        map.serialize_field("p50_us", &micros(self.quantile(0.5)))?;
        map.serialize_field("p90_us", &micros(self.quantile(0.9)))?;
        map.serialize_field("p99_us", &micros(self.quantile(0.99)))?;
        map.serialize_field("max_us", &micros(self.max()))?;
        map.end()
    }
}

/// A duration with one decimal at most and a unit in ASCII.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (number, unit) = match self.0.as_nanos() {
            0..1_000 => (seconds * 1e9, "ns"),
            1_000..1_000_000 => (seconds * 1e6, "us"),
            1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
            _ => (seconds, "s"),
        };
        let text = format!("{number:.1}");
        write!(f, "{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// Where calls are timed, without a lock.
pub(crate) struct LatencyRecorder {
    buckets: Box<[AtomicU64]>,
    total_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

impl LatencyRecorder {
    /// Adds a call that took so long, and stands for `calls` calls.
    pub(crate) fn record(&self, took: Duration, calls: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(calls, Ordering::Relaxed);
        }
        self.total_nanos.fetch_add(nanos.saturating_mul(calls), Ordering::Relaxed);
        self.max_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Latency {
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        Latency {
            buckets: counts.enumerate().filter(|(_, count)| *count > 0).collect(),
            total_nanos: self.total_nanos.load(Ordering::Relaxed),
            max_nanos: self.max_nanos.load(Ordering::Relaxed),
        }
    }
}

impl Default for LatencyRecorder {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            total_nanos: AtomicU64::new(0),
            max_nanos: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for LatencyRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

fn bucket_of(nanos: u64) -> usize {
    let shift = nanos.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    // Counts on from the previous power of two, as its first 2^3 are those of the next one's steps.
    let steps = usize::try_from(nanos >> shift).unwrap_or(BUCKETS);
    (shift as usize * STEPS).saturating_add(steps).min(BUCKETS - 1)
}

/// The shortest duration of a bucket, in nanoseconds.
fn start_of(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match power.checked_sub(1) {
        None => step,
        Some(shift) => (STEPS as u64 + step) << shift,
    }
}

/// The duration that is at most 1/17 off any other one of the bucket: the harmonic mean of its ends.
fn middle_of(bucket: usize) -> u64 {
    let start = start_of(bucket);
    if bucket < STEPS {
        return start;
    }
    let steps = (STEPS + bucket % STEPS) as u64;
    start + start / (2 * steps + 1)
}

#[cfg(test)]
mod tests;
