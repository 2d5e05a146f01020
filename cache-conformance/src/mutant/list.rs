use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use cache_core::{Digest, EntryMeta, Error, ErrorKind, KeyManagement, ListOptions, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "finds_one_of_several",
        fault: "A listing with a prefix ends after its first match.",
        killed_by: &[
            "list_honours_the_prefix",
            "expand_of_two_matches_is_ambiguous",
            "shrink_gives_the_shortest_prefix",
            "shrink_of_twins_is_ambiguous",
            "shrink_all_keeps_the_order",
            "short_digests_read_and_evict",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(FindsOneOfSeveral(reference.store(setup)?)),
    },
    Mutant {
        id: "ignores_the_limit",
        fault: "A listing ignores its limit.",
        killed_by: &["list_honours_the_limit", "list_pages_cover_everything"],
        fresh: Reference::default,
        open: |reference, setup| twisted(IgnoresTheLimit(reference.store(setup)?)),
    },
    Mutant {
        id: "lists_descending",
        fault: "A listing comes in the wrong order.",
        killed_by: &[
            "list_is_ascending",
            "recursive_list_covers_namespaces_below",
            "list_survives_changes",
            "list_pages_cover_everything",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListsDescending(reference.store(setup)?)),
    },
    Mutant {
        id: "lists_twice",
        fault: "A listing meets entries again, as a walk does that meets one that was put again.",
        killed_by: &[
            "list_is_ascending",
            "expand_survives_rewrites",
            "pages_survive_changes",
            "shrink_of_nothing_is_invalid",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListsTwice(reference.store(setup)?)),
    },
    Mutant {
        id: "prefixes_in_pairs",
        fault: "A prefix of an odd number of digits is one digit longer.",
        killed_by: &["list_honours_the_prefix", "expand_finds_the_only_match"],
        fresh: Reference::default,
        open: |reference, setup| twisted(PrefixesInPairs(reference.store(setup)?)),
    },
    Mutant {
        id: "starts_at_the_key",
        fault: "A listing that starts after a key begins with it.",
        killed_by: &["list_starts_after_a_key", "pages_survive_changes"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StartsAtTheKey(reference.store(setup)?)),
    },
    Mutant {
        id: "limits_before_it_looks",
        fault: "A listing stops after so many entries as it passed over.",
        killed_by: &["list_options_combine", "list_honours_the_limit"],
        fresh: Reference::default,
        open: |reference, setup| twisted(LimitsBeforeItLooks(reference.store(setup)?)),
    },
    Mutant {
        id: "listings_break_each_other",
        fault: "A new listing ends the others.",
        killed_by: &["listings_run_side_by_side"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListingsBreakEachOther(reference.store(setup)?, Arc::default())),
    },
    Mutant {
        id: "lists_always_below",
        fault: "A listing covers namespaces below, asked for or not.",
        killed_by: &["list_is_scoped_to_its_namespace"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListsAlwaysBelow(reference.store(setup)?)),
    },
    Mutant {
        id: "lists_no_stored_bytes",
        fault: "A listed entry is stored in no bytes.",
        killed_by: &["list_knows_stored_bytes"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ListsNoStoredBytes(reference.store(setup)?)),
    },
    Mutant {
        id: "no_entries_no_namespace",
        fault: "A listing of nothing fails.",
        killed_by: &[
            "list_of_an_empty_store_is_empty",
            "expand_without_match_is_not_found",
            "short_digest_without_match_is_a_miss",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(NoEntriesNoNamespace(reference.store(setup)?)),
    },
    Mutant {
        id: "one_page_of_a_thousand",
        fault: "A listing ends after a thousand entries.",
        killed_by: &["list_of_many_entries_is_whole"],
        fresh: Reference::default,
        open: |reference, setup| twisted(OnePageOfAThousand(reference.store(setup)?)),
    },
    Mutant {
        id: "starts_at_the_prefix",
        fault: "A listing goes on behind the prefix.",
        killed_by: &[
            "list_honours_the_prefix",
            "expand_without_match_is_not_found",
            "shrink_of_an_absent_key_is_not_found",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(StartsAtThePrefix(reference.store(setup)?)),
    },
];

#[derive(Debug)]
struct IgnoresTheLimit(ReferenceStore);

#[async_trait]
impl Twist for IgnoresTheLimit {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, mut options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        options.limit = None;
        self.0.list(options)
    }
}

#[derive(Debug)]
struct ListsDescending(ReferenceStore);

#[async_trait]
impl Twist for ListsDescending {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let inner = self.0.list(options);
        let all = async move { stream::iter(inner.collect::<Vec<_>>().await.into_iter().rev()) };
        stream::once(all).flatten().boxed()
    }
}

#[derive(Debug)]
struct ListsTwice(ReferenceStore);

#[async_trait]
impl Twist for ListsTwice {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let limit = options.limit.unwrap_or(usize::MAX);
        let twice = self.0.list(options).flat_map(|entry| stream::iter([entry.clone(), entry]));
        twice.take(limit).boxed()
    }
}

#[derive(Debug)]
struct PrefixesInPairs(ReferenceStore);

#[async_trait]
impl Twist for PrefixesInPairs {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, mut options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let pairs = options.prefix.map(|prefix| (prefix.first(), prefix.len().next_multiple_of(2)));
        options.prefix = pairs.map(|(first, len)| first.prefix(len));
        self.0.list(options)
    }
}

#[derive(Debug)]
struct StartsAtTheKey(ReferenceStore);

#[async_trait]
impl Twist for StartsAtTheKey {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, mut options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        if let Some(after) = &mut options.start_after {
            let mut digest = *after.digest.as_bytes();
            if let Some(last) = digest.iter_mut().rfind(|byte| **byte > 0) {
                *last -= 1;
            }
            after.digest = Digest::from_bytes(digest);
        }
        self.0.list(options)
    }
}

twist! { FindsOneOfSeveral {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let limit = if options.prefix.is_some() { 1 } else { usize::MAX };
        self.0.list(options).take(limit).boxed()
    }
} }

twist! { LimitsBeforeItLooks {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let mut all = options.clone();
        (all.prefix, all.start_after) = (None, None);
        let admits = move |entry: &Result<EntryMeta>| entry.as_ref().is_ok_and(|entry| options.admits(&entry.key));
        self.0.list(all).filter(move |entry| std::future::ready(admits(entry))).boxed()
    }
} }

twist! { ListingsBreakEachOther(Arc<AtomicU64>) {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let newest = self.1.clone();
        let own = newest.fetch_add(1, Ordering::SeqCst) + 1;
        let goes_on = move |_: &_| std::future::ready(newest.load(Ordering::SeqCst) == own);
        self.0.list(options).take_while(goes_on).boxed()
    }
} }

twist! { ListsAlwaysBelow {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.0.list(options.recursive())
    }
} }

twist! { ListsNoStoredBytes {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let forget = |mut entry: EntryMeta| {
            entry.stored_bytes = 0;
            entry
        };
        self.0.list(options).map_ok(forget).boxed()
    }
} }

twist! { NoEntriesNoNamespace {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let mut listed = self.0.list(options).peekable();
        let checked = async move {
            let nothing = Pin::new(&mut listed).peek().await.is_none();
            let failure = nothing.then(|| Err(Error::new(ErrorKind::Unavailable, "mutant", "list")));
            listed.chain(stream::iter(failure))
        };
        stream::once(checked).flatten().boxed()
    }
} }

twist! { OnePageOfAThousand {
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.0.list(options).take(1000).boxed()
    }
} }

twist! { StartsAtThePrefix {
    fn list(&self, mut options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let first = options.prefix.take().map(|prefix| prefix.first());
        let before = move |entry: &Result<EntryMeta>| {
            entry.as_ref().is_ok_and(|entry| first.is_some_and(|first| entry.key.digest < first))
        };
        self.0.list(options).filter(move |entry| std::future::ready(!before(entry))).boxed()
    }
} }
