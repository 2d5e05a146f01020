use std::time::Duration;

/// How often and how long a [`Retrying`](crate::Retrying) store is asked again.
///
/// The pause before the attempt number `n + 1` is drawn at random from zero to
/// `first_delay * 2^(n - 1)`, at most `max_delay`.
///
/// ```
/// use std::time::Duration;
/// use cache_core::RetryOptions;
///
/// let options = RetryOptions::default().with_attempts(5).with_max_time(Duration::from_secs(2));
/// assert_eq!(options.first_delay, Duration::from_millis(50));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOptions {
    /// How often a call is tried in all, 3 by default: one broken connection and one more. 0 counts as 1.
    pub attempts: u32,
    /// The longest first pause, 50 ms by default: about a round trip to a distant server.
    pub first_delay: Duration,
    /// The longest of all pauses, 2 s by default: longer ones cost more than most computations.
    pub max_delay: Duration,
    /// No attempt is begun later than this after the first one was, 10 s by default. An attempt that is
    /// under way is not cut short: that is [`Deadline`](crate::Deadline)'s.
    pub max_time: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_delay: Duration::from_millis(50),
            max_delay: Duration::from_secs(2),
            max_time: Duration::from_secs(10),
        }
    }
}

impl RetryOptions {
    /// Sets how often a call is tried in all.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the longest first pause; zero means no pauses at all.
    #[must_use]
    pub fn with_first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Sets the longest of all pauses.
    #[must_use]
    pub fn with_max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets how long after the first attempt another one may begin.
    #[must_use]
    pub fn with_max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// The longest pause after so many attempts.
    pub(super) fn longest_pause(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_delay.saturating_mul(factor).min(self.max_delay)
    }
}
