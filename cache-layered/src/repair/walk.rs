//! The keys of several tiers in their order, a page at a time.

use std::collections::BTreeMap;

use cache_core::{EntryMeta, Error, Key, ListOptions, Namespace};
use futures::TryStreamExt;

use crate::tier::Tier;

/// How many entries of a tier are listed at once.
const PAGE: usize = 1024;

/// A key, and what the listings of the tiers tell of it. Tiers go by their places in the stack.
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) copies: Vec<(usize, EntryMeta)>,
}

pub(super) struct Walk {
    tiers: Vec<(usize, Tier)>,
    rest: Option<ListOptions>,
}

impl Walk {
    pub(super) fn new(tiers: Vec<(usize, Tier)>, scope: &Namespace) -> Self {
        Self { tiers, rest: Some(ListOptions::below(scope)) }
    }

    /// The tiers that could be listed so far.
    pub(super) fn tiers(&self) -> Vec<usize> {
        self.tiers.iter().map(|(at, _)| *at).collect()
    }

    /// The next keys; `None` after the last. A tier that cannot be listed is told once, and left out from there on.
    ///
    /// All tiers are asked anew for each page, fastest first: what moves down meanwhile is met where it was, or below.
    pub(super) async fn page(&mut self, mut unlisted: impl FnMut(usize, Error)) -> Option<Vec<Listed>> {
        let asked = self.rest.take()?;
        let mut lists = Vec::new();
        for (at, tier) in std::mem::take(&mut self.tiers) {
            let list = tier.store.list(asked.clone().with_limit(PAGE));
            match list.try_collect::<Vec<_>>().await {
                Ok(list) => {
                    lists.push((at, list));
                    self.tiers.push((at, tier));
                }
                Err(error) => unlisted(at, tier.failed("repair", error)),
            }
        }
        // Beyond it one of the lists tells nothing yet.
        let cut =
            |list: &Vec<EntryMeta>| list.last().filter(|_| list.len() >= PAGE).map(|meta| meta.key.clone());
        let last = lists.iter().filter_map(|(_, list)| cut(list)).min();
        let mut page: BTreeMap<Key, Vec<(usize, EntryMeta)>> = BTreeMap::new();
        for (at, list) in lists {
            for meta in list.into_iter().filter(|meta| last.as_ref().is_none_or(|last| meta.key <= *last)) {
                page.entry(meta.key.clone()).or_default().push((at, meta));
            }
        }
        self.rest = last.map(|last| asked.with_start_after(last));
        Some(page.into_iter().map(|(key, copies)| Listed { key, copies }).collect())
    }
}
