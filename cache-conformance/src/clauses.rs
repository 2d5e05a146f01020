use std::fmt;

use futures::future::BoxFuture;

use crate::{Factory, Handle, clause};

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
    /// What it needs besides an open store.
    pub needs: Option<Handle>,
    pub(crate) check: for<'a> fn(&'a dyn Factory) -> BoxFuture<'a, ()>,
}

impl fmt::Debug for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clause({}::{})", self.group, self.id)
    }
}

/// The one list of all clauses: a line each, by group; behind the name of a group stands the handle that
/// it needs. Hands it to the macro in brackets, after what else was given.
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
            any_bytes_round_trip: "Bytes come back as they were put, whatever they look like.",
            put_of_no_blobs_is_invalid: "An entry without blobs is `Invalid` and changes nothing.",
            put_of_a_name_twice_is_invalid: "An entry with a name twice is `Invalid` and changes nothing.",
            put_keeps_a_given_creation_time: "`PutOptions::created` is what `meta` answers.",
            put_without_a_time_is_made_now: "A put without a time of creation is made now: `Replace` altogether, the others in what they add.",
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
            largest_budget_limits_nothing: "The largest budget that there is takes everything.",
            blob_at_the_limit_is_stored: "`max_blob_bytes` is inclusive.",
            blob_over_the_limit_changes_nothing: "A larger blob is `TooLarge`, in hand or streamed.",
            blob_over_the_limit_is_not_read: "A larger blob that is there already is not read, but `TooLarge`.",
        }
        names {
            namespaces_do_not_collide: "One digest in several namespaces is several entries.",
            usage_counts_namespaces_below: "The usage of a parent includes that of its children.",
            clean_stays_in_its_scope: "A clean of a child leaves parent and siblings alone.",
            clean_covers_namespaces_below: "A clean of a parent goes by the age and recency of each entry below.",
            odd_names_round_trip: "Spaces, percent signs, case twins, Unicode twins and long names stay apart.",
            long_paths_round_trip: "Entries of nested namespaces up to 448 encoded bytes, many short parts or few long ones, are found again.",
            encoded_names_are_other_names: "What a name is encoded as is a name of its own: none collides with another name's stored form.",
            namespaces_named_as_entries_stay_apart: "Namespaces named as a digest, its first digits, a blob or a temporary stand apart from entries and blobs.",
        }
        cleaning {
            usage_is_true: "Usage counts entries and bytes, also after overwrites and evictions.",
            clean_by_size_takes_the_least_recent: "The least recent entries go until the scope fits.",
            clean_by_age_goes_by_the_newest_blob: "An entry with one new blob stays.",
            clean_by_both_takes_either: "Outdated entries go, and then the least recent ones.",
            clean_without_constraint_removes_nothing: "An empty policy only reports what is kept.",
            clean_report_is_true: "The report tells evicted and kept, entries and bytes.",
            verify_reads_every_entry: "A verify reads every entry of its scope, makes none recent, and counts no lookup.",
        }
        counting {
            metrics_count_every_lookup_once: "`get` and `get_entry` are a hit or a miss each, `get_now` a hit at most.",
            metrics_count_contains_apart: "Existence questions have their own pair of counters.",
            metrics_count_puts_and_refusals: "Stored, refused and failed puts are counted apart.",
            info_is_constant: "`info` tells the same from open to close.",
            metrics_count_evictions: "Entries that go by `clean` or to keep the budget are counted with their bytes, others are not.",
            metrics_count_removals_and_flushes: "Removals that callers ask for are counted, and flushes.",
            metrics_count_refused_reads_apart: "A read that is refused is neither a hit nor a miss, and no question counts as a read.",
            metrics_add_up_under_concurrency: "Nothing is lost or counted twice when tasks run side by side, and no counter ever goes down.",
            metrics_tell_what_is_held: "What metrics tell of entries and bytes that are held, where they do, is what usage tells.",
        }
        ending {
            reopen_finds_flushed_entries: "A durable store has them after a restart, a volatile one is empty.",
            flush_tells_durability: "Durable stores report it, volatile ones do not claim it.",
            closed_store_says_so: "Every operation is `Closed`; `close` itself succeeds again.",
            close_honours_a_deadline: "A close with a deadline succeeds, also one of zero, and the store is closed after it.",
            close_meets_operations_under_way: "What runs while the store is closed ends whole or as `Closed`, and nothing is written after it.",
            close_is_no_crash: "A durable store has after a close and a restart what was put after the last flush, too.",
            budget_holds_over_a_restart: "A durable store keeps its budget over a restart: what it finds counts, and a smaller budget is kept.",
        }
        keys {
            contains_tells_presence: "`contains` is true exactly while the entry has a blob.",
            outermost_digests_are_digests: "The digests of zeros and of ones are digests like others.",
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
        pages {
            list_options_combine: "Scope, `recursive`, prefix, `start_after` and limit narrow a listing together as each of them does alone.",
            list_of_many_entries_is_whole: "More entries than a server answers at once are listed whole and in order, also by a limit beyond that.",
            pages_survive_changes: "Pages joined while other entries come and go have every entry that stays, once.",
            listings_run_side_by_side: "Listings that are read side by side, or not to their end, disturb neither each other nor writes.",
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
        concurrent {
            reads_beside_writers_are_never_torn: "While an entry is replaced, all blobs and all pieces that one read hands out are of one version.",
            acknowledged_puts_are_never_lost: "What many tasks put under many keys is there, and is seen by each as soon as its put returns.",
            identical_puts_leave_one_entry: "Identical puts at the same time are all stored and leave one entry, which counts once.",
            puts_that_race_evictions_leave_all_or_nothing: "A put that races an eviction leaves a whole entry or none, and neither of them fails.",
            concurrent_evictions_all_succeed: "Evictions of one entry by many tasks all succeed and take nothing else.",
            counts_are_true_after_concurrent_work: "After many tasks have worked, every lookup, question and put was counted once.",
            budget_is_kept_beside_concurrent_puts: "A store is within its budget after a flush although many tasks have put, and can use all of it.",
            listing_beside_writers_has_no_strangers: "Beside writers a listing has no entry twice, none out of place, and none that nobody has put.",
            clean_beside_puts_leaves_what_is_new: "A clean by age takes the old entries, and none that is put meanwhile and was never old.",
        }
        cancel {
            dropped_reads_change_nothing: "A read, a question or a count that is dropped at any point changes nothing.",
            dropped_stream_lets_go_of_its_entry: "Behind a stream that is dropped half-read, the entry can be read, replaced and evicted at once.",
            dropped_listing_lets_go_of_the_store: "Behind a listing that is dropped after any number of entries, entries can come, go and be listed at once.",
            dropped_evict_leaves_all_or_nothing: "An eviction that is dropped at any point leaves the whole entry or nothing of it.",
            dropped_clean_leaves_whole_entries: "A clean that is dropped at any point leaves whole entries and all that it has to keep.",
            dropped_flush_forgets_nothing: "A flush that is dropped at any point forgets nothing: the next one covers the same entries.",
            dropped_close_has_closed: "A store whose `close` was polled once is closed, and can be closed again.",
            dropped_fill_leaves_old_or_new: "A fill that is dropped at any point leaves the old entry or the filled one.",
            dropped_puts_leak_no_budget: "However many puts are dropped under a budget, all of it can be used afterwards.",
            dropped_operations_leave_no_lock: "After an operation that is dropped at any point, its key can be used at once.",
        }
        model {
            random_operations_agree_with_a_model: "Every answer to a random sequence of operations is that of a map.",
            random_operations_under_a_budget_agree_with_a_model: "Under a budget a read is the value of the last put since the last evict, or a miss.",
            concurrent_histories_are_legal: "What tasks see of an entry is explained by one order of their operations.",
        }
        recency {
            every_kind_of_read_protects_from_eviction: "Where recency is declared, an entry that is read in any way stays.",
            clean_by_size_honours_every_kind_of_read: "By size, an entry that was read in any way goes last; without recency, the time of writing decides.",
            questions_make_no_entry_recent: "`meta`, `list`, `usage`, `contains`, a clean that removes nothing and a flush make no entry recent.",
            a_write_makes_an_entry_recent: "A put makes the entry the most recent one: as `Replace`, as `Merge`, as a `Fill` that adds something.",
            last_accessed_moves_with_reads: "`last_accessed` moves with every read and write, and is never in the future; undeclared, it stays.",
            access_count_counts_reads: "Where a store knows an access count, each read that hits adds one to it, and nothing else does.",
            quiet_reads_leave_no_trace: "A quiet read gives the same bytes, makes no entry recent, and is neither a hit nor a miss.",
        }
        sizes {
            blobs_around_block_borders_round_trip: "Blobs that end just before, at and just after a border of blocks come back, in hand and streamed.",
            blobs_around_eight_mebibytes_round_trip: "Blobs of 8 MiB, and of one byte less and more, come back; a read of up to 8 MiB is in hand by default.",
            entry_of_a_hundred_blobs_round_trips: "An entry of a hundred blobs of mixed sizes is one entry.",
            budget_of_one_byte_is_kept: "A budget of one byte is one: a byte fits, two do not, and an empty blob takes none of it.",
            overwriting_evicts_no_other_entry: "Overwriting one entry again and again evicts no other one while all of them fit.",
            refused_put_evicts_no_other_entry: "A put that is refused or fails evicts no other entry.",
            freed_bytes_can_be_used_again: "What overwrites, evictions, cleans, refusals, failures and dropped puts free can be used again.",
            equal_bytes_are_separate_entries: "Equal bytes under several keys and names are entries of their own.",
        }
        streams {
            pieces_of_any_size_join_to_one_blob: "A source may come in pieces of any size, empty ones too, and may keep its reader waiting.",
            source_is_read_once_to_its_end: "A source is asked for no piece after its end, nor after its error.",
            failure_of_one_stream_undoes_the_others: "If one of several streams of a put fails, nothing of the others is kept.",
            open_stream_never_mixes_versions: "An open stream goes on with the version that it began with, or ends in an error.",
            unread_streams_hold_up_nothing: "A stream that nobody reads on keeps no put, eviction, flush or other read from going on.",
            streams_of_one_entry_run_side_by_side: "Several streams of one entry run side by side, each with all of its bytes.",
            slow_put_keeps_the_old_entry_until_it_ends: "While a slow source streams in, the old entry is read whole, and other keys are read and written.",
            reads_up_to_the_threshold_are_in_hand: "What is not larger than `stream_above` is in hand; a stream and a part in hand tell their lengths.",
        }
        powers {
            only_shared_stores_open_twice: "A durable store that is not shared is `Locked` while it is open, and no longer.",
            shared_stores_see_each_other: "Where sharing is declared, what others put, evict and clean is seen at once.",
            shared_stores_answer_whole_versions: "Of what a store has read, others may have written since: it answers an old whole entry or the new one.",
            merges_of_several_stores_lose_nothing_where_declared: "Merges through several stores of one place leave whole blobs, and where it is declared all of them.",
            closing_one_store_leaves_the_others: "Closing one store leaves the others of the same place open.",
            budget_counts_what_others_put: "What others have put counts for the budget: it is kept when each has flushed.",
            blobs_stream_only_where_declared: "Where streaming is not declared, and below `stream_above`, blobs are in hand.",
            spills_only_where_declared: "A store that does not declare it hands on nothing: nothing is counted, and there is no way to.",
        }
        spill(spill) {
            victims_are_handed_on_whole_and_once: "What has to go is handed to the sink, whole and as it was put, and once.",
            victims_stay_readable_until_taken: "A victim is read as before until it was taken.",
            nothing_is_handed_on_under_the_budget: "As long as everything fits, nothing is handed on.",
            only_evictions_for_room_are_handed_on: "What callers remove, replace or are refused is not handed on, and neither is what is there at the close.",
            slow_sinks_hold_up_puts_only: "A slow sink holds up the put that needs room, and no read, listing or removal, nor a put that needs none.",
            dropped_puts_keep_their_victims: "A put that is dropped while it waits for the sink leaves its victims, and they can be handed on again.",
            busy_victims_stay: "A victim that the sink has no hands for stays, another one goes; if none can, the put is refused.",
            handovers_are_counted: "Victims that go are evictions, those that were taken spills, those that were lost are counted apart.",
            what_replaces_a_victim_stays: "What is put over a victim while it is taken stays, and what is evicted meanwhile stays away.",
            concurrent_puts_hand_on_each_victim_once: "Many puts at the same time hand on each victim once, and stay within the budget.",
            without_a_sink_nothing_is_handed_on: "Without a sink, what has to go is gone, as from any store.",
            peeking_is_no_read: "A peek is the whole entry, is no read, and keeps no entry alive.",
        }
        corruption(damage) {
            flipped_bytes_are_never_served: "Whichever byte is another, reads give the right bytes, a miss or `Corrupt`.",
            cut_off_objects_are_never_served: "Wherever an object is cut off, also at nothing, reads give no part of a blob.",
            grown_objects_are_never_served: "What an object has gained at its end never comes out of a read.",
            damaged_large_blobs_are_never_served: "Blobs of several blocks are verified piece by piece and range by range.",
            removed_objects_are_misses: "An entry that lost objects is a miss, or has the right bytes in the blobs that are left.",
            swapped_entries_are_never_served: "The bytes of one entry in the place of another's are damage.",
            swapped_namespaces_are_never_served: "The bytes of the same digest in another namespace are damage.",
            swapped_blobs_are_never_served: "The bytes of another blob of the same entry are damage.",
            damage_is_counted_and_dropped: "A read that finds damage counts it, and is a miss, as is the next one.",
            put_heals_damage: "A put over a damaged entry makes it whole, before and after the damage was found.",
            damage_leaves_other_entries_alone: "Damage of one entry fails no listing, no usage and no read of another.",
            damaged_entry_can_be_removed: "A damaged entry can be evicted and cleaned away.",
            damage_under_an_open_store_is_never_served: "Damage under an open store gives no wrong bytes, whatever it keeps in memory.",
            verify_finds_all_damage: "A verify finds every damaged entry; what it does not repair is named, and gone.",
        }
        faults(failures) {
            failed_put_leaves_old_or_new: "A put that fails leaves the old entry or the new one, and the next one succeeds.",
            failed_read_is_no_miss: "A read that fails is an error and never a miss, and the next one is a hit.",
            failed_evict_leaves_all_or_nothing: "An eviction that fails leaves the whole entry or none of it, and the next one succeeds.",
            failed_listing_ends_in_the_error: "A listing that fails ends in the error, and nothing is missing before it.",
            failed_clean_leaves_whole_entries: "A clean that fails leaves whole entries, and the next one does the rest.",
            failed_flush_is_told_and_covered_by_the_next: "A flush that fails says so, and the next one covers the same entries.",
            failures_are_counted_apart: "A failure that reaches the caller is counted as one, and not as a hit, a miss or a put.",
        }
        crash(crash) {
            flushed_entries_survive_a_kill: "What was flushed is there after a kill: entries, merges, evictions, and when entries were made.",
            kill_without_flush_leaves_whole_entries: "What was not flushed is after a kill as it was or as it was to be.",
            kill_during_puts_leaves_old_or_new: "A kill in the middle of puts leaves each entry as it was or as it was to be.",
            killed_store_counts_truly_and_works_on: "What a kill leaves behind counts for nothing, and the store works on within its budget.",
            flush_after_a_dropped_one_survives_a_kill: "A flush that was dropped forgets nothing: the next one covers the same entries.",
        }
        heap(heap) {
            streamed_put_takes_what_it_keeps: "Of a blob that streams in, no more is in memory than the store keeps, and some pieces.",
            streamed_get_takes_some_pieces: "Of a blob that streams out, whole or a range, only some pieces are in memory.",
            streamed_entry_takes_some_pieces: "Of an entry of several blobs that stream out one after the other, only some pieces are in memory.",
            ended_streams_leave_no_memory: "Streams that fail, are refused or are dropped midway leave no memory behind.",
        }
        }
    };
}

macro_rules! handle {
    () => {
        None
    };
    ($needs:ident) => {
        Some(handle_of::$needs)
    };
}

macro_rules! table {
    ([] $($group:ident $(($needs:ident))? { $($id:ident: $requirement:literal,)* })*) => {
        /// All clauses, by group.
        pub static CLAUSES: &[Clause] = &[$($(
            Clause {
                id: stringify!($id),
                group: stringify!($group),
                requirement: $requirement,
                needs: needed::$group,
                check: |factory| Box::pin(clause::$group::$id(factory)),
            },
        )*)*];

        /// What the clauses of each group need.
        #[expect(non_upper_case_globals, reason = "named as the groups")]
        mod needed {
            use crate::{Handle, handle_of};

            $(pub(super) const $group: Option<Handle> = handle!($($needs)?);)*
        }
    };
}

with_clauses! { [table] }

#[cfg(test)]
mod tests;
