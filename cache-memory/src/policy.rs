use std::{fmt, str::FromStr};

use cache_core::{Error, Result};

/// Which entries go first when a limit is reached. Reads and puts are uses, questions are not.
///
/// Either way an entry is never evicted by its own put, and `clean` goes by last use alone. `docs/bench`
/// of the project has their hit ratios side by side.
///
/// ```
/// use cache_memory::Policy;
///
/// assert_eq!("lru".parse::<Policy>()?, Policy::Lru);
/// assert_eq!(Policy::default().to_string(), "tiny-lfu");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// W-TinyLFU: a newcomer waits in a small window, and stays if it was asked for more often than what
    /// would have to go for it. Passes over many entries that are read once leave the others alone, and what
    /// was hot once goes in time. The best hit ratio on nearly all traffic.
    #[default]
    TinyLfu,
    /// The least recently used, exactly. One pass over more than the store holds leaves nothing else, and a
    /// hit needs its part of the store alone.
    Lru,
    /// The least frequently used; among those of about the same frequency the least recently used. Uses
    /// count half after the store evicted ten times as many entries as it holds.
    Lfu,
    /// Nothing goes: what would need room past a limit is refused. A store without limits needs no other
    /// policy, and keeps no order whatever it was given.
    Unbounded,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::TinyLfu, Self::Lru, Self::Lfu, Self::Unbounded];

    /// The name that configurations use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TinyLfu => "tiny-lfu",
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Unbounded => "unbounded",
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("the policy {text:?} is unknown; there are {known}"))
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
