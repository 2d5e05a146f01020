use std::{collections::BTreeMap, time::SystemTime};

use crate::{BlobName, ByteRange, Digest, DigestPrefix, Key, Namespace};

/// How to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// The part that is wanted; all by default. Whole-entry reads take none.
    pub range: Option<ByteRange>,
    /// A read of more bytes than this is answered as a stream where the store can, 8 MiB by default.
    pub stream_above: u64,
    /// Whether the read leaves no trace: it is no use of the entry, neither for recency nor for access counts, it is
    /// counted neither as a hit nor as a miss, and a stack copies nothing into a faster tier. Damage and failures are
    /// counted, and damage is dropped, as ever. Off by default; for scrubs, backups and the like.
    pub quiet: bool,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self { range: None, stream_above: Self::DEFAULT_STREAM_ABOVE, quiet: false }
    }
}

impl GetOptions {
    /// Up to here a read is in hand by default: 8 MiB.
    pub const DEFAULT_STREAM_ABOVE: u64 = 8 << 20;

    /// Asks for a part.
    #[must_use]
    pub fn with_range(mut self, range: ByteRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Leaves no trace of the read.
    #[must_use]
    pub fn quietly(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The same way of reading, without a range.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.range = None;
        self
    }

    /// Sets from which size on a stream is wanted.
    #[must_use]
    pub fn with_stream_above(mut self, bytes: u64) -> Self {
        self.stream_above = bytes;
        self
    }
}

/// What a put does to an entry that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PutMode {
    /// The entry becomes exactly these blobs.
    #[default]
    Replace,
    /// These blobs are written, others stay.
    Merge,
    /// Only names that are absent are written: promotion and healing.
    Fill,
}

impl PutMode {
    /// The blobs of an entry after a put of `new` ones over those that are `there`: the whole rule, for
    /// stores that keep an entry in one piece. A name of `new` stands once.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use cache_core::{BlobName, PutMode};
    ///
    /// let log = BlobName::new("log")?;
    /// let there = BTreeMap::from([(BlobName::DATA, 1), (log.clone(), 2)]);
    /// let after = |mode: PutMode| mode.apply(there.clone(), [(BlobName::DATA, 3)]);
    /// assert_eq!(after(PutMode::Replace), BTreeMap::from([(BlobName::DATA, 3)]));
    /// assert_eq!(after(PutMode::Merge), BTreeMap::from([(BlobName::DATA, 3), (log.clone(), 2)]));
    /// assert_eq!(after(PutMode::Fill), there);
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    #[must_use]
    pub fn apply<T>(
        self,
        mut there: BTreeMap<BlobName, T>,
        new: impl IntoIterator<Item = (BlobName, T)>,
    ) -> BTreeMap<BlobName, T> {
        match self {
            Self::Replace => new.into_iter().collect(),
            Self::Merge => {
                there.extend(new);
                there
            }
            Self::Fill => {
                for (name, blob) in new {
                    there.entry(name).or_insert(blob);
                }
                there
            }
        }
    }
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    /// What happens to an entry that is there already.
    pub mode: PutMode,
    /// When the value was made; now, if absent. Kept when entries are copied.
    pub created: Option<SystemTime>,
}

impl PutOptions {
    /// Options with this mode.
    #[must_use]
    pub fn mode(mode: PutMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Sets when the value was made.
    #[must_use]
    pub fn with_created(mut self, created: SystemTime) -> Self {
        self.created = Some(created);
        self
    }
}

/// Which entries to list; by default all of the root namespace, without those below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    /// Where to look.
    pub namespace: Namespace,
    /// Whether namespaces below are listed too.
    pub recursive: bool,
    /// Only digests with this prefix.
    pub prefix: Option<DigestPrefix>,
    /// Only keys after this one, which need not exist.
    pub start_after: Option<Key>,
    /// At most this many entries.
    pub limit: Option<usize>,
}

impl ListOptions {
    /// The entries of one namespace.
    #[must_use]
    pub fn of(namespace: &Namespace) -> Self {
        Self { namespace: namespace.clone(), ..Self::default() }
    }

    /// The entries of a namespace and of all below it.
    #[must_use]
    pub fn below(namespace: &Namespace) -> Self {
        Self { recursive: true, ..Self::of(namespace) }
    }

    /// Lists namespaces below too.
    #[must_use]
    pub fn recursive(mut self) -> Self {
        self.recursive = true;
        self
    }

    /// Keeps only digests with this prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: DigestPrefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Starts after a key.
    #[must_use]
    pub fn with_start_after(mut self, key: Key) -> Self {
        self.start_after = Some(key);
        self
    }

    /// Ends after so many entries.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether `key` is one of the entries asked for, the limit aside.
    #[must_use]
    pub fn admits(&self, key: &Key) -> bool {
        let in_scope = if self.recursive {
            self.namespace.covers(&key.namespace)
        } else {
            self.namespace == key.namespace
        };
        in_scope
            && self.prefix.is_none_or(|prefix| prefix.matches(&key.digest))
            && self.start_after.as_ref().is_none_or(|after| key > after)
    }

    /// Where a scan of keys in their order begins: no key before this one is asked for. It need not be
    /// there, nor be asked for itself.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use cache_core::{Digest, Key, ListOptions};
    ///
    /// let keys = BTreeSet::from(["a", "b", "c"].map(|text| Key::from(Digest::of(text))));
    /// for asked in [ListOptions::default(), ListOptions::default().with_prefix("3e".parse()?)] {
    ///     let scan = keys.range(asked.first()..).take_while(|key| !asked.ends_before(key));
    ///     let found: Vec<_> = scan.filter(|key| asked.admits(key)).collect();
    ///     assert_eq!(found, keys.iter().filter(|key| asked.admits(key)).collect::<Vec<_>>());
    /// }
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    #[must_use]
    pub fn first(&self) -> Key {
        let lowest = self.prefix.map_or(Digest::from_bytes([0; 32]), |prefix| prefix.first());
        let first = Key::new(self.namespace.clone(), lowest);
        self.start_after.as_ref().filter(|after| **after > first).cloned().unwrap_or(first)
    }

    /// Whether a scan that comes to `key`, from [`first`](Self::first) on, is over: neither this key is
    /// asked for nor any after it.
    #[must_use]
    pub fn ends_before(&self, key: &Key) -> bool {
        if self.recursive {
            return !key.namespace.encoded().starts_with(self.namespace.encoded());
        }
        key.namespace != self.namespace || self.prefix.is_some_and(|prefix| key.digest > prefix.last())
    }
}

#[cfg(test)]
mod tests;
