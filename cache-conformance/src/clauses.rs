use std::fmt;

use futures::future::BoxFuture;

use crate::{Factory, clause};

/// One requirement on every store.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Clause {
    /// Its name: that of the test, of the function in [`clause`](crate::clause), and of the line in the
    /// doc comment of the trait.
    pub id: &'static str,
    /// The group that it belongs to: the module of its function.
    pub group: &'static str,
    /// What it demands.
    pub requirement: &'static str,
    pub(crate) check: for<'a> fn(&'a dyn Factory) -> BoxFuture<'a, ()>,
}

impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clause({}::{})", self.group, self.id)
    }
}

/// The one list of all clauses: a line each, by group. Hands it to the macro in brackets, after what
/// else was given.
#[doc(hidden)]
#[macro_export]
macro_rules! with_clauses {
    ([$($callback:tt)+] $($given:tt)*) => {
        $($callback)+! {
        [$($given)*]
        read {
            miss_is_none: "An absent entry reads as `Ok(None)`, everywhere.",
            absent_blob_name_is_none: "An absent name of an entry that is there reads as `Ok(None)`.",
            put_is_visible: "After `put` returned, reads see the bytes through every clone of the store.",
            get_now_agrees_with_get: "What `get_now` answers is what `get` would; `None` may mean anything.",
            empty_blob_round_trips: "Zero bytes are a value, not a miss.",
            large_blob_round_trips: "A blob of 8 MiB and a bit comes back, put in hand or as a stream.",
            hits_share_bytes_where_declared: "Two hits hand out the same allocation; undeclared, they do not.",
            range_is_a_slice: "A range reads exactly its bytes and tells the whole length.",
            range_is_clamped_at_the_end: "A range ends with the blob, and may be empty there.",
            range_past_the_end_is_invalid: "A range that starts past the end is `Invalid`, not a miss.",
            get_entry_reads_all_blobs: "`get_entry` reads one version, in the order of names, with true metadata.",
            streamed_get_equals_bytes: "Where a stream is asked for, its pieces join to the same bytes.",
            meta_tells_sizes_and_times: "`meta` knows the bytes of every blob, their sum, created, and a place.",
        }
        write {
            put_says_stored: "The outcome of a put tells that the entry is visible.",
            replace_leaves_exactly_the_new_blobs: "After `Replace`, other names are gone.",
            merge_keeps_other_blobs: "`Merge` keeps other names and overwrites those with the same name.",
            merge_creates_an_absent_entry: "To `Merge`, an entry that is not there is like one without blobs.",
            fill_writes_only_absent_names: "`Fill` leaves the bytes of names that are present.",
            put_of_no_blobs_is_invalid: "An entry without blobs is `Invalid` and changes nothing.",
            put_of_a_name_twice_is_invalid: "An entry with a name twice is `Invalid` and changes nothing.",
            put_keeps_a_given_creation_time: "`PutOptions::created` is what `meta` answers.",
        }
        atomic {
            streamed_put_round_trips: "Blobs stream in with and without a promised length.",
            streamed_put_that_fails_changes_nothing: "A put whose stream ends in an error leaves the old entry whole.",
            streamed_put_of_a_wrong_length_changes_nothing: "A stream of another length than promised is `Invalid`.",
            dropped_put_leaves_old_or_new: "A put dropped at any point leaves no part of an entry.",
            concurrent_puts_leave_one_whole_entry: "The blobs of one put never stand beside those of another.",
            concurrent_merges_lose_no_blob: "Tasks of one process that merge into one entry keep all their blobs.",
        }
        limits {
            budget_is_kept_after_flush: "A store holds at most its budget when `flush` returns.",
            eviction_takes_whole_entries: "No entry ever lacks some of its blobs.",
            a_read_protects_from_eviction: "Where recency is declared, an entry that is read stays.",
            zero_budget_disables_the_cache: "Under a budget of zero, puts are refused and nothing fails.",
            entry_as_large_as_the_budget_is_stored: "One entry may fill the budget.",
            entry_over_the_budget_is_refused: "It is `Ok(Refused)`, and an older value of the key is gone.",
            blob_at_the_limit_is_stored: "`max_blob_bytes` is inclusive.",
            blob_over_the_limit_changes_nothing: "A larger blob is `TooLarge`, in hand or streamed.",
        }
        names {
            namespaces_do_not_collide: "One digest in several namespaces is several entries.",
            usage_counts_namespaces_below: "The usage of a parent includes that of its children.",
            clean_stays_in_its_scope: "A clean of a child leaves parent and siblings alone.",
            clean_covers_namespaces_below: "A clean of a parent goes by the age and recency of each entry below.",
            odd_names_round_trip: "Spaces, percent signs, case twins, Unicode twins and long names stay apart.",
        }
        cleaning {
            usage_is_true: "Usage counts entries and bytes, also after overwrites and evictions.",
            clean_by_size_takes_the_least_recent: "The least recent entries go until the scope fits.",
            clean_by_age_goes_by_the_newest_blob: "An entry with one new blob stays.",
            clean_by_both_takes_either: "Outdated entries go, and then the least recent ones.",
            clean_without_constraint_removes_nothing: "An empty policy only reports what is kept.",
            clean_report_is_true: "The report tells evicted and kept, entries and bytes.",
        }
        counting {
            metrics_count_every_lookup_once: "`get` and `get_entry` are a hit or a miss each, `get_now` a hit at most.",
            metrics_count_contains_apart: "Existence questions have their own pair of counters.",
            metrics_count_puts_and_refusals: "Stored, refused and failed puts are counted apart.",
            info_is_constant: "`info` tells the same from open to close.",
        }
        ending {
            reopen_finds_flushed_entries: "A durable store has them after a restart, a volatile one is empty.",
            flush_tells_durability: "Durable stores report it, volatile ones do not claim it.",
            closed_store_says_so: "Every operation is `Closed`; `close` itself succeeds again.",
        }
        keys {
            contains_tells_presence: "`contains` is true exactly while the entry has a blob.",
            contains_keeps_no_entry_alive: "Asking does not protect an entry from eviction.",
            evict_removes_the_whole_entry: "All blobs of the key go together.",
            evict_is_idempotent: "Evicting an absent entry succeeds.",
            evict_leaves_other_entries: "Others stay, also the same digest in other namespaces.",
            put_after_evict_is_visible: "Nothing of an evicted entry comes back with the next put.",
        }
        list {
            list_of_an_empty_store_is_empty: "A namespace that nobody wrote to is empty, not an error.",
            list_is_ascending: "Listings go by encoded namespace, then digest, with every entry once.",
            list_honours_the_prefix: "Only digests with the prefix are listed, also of an odd number of digits.",
            list_starts_after_a_key: "A listing starts after a key, which need not exist.",
            list_honours_the_limit: "No more than the limit is listed; a limit of 0 lists nothing.",
            list_pages_cover_everything: "Pages joined by `start_after` are the whole listing.",
            list_knows_stored_bytes: "Every listed entry has a stored size.",
            list_survives_changes: "Entries present all along are listed although others come and go.",
            list_is_scoped_to_its_namespace: "Without `recursive`, entries below are not listed.",
            recursive_list_covers_namespaces_below: "Entries below come in the order of the encoded paths.",
        }
        short {
            expand_finds_the_only_match: "A prefix with any number of digits expands to its only match.",
            expand_without_match_is_not_found: "Expanding a prefix that nothing matches is `NotFound`.",
            expand_of_two_matches_is_ambiguous: "It is `Ambiguous`, with the two smallest matches.",
            expand_of_a_full_digest_asks_nobody: "A full digest comes back as it is, present or not.",
            shrink_gives_the_shortest_prefix: "It has at least 4 digits and expands to the same digest.",
            shrink_of_an_absent_key_is_not_found: "Shrinking a key that is not there is `NotFound`.",
            shrink_of_twins_is_ambiguous: "Where two digests share 63 digits, shrinking is `Ambiguous`.",
            shrink_of_nothing_is_invalid: "Shrinking no digests is `Invalid`.",
            shrink_all_keeps_the_order: "There is one prefix for each digest, in the order given.",
            short_digests_read_and_evict: "They address what they expand to, and are ambiguous alike.",
            expand_survives_rewrites: "An entry that is put again and again meanwhile stays one candidate, and is always found.",
            short_digest_without_match_is_a_miss: "It is one for reads, existence and evictions.",
        }
        }
    };
}

macro_rules! table {
    ([] $($group:ident { $($id:ident: $requirement:literal,)* })*) => {
        /// All clauses, by group.
        pub static CLAUSES: &[Clause] = &[$($(
            Clause {
                id: stringify!($id),
                group: stringify!($group),
                requirement: $requirement,
                check: |factory| Box::pin(clause::$group::$id(factory)),
            },
        )*)*];
    };
}

with_clauses! { [table] }

#[cfg(test)]
mod tests;
