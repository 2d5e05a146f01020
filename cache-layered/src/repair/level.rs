//! Brings the tiers in step for one key.

use cache_core::{EntryMeta, ErrorKind, GetOptions, Key, PutMode, PutOptions, PutStatus, Result};

use super::{
    same::{is_same_shape, is_same_value, is_same_version},
    walk::Listed,
};
use crate::{WritePolicy, layered::LayeredStore, tier::Tier, write::whole};

/// What was done in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Filled,
    Replaced,
    Refused,
}

/// What came of it in each tier where something was to be done.
pub(super) type Changes = Vec<(usize, Result<Change>)>;

/// Whether a repair writes to the tier. What moves between two tiers by itself is one version already.
fn is_kept_in_step(tier: &Tier) -> bool {
    matches!(tier.options.write, WritePolicy::Through | WritePolicy::Behind) && tier.source.is_none()
}

fn largest(meta: &EntryMeta) -> u64 {
    meta.blobs.iter().map(|blob| blob.bytes).max().unwrap_or(0)
}

impl LayeredStore {
    /// Which copy is the newest of those that are read: the last one made, of several the slowest tier's, where
    /// merges live.
    fn newest<'a>(&self, copies: &'a [(usize, EntryMeta)]) -> Option<&'a (usize, EntryMeta)> {
        let is_read = |at: usize| self.tiers().get(at).is_some_and(|tier| tier.options.read);
        copies.iter().filter(|(at, _)| is_read(*at)).max_by_key(|(at, meta)| (meta.modified, *at))
    }

    /// Whether a tier has to have an entry. Faster tiers are caches, which evict; the slowest that is read, and lets
    /// the entry in, is where it stays. One that is not read is a copy for others, and has all.
    fn is_due(&self, at: usize, tier: &Tier, meta: &EntryMeta) -> bool {
        let lets_in = |tier: &Tier| tier.admits(meta.counted_bytes(), largest(meta));
        if !lets_in(tier) {
            return false;
        }
        let is_home = |tier: &Tier| {
            tier.options.read
                && tier.options.write != WritePolicy::Never
                && (!is_kept_in_step(tier) || lets_in(tier))
        };
        let home = self.tiers().iter().enumerate().rev().find(|(_, tier)| is_home(tier));
        !tier.options.read || home.is_some_and(|(home, _)| home == at)
    }

    /// Whether the listings tell that there is nothing to do. Where tiers tell too little, there may be.
    pub(super) fn is_in_step(&self, listed: &Listed, among: &[usize]) -> bool {
        let tells = |(at, meta): &(usize, EntryMeta)| {
            meta.bytes.is_some() && self.tiers().get(*at).is_some_and(|tier| tier.info.powers.dated)
        };
        if !listed.copies.iter().all(tells) {
            return false;
        }
        // Nobody reads what lies in such tiers alone.
        let Some((_, newest)) = self.newest(&listed.copies) else { return true };
        among.iter().all(|at| {
            let Some(tier) = self.tiers().get(*at).filter(|tier| is_kept_in_step(tier)) else { return true };
            match listed.copies.iter().find(|(other, _)| other == at) {
                Some((_, meta)) => is_same_version(meta, newest),
                None => !self.is_due(*at, tier, newest),
            }
        })
    }

    /// Brings the tiers `among` which the entry is compared in step. The key's turn is taken.
    pub(super) async fn level(&self, key: &Key, among: &[usize]) -> Changes {
        let mut changes = Changes::new();
        let mut copies = Vec::new();
        let mut targets = Vec::new();
        for (at, tier) in among.iter().filter_map(|at| Some((*at, self.tiers().get(*at)?))) {
            match tier.store.meta(key).await {
                Ok(meta) => {
                    copies.extend(meta.map(|meta| (at, meta)));
                    targets.extend(is_kept_in_step(tier).then_some((at, tier)));
                }
                Err(error) => changes.push((at, Err(tier.failed("repair", error)))),
            }
        }
        let Some((from, newest)) = self.newest(&copies) else { return changes };
        let Some(source) = self.tiers().get(*from) else { return changes };
        for (at, tier) in targets.into_iter().filter(|(at, _)| at != from) {
            let done = match copies.iter().find(|(other, _)| *other == at) {
                Some((_, meta)) => align(key, tier, meta, source, newest).await,
                None if self.is_due(at, tier, newest) => fill(key, tier, source).await,
                None => Ok(None),
            };
            changes.extend(done.transpose().map(|done| (at, done)));
        }
        changes
    }
}

/// Puts a copy right that may be another version.
async fn align(
    key: &Key,
    tier: &Tier,
    meta: &EntryMeta,
    source: &Tier,
    newest: &EntryMeta,
) -> Result<Option<Change>> {
    if is_same_version(meta, newest) {
        return Ok(None);
    }
    // Each tier has dated what one put wrote, if nobody told it a time.
    if is_same_shape(meta, newest) {
        match is_same_value(key, source, tier).await {
            Ok(true) => return Ok(None),
            Ok(false) => {}
            // What is damaged is not the same.
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    if !tier.admits(newest.counted_bytes(), largest(newest)) {
        tier.store.evict(key).await.map_err(|error| tier.failed("repair", error))?;
        return Ok(Some(Change::Replaced));
    }
    // What a tier refuses it does not have any more, in whatever version.
    Ok(write(key, tier, source, PutMode::Replace).await?.map(|_| Change::Replaced))
}

async fn fill(key: &Key, tier: &Tier, source: &Tier) -> Result<Option<Change>> {
    // What another process has put meanwhile stays. In a stack a fill would reach its slowest tier alone.
    let mode = if tier.info.tiers.is_empty() { PutMode::Fill } else { PutMode::Replace };
    let status = write(key, tier, source, mode).await?;
    Ok(status.map(|status| if status == PutStatus::Stored { Change::Filled } else { Change::Refused }))
}

/// Copies what `source` has; `None` if another process took it from there.
async fn write(key: &Key, tier: &Tier, source: &Tier, mode: PutMode) -> Result<Option<PutStatus>> {
    let read = source.store.get_entry(key, GetOptions::default().quietly()).await;
    let Some(entry) = read.map_err(|error| source.failed("repair", error))? else { return Ok(None) };
    let mut options = PutOptions::mode(mode);
    options.created = entry.meta.modified;
    let put = tier.store.put(key, whole(entry), options).await;
    Ok(Some(put.map_err(|error| tier.failed("repair", error))?.status))
}
