//! Listings by pages, and what is in a scope.

use std::{collections::VecDeque, ops::Bound};

use cache_core::{Digest, EntryMeta, Key, ListOptions, Namespace};

use super::Engine;
use crate::{
    shard::{Shard, shard_of},
    slot::Slot,
    space::Space,
};

/// Entries told of at once.
const PAGE: usize = 512;
const LOWEST: Digest = Digest::from_bytes([0; 32]);
const HIGHEST: Digest = Digest::from_bytes([0xff; 32]);

impl Engine {
    /// The next entries after `after`, and where to go on; holds no lock for more than a page.
    pub(crate) fn page(
        &self,
        options: &ListOptions,
        after: Option<&Key>,
    ) -> (VecDeque<EntryMeta>, Option<Key>) {
        let begin = after.cloned().unwrap_or_else(|| options.first());
        let digest =
            if after.is_some() { Bound::Excluded(begin.digest) } else { Bound::Included(begin.digest) };
        let lowest = options.prefix.map_or(LOWEST, |prefix| prefix.first());
        let mut page =
            Page { options, limit: options.limit.unwrap_or(PAGE).min(PAGE), found: VecDeque::new() };
        let mut next = self.spaces.from(Bound::Included(&begin.namespace));
        while let Some(space) = next {
            if options.ends_before(&Key::new(space.namespace.clone(), lowest)) {
                break;
            }
            let from = if space.namespace == begin.namespace { digest } else { Bound::Included(lowest) };
            if options.namespace.covers(&space.namespace) && !self.fill(&mut page, &space, from) {
                let resume = page.found.back().map(|meta| meta.key.clone());
                return (page.found, resume);
            }
            next = self.spaces.from(Bound::Excluded(&space.namespace));
        }
        (page.found, None)
    }

    /// Adds the entries of a namespace; whether there was room for all.
    fn fill(&self, page: &mut Page<'_>, space: &Space, from: Bound<Digest>) -> bool {
        let (Bound::Included(begin) | Bound::Excluded(begin)) = from else { return true };
        let last = page.options.prefix.map_or(HIGHEST, |prefix| prefix.last());
        let lanes = self.lanes.iter().take(shard_of(&last, self.bits) + 1);
        for lane in lanes.skip(shard_of(&begin, self.bits)) {
            if !lane.read().is_indexed() {
                // In the account first: what it says is never less than what is there.
                self.account.index();
                lane.write().make_index();
            }
            // Indexed for good, unless the store was closed meanwhile: then nothing is there.
            if !page.take(&lane.read(), space, from, &last) {
                return false;
            }
        }
        true
    }

    /// What is known of every entry of a scope.
    pub(crate) fn scope(&self, scope: &Namespace) -> Vec<EntryMeta> {
        let mut found = Vec::new();
        for lane in &self.lanes {
            let shard = lane.read();
            let slots = shard.iter().filter(|slot| scope.covers(&slot.space().namespace));
            found.extend(slots.map(Slot::meta));
        }
        found
    }
}

struct Page<'a> {
    options: &'a ListOptions,
    limit: usize,
    found: VecDeque<EntryMeta>,
}

impl Page<'_> {
    fn take(&mut self, shard: &Shard, space: &Space, from: Bound<Digest>, last: &Digest) -> bool {
        for slot in shard.ordered(space.id, from).take_while(|slot| slot.digest() <= last) {
            if self.found.len() >= self.limit {
                return false;
            }
            if self.options.admits(&slot.key()) {
                self.found.push_back(slot.meta());
            }
        }
        true
    }
}
