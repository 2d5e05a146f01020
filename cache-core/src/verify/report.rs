use std::{collections::HashSet, fmt, sync::Arc};

use crate::{ByteSize, Error, Key, Result};

/// What a [`verify`](crate::Store::verify) found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Entries that were looked at; of a stack, each copy.
    pub entries: u64,
    /// The bytes of those that are sound, all of which were read.
    pub bytes: u64,
    /// Entries that were damaged. A store drops what it finds so, or keeps it aside: they are gone, unless they
    /// were repaired.
    pub damaged: u64,
    /// Those of them that were written again from a sound copy.
    pub repaired: u64,
    /// Entries that could not be read: nothing is known of them.
    pub unreadable: u64,
    /// The first of those that were damaged and not repaired, in no order.
    pub lost: Vec<Key>,
    /// The first failure: to read an entry, to list more of them, or to repair one.
    pub first_error: Option<Error>,
    /// What was found in each tier, fastest first; empty for a store without tiers.
    pub tiers: Vec<(Arc<str>, VerifyReport)>,
}

impl VerifyReport {
    /// What was found in the tiers, and their sums.
    #[must_use]
    pub fn of_tiers(tiers: Vec<(Arc<str>, VerifyReport)>, max_keys: usize) -> Self {
        let mut report = Self::default();
        let mut named = HashSet::new();
        for (_, tier) in &tiers {
            report.entries = report.entries.saturating_add(tier.entries);
            report.bytes = report.bytes.saturating_add(tier.bytes);
            report.damaged = report.damaged.saturating_add(tier.damaged);
            report.repaired = report.repaired.saturating_add(tier.repaired);
            report.unreadable = report.unreadable.saturating_add(tier.unreadable);
            for key in &tier.lost {
                if report.lost.len() < max_keys && named.insert(key) {
                    report.lost.push(key.clone());
                }
            }
            report.first_error = report.first_error.or_else(|| tier.first_error.clone());
        }
        drop(named);
        report.tiers = tiers;
        report
    }

    /// Nothing could be looked at.
    #[must_use]
    pub fn failed(error: Error) -> Self {
        Self { first_error: Some(error), ..Self::default() }
    }

    /// Whether everything was read, and all that was damaged is repaired.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged == self.repaired && self.first_error.is_none()
    }

    /// Counts a sound entry.
    pub fn sound(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts a damaged entry and what came of its repair. At most `max_keys` are named.
    pub fn damage(&mut self, key: Key, repaired: Result<bool>, max_keys: usize) {
        self.entries += 1;
        self.damaged += 1;
        match repaired {
            Ok(true) => {
                self.repaired += 1;
                return;
            }
            Ok(false) => {}
            Err(error) => self.end(error),
        }
        if self.lost.len() < max_keys {
            self.lost.push(key);
        }
    }

    /// Counts an entry that could not be read.
    pub fn unreadable(&mut self, error: Error) {
        self.entries += 1;
        self.unreadable += 1;
        self.end(error);
    }

    /// Keeps the first failure.
    pub(crate) fn end(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = if self.entries == 1 { "entry" } else { "entries" };
        write!(f, "{} {entries}, {} verified", self.entries, ByteSize::new(self.bytes))?;
        write!(f, ": {} damaged, {} repaired", self.damaged, self.repaired)?;
        if self.unreadable > 0 {
            write!(f, ", {} unreadable", self.unreadable)?;
        }
        match &self.first_error {
            Some(error) => write!(f, "; {}", error.to_line()),
            None => Ok(()),
        }
    }
}
