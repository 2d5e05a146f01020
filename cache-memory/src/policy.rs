use std::{fmt, str::FromStr};

use cache_core::{Error, Result};

/// Which entries go first when a limit is reached. Reads and puts are uses, questions are not.
///
/// Either way an entry is never evicted by its own put, and `clean` goes by last use alone.
///
/// ```
/// use cache_memory::Policy;
///
/// assert_eq!("lfu".parse::<Policy>()?, Policy::Lfu);
/// assert_eq!(Policy::default().to_string(), "lru");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The least recently used, exactly. One pass over more than the store holds leaves nothing else.
    #[default]
    Lru,
    /// The least frequently used; among equals the least recently used. Entries that are read again and
    /// again outlast a pass over many that are read once. Uses count half after the store evicted ten
    /// times as many entries as it holds, so what was hot once goes at last.
    Lfu,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 2] = [Self::Lru, Self::Lfu];

    /// The name that configurations use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|policy| policy.name() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(" and ");
            Error::invalid(format!("the policy {text:?} is unknown; there are {known}"))
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
