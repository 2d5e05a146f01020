use std::time::{Duration, SystemTime};

use futures::TryStreamExt;

use crate::{EntryMeta, KeyManagement, ListOptions, Namespace, Result};

/// What `clean` keeps. An unset constraint removes nothing; both may be set.
///
/// ```
/// use std::time::Duration;
/// use cache_core::CleanPolicy;
///
/// let policy = CleanPolicy::default().with_max_bytes(50 << 30).with_max_age(Duration::from_secs(7 * 86_400));
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanPolicy {
    /// The least recently used entries go until the scope holds at most this many bytes.
    pub max_bytes: Option<u64>,
    /// Entries whose newest blob is older than this go, whatever the size. In a store without the
    /// [power](crate::Powers::dated) `dated`, those that were written longer ago.
    pub max_age: Option<Duration>,
}

impl CleanPolicy {
    /// Sets the bytes to keep at most.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets the age to keep at most.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The entries that have to go at the time `now`: the outdated ones, then the least recently used
    /// ones until the rest fits. Equal recency is decided by the key.
    ///
    /// An entry from the future counts as new.
    #[must_use]
    pub fn victims(&self, entries: Vec<EntryMeta>, now: SystemTime) -> Vec<EntryMeta> {
        let outdated = |entry: &EntryMeta| match (self.max_age, entry.modified) {
            (Some(max), Some(modified)) => now.duration_since(modified).is_ok_and(|age| age > max),
            _ => false,
        };
        let (mut victims, mut rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(outdated);
        if let Some(max) = self.max_bytes {
            let mut held = rest.iter().map(EntryMeta::counted_bytes).fold(0, u64::saturating_add);
            rest.sort_by(|a, b| (a.recency(), &a.key).cmp(&(b.recency(), &b.key)));
            for entry in rest {
                if held <= max {
                    break;
                }
                held = held.saturating_sub(entry.counted_bytes());
                victims.push(entry);
            }
        }
        victims
    }
}

/// What a `clean` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanReport {
    /// Entries that went.
    pub evicted_entries: u64,
    /// Their bytes, as budgets count them.
    pub evicted_bytes: u64,
    /// Entries of the scope that stayed.
    pub kept_entries: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

impl CleanReport {
    /// Counts one entry that stays.
    pub fn keep(&mut self, bytes: u64) {
        self.kept_entries += 1;
        self.kept_bytes = self.kept_bytes.saturating_add(bytes);
    }

    /// Moves one entry from the kept to the evicted.
    pub fn evict(&mut self, bytes: u64) {
        self.kept_entries = self.kept_entries.saturating_sub(1);
        self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
        self.evicted_entries += 1;
        self.evicted_bytes = self.evicted_bytes.saturating_add(bytes);
    }
}

/// [`Store::clean`](crate::Store::clean) for stores that know no better than to list. Holds what it
/// knows of every entry of the scope in memory.
///
/// `evicted` is told of every entry that went.
///
/// # Errors
///
/// What the listing or an eviction fails with; entries evicted before that stay evicted.
///
/// # Cancel safety
///
/// Dropping the future leaves whole entries: some evicted, the others untouched.
pub async fn clean_by_listing<S: KeyManagement + ?Sized>(
    store: &S,
    scope: &Namespace,
    policy: &CleanPolicy,
    now: SystemTime,
    mut evicted: impl FnMut(&EntryMeta) + Send,
) -> Result<CleanReport> {
    let entries: Vec<EntryMeta> = store.list(ListOptions::below(scope)).try_collect().await?;
    let mut report = CleanReport::default();
    for entry in &entries {
        report.keep(entry.counted_bytes());
    }
    for victim in policy.victims(entries, now) {
        store.evict(&victim.key).await?;
        report.evict(victim.counted_bytes());
        evicted(&victim);
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
