//! Which entries there are to choose from, and their removal if nobody used them since.

use std::{collections::HashMap, thread, time::Duration};

use cache_core::{CleanPolicy, EntryMeta, Error, Key, ListOptions, Namespace, Result};

use crate::{
    cancel::Cancel,
    disk::Inner,
    entry_dir::Version,
    remove::{Only, Removed, remove},
    scan::Scan,
};

/// How often entries whose shard others hold are tried again; the pauses double from 1 ms.
const ROUNDS: u32 = 7;

/// An entry, as a scan found it.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) meta: EntryMeta,
    version: Version,
}

impl Candidate {
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.stored_bytes
    }
}

/// All entries of a scope, without their blobs and places, and the first failure to read a part of it.
pub(crate) fn scan(
    inner: &Inner,
    scope: &Namespace,
    operation: &'static str,
) -> (Vec<Candidate>, Result<()>) {
    inner.write_recency();
    let mut scan = Scan::new(ListOptions::below(scope), operation);
    let mut candidates = Vec::new();
    let mut outcome = Ok(());
    loop {
        let next = scan.next_with(&inner.root, |dir, key| {
            let stored = dir.stored()?;
            let Some(modified) = stored.iter().map(|blob| blob.modified).max() else { return Ok(None) };
            let bytes = stored.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.bytes()));
            let mut meta = EntryMeta::new(key.clone(), bytes);
            meta.modified = Some(modified);
            meta.last_accessed = Some(dir.last_used());
            Ok(Some(Candidate { meta, version: dir.version() }))
        });
        match next {
            Ok(Some(candidate)) => candidates.push(candidate),
            Ok(None) => return (candidates, outcome),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
}

/// Those that a policy removes, in that order.
pub(crate) fn chosen(inner: &Inner, policy: &CleanPolicy, candidates: &[Candidate]) -> Vec<Candidate> {
    let versions: HashMap<&Key, Version> =
        candidates.iter().map(|found| (&found.meta.key, found.version)).collect();
    let metas = candidates.iter().map(|found| found.meta.clone()).collect();
    let victims = policy.victims(metas, inner.clock.now()).into_iter();
    victims
        .filter_map(|meta| {
            let version = *versions.get(&meta.key)?;
            Some(Candidate { meta, version })
        })
        .collect()
}

/// Removes candidates while they are `wanted` away, each unless it was used since the scan. What cannot be
/// removed is passed over; the first failure is the answer. `done` is told what became of each.
pub(crate) fn evict(
    inner: &Inner,
    victims: Vec<Candidate>,
    operation: &'static str,
    mut wanted: impl FnMut(&Candidate) -> bool,
    mut done: impl FnMut(&Candidate, Removed),
) -> Result<()> {
    let mut first: Option<Error> = None;
    let mut left = victims;
    for round in 0..ROUNDS {
        let mut busy = Vec::new();
        for victim in left {
            if !wanted(&victim) {
                break;
            }
            let only = Only::Unchanged(victim.version);
            match remove(inner, &victim.meta.key, only, operation, &Cancel::default()) {
                Ok(Removed::Busy) => busy.push(victim),
                Ok(removed) => {
                    if let Removed::Entry(bytes) = removed {
                        inner.counters.eviction(bytes);
                    }
                    done(&victim, removed);
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        left = busy;
        if !left.iter().any(&mut wanted) {
            break;
        }
        thread::sleep(Duration::from_millis(1 << round));
    }
    first.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests;
