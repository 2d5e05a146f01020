//! What a tier is for.

use std::time::Duration;

use cache_core::{Error, Result};

use crate::WritePolicy;

/// The role of a tier of a [`LayeredStore`](crate::LayeredStore). By default a tier is read, is written by every put,
/// takes what is found in slower ones, and is left alone for a while after it failed five times in a row.
///
/// ```
/// use std::time::Duration;
/// use cache_layered::{Promotion, TierOptions, WritePolicy};
///
/// let remote = TierOptions::default()
///     .with_write(WritePolicy::Behind)
///     .with_queue_bytes(64 << 20)
///     .with_deadline(Duration::from_secs(2));
/// let disk = TierOptions::default().with_promotion(Promotion::Background).with_max_entry_bytes(100 << 20);
/// # let _ = (remote, disk);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierOptions {
    /// When it is written.
    pub write: WritePolicy,
    /// Whether it is read: asked for values, and listed. Tiers that are not stand behind those that are: such as a
    /// copy for others. On by default.
    pub read: bool,
    /// Whether it is asked for existence and for metadata, if it is read. Off where a question costs more than it is
    /// worth; what lies there alone is found by reads only, then. On by default.
    pub existence: bool,
    /// How what is found in a slower tier comes into this one.
    pub promotion: Promotion,
    /// A larger entry is neither put nor promoted here; an older value of it goes. Not limited by default.
    pub max_entry_bytes: Option<u64>,
    /// How long the tier may take to answer a call: to a read until its stream begins and for each piece of it, to a
    /// put that streams whenever it keeps the source waiting. For a flush ten times as long. Not limited by
    /// default; at least a millisecond.
    pub deadline: Option<Duration>,
    /// When the tier is left alone. `None`: never.
    pub breaker: Option<BreakerOptions>,
    /// How many bytes may wait to be written, for a tier that is written behind, or whose failures a quorum covers:
    /// keys and names included. 64 MiB by default, at least 64 KiB.
    pub queue_bytes: u64,
    /// What a put does when there is no room in the queue.
    pub when_full: WhenFull,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self {
            write: WritePolicy::default(),
            read: true,
            existence: true,
            promotion: Promotion::default(),
            max_entry_bytes: None,
            deadline: None,
            breaker: Some(BreakerOptions::default()),
            queue_bytes: 64 << 20,
            when_full: WhenFull::default(),
        }
    }
}

impl TierOptions {
    /// Sets when the tier is written.
    #[must_use]
    pub fn with_write(mut self, policy: WritePolicy) -> Self {
        self.write = policy;
        self
    }

    /// Sets whether the tier is read.
    #[must_use]
    pub fn with_read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// Sets whether the tier is asked for existence and metadata.
    #[must_use]
    pub fn with_existence(mut self, existence: bool) -> Self {
        self.existence = existence;
        self
    }

    /// Sets how what is found in a slower tier comes here.
    #[must_use]
    pub fn with_promotion(mut self, promotion: Promotion) -> Self {
        self.promotion = promotion;
        self
    }

    /// Lets no entry in that is larger.
    #[must_use]
    pub fn with_max_entry_bytes(mut self, bytes: u64) -> Self {
        self.max_entry_bytes = Some(bytes);
        self
    }

    /// Sets how long the tier may take to answer.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets when the tier is left alone; `None`: never.
    #[must_use]
    pub fn with_breaker(mut self, breaker: impl Into<Option<BreakerOptions>>) -> Self {
        self.breaker = breaker.into();
        self
    }

    /// Sets how many bytes may wait to be written.
    #[must_use]
    pub fn with_queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets what a put does when there is no room in the queue.
    #[must_use]
    pub fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.deadline.is_some_and(|deadline| deadline < Duration::from_millis(1)) {
            return Err(Error::invalid("a deadline is at least a millisecond"));
        }
        if self.queue_bytes < 64 << 10 {
            return Err(Error::invalid("a queue holds at least 64 KiB"));
        }
        if let Some(breaker) = &self.breaker {
            if breaker.failures == 0 {
                return Err(Error::invalid("a breaker opens after at least one failure"));
            }
            if breaker.pause < Duration::from_millis(1) {
                return Err(Error::invalid("the pause of a breaker is at least a millisecond"));
            }
        }
        if !self.read && self.write == WritePolicy::Never {
            return Err(Error::invalid("a tier that is neither read nor written is for nothing"));
        }
        if !self.read && self.write == WritePolicy::Spill {
            return Err(Error::invalid("a tier for spill holds what no other has, and so is read"));
        }
        Ok(())
    }
}

/// How an entry that was found in a slower tier comes into a faster one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Promotion {
    /// Before the read is answered, if it takes no longer than 100 milliseconds; else after. For room among those that
    /// are under way it waits no longer, either, and is dropped then, and counted.
    #[default]
    Inline,
    /// Beside the read. While promotions of 64 MiB are under way in a stack, others are dropped, and counted.
    Background,
    /// Not at all: the tier has what was put.
    Never,
}

/// What a put does that finds no room among what waits to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits for room, as long as the tier's deadline, and fails then; without one, until there is room.
    #[default]
    Wait,
    /// The tier passes it over, and has nothing under its key any more.
    Refuse,
}

/// How many of the tiers that are written through have to take a put, so that it succeeds. A tier that fails to is owed
/// the entry then: it gets it when it is well again, and until then what it has under the key is not read. So is it with
/// evictions. What cannot be owed needs every tier: what streams, and what the tier's queue has no room for. A merge
/// needs to know which tier has the entry, and so needs all of them to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quorum {
    /// Each of them.
    #[default]
    All,
    /// So many of them, at least one. One that refuses by its limits, or is passed over, has taken it.
    AtLeast(usize),
}

/// When a sick tier is left alone. Its failures are those of calls that found it
/// [`Unavailable`](cache_core::ErrorKind::Unavailable) or got no answer in time; any answer ends their row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerOptions {
    /// After so many failures in a row, at least one; 5 by default.
    pub failures: u32,
    /// For so long; then one call finds out whether the tier is well. At least a millisecond, 5 s by default.
    pub pause: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(5) }
    }
}

impl BreakerOptions {
    /// Sets after how many failures in a row the tier is left alone.
    #[must_use]
    pub fn with_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets for how long.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}
