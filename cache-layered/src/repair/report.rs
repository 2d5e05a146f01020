use std::{fmt, sync::Arc};

use cache_core::{Error, Key, VerifyReport};

/// What a [`repair`](crate::LayeredStore::repair) found, and what it did about it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// Entries whose copies were compared.
    pub entries: u64,
    /// The tiers, fastest first.
    pub tiers: Vec<(Arc<str>, TierRepair)>,
    /// The first of those that could not be repaired, in no order.
    pub failed: Vec<Key>,
    /// The first failure: to read a copy, to list a tier, or to write one.
    pub first_error: Option<Error>,
}

/// What was found in one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TierRepair {
    /// Copies that were compared with those of other tiers.
    pub entries: u64,
    /// Copies that were damaged.
    pub damaged: u64,
    /// Those of them that were written again from a sound one.
    pub restored: u64,
    /// Entries that it lacked and got.
    pub filled: u64,
    /// Copies that lacked something or were another version, and were written anew or dropped.
    pub replaced: u64,
    /// Entries that were offered to it, which it refused by its limits.
    pub refused: u64,
    /// Entries that could not be compared or written.
    pub failed: u64,
    /// Whether it could not be read or listed to its end: nothing is known of the rest.
    pub unreachable: bool,
}

impl TierRepair {
    /// Copies that were written because they were missing, or another version.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.filled.saturating_add(self.replaced)
    }

    /// Whether what was to be done for it is done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.damaged == self.restored && self.failed == 0 && !self.unreachable
    }
}

impl RepairReport {
    pub(super) fn of(names: impl Iterator<Item = Arc<str>>) -> Self {
        Self { tiers: names.map(|name| (name, TierRepair::default())).collect(), ..Self::default() }
    }

    /// Whether everything was looked at, and all that was to be written was.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.first_error.is_none() && self.tiers.iter().all(|(_, tier)| tier.is_complete())
    }

    /// Whether there was nothing to repair.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.is_complete() && self.tiers.iter().all(|(_, tier)| tier.damaged == 0 && tier.written() == 0)
    }

    /// Copies that were written in any tier because they were missing, or another version.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.sum(TierRepair::written)
    }

    fn sum(&self, of: impl Fn(&TierRepair) -> u64) -> u64 {
        self.tiers.iter().map(|(_, tier)| of(tier)).fold(0, u64::saturating_add)
    }

    pub(super) fn tier(&mut self, at: usize) -> Option<&mut TierRepair> {
        self.tiers.get_mut(at).map(|(_, tier)| tier)
    }

    pub(super) fn unreachable(&mut self, at: usize, error: Error) {
        self.error(error);
        if let Some(tier) = self.tier(at) {
            tier.unreachable = true;
        }
    }

    pub(super) fn error(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }

    pub(super) fn fail(&mut self, key: &Key, max_keys: usize) {
        if self.failed.len() < max_keys && !self.failed.contains(key) {
            self.failed.push(key.clone());
        }
    }

    /// Takes over what a scrub of the tiers found.
    pub(super) fn verified(&mut self, found: VerifyReport, max_keys: usize) {
        for (at, (_, verified)) in found.tiers.into_iter().enumerate() {
            let Some(tier) = self.tier(at) else { continue };
            tier.damaged = verified.damaged;
            tier.restored = verified.repaired;
            tier.failed = verified.unreadable;
            tier.unreachable = verified.entries == 0 && verified.first_error.is_some();
        }
        for key in &found.lost {
            self.fail(key, max_keys);
        }
        self.first_error = self.first_error.take().or(found.first_error);
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = if self.entries == 1 { "entry" } else { "entries" };
        write!(f, "{} {entries} compared", self.entries)?;
        for (name, tier) in &self.tiers {
            write!(f, "; {name}: {tier}")?;
        }
        match &self.first_error {
            Some(error) => write!(f, "; {}", error.to_line()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TierRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} damaged, {} restored", self.damaged, self.restored)?;
        write!(f, ", {} filled, {} replaced", self.filled, self.replaced)?;
        if self.refused > 0 {
            write!(f, ", {} refused", self.refused)?;
        }
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.unreachable { f.write_str(", unreachable") } else { Ok(()) }
    }
}
