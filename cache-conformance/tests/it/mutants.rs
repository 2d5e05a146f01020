//! Each fault fails the clauses that forbid it.

use cache_conformance::{CLAUSES, Clause, Outcome};

use crate::faulty::{Broken, Fault};

const CAUGHT: &[(Fault, &[&str])] = &[
    (Fault::AnswersMissesWithErrors, &["miss_is_none", "absent_blob_name_is_none"]),
    (Fault::ClaimsDurability, &["reopen_finds_flushed_entries", "flush_tells_durability"]),
    (Fault::ClaimsSharedBytes, &["hits_share_bytes_where_declared"]),
    (Fault::CleansByAgeOnly, &["clean_by_size_takes_the_least_recent", "clean_by_both_takes_either"]),
    (Fault::CleansTheParent, &["clean_stays_in_its_scope", "clean_covers_namespaces_below"]),
    (Fault::ContainsAfterEvict, &["contains_tells_presence", "evict_is_idempotent"]),
    (Fault::ContainsIsARead, &["contains_keeps_no_entry_alive", "metrics_count_contains_apart"]),
    (Fault::CountsGetTwice, &["metrics_count_every_lookup_once"]),
    (Fault::CreatesNow, &["put_keeps_a_given_creation_time", "clean_by_age_goes_by_the_newest_blob"]),
    (Fault::EvictsHalf, &["evict_removes_the_whole_entry", "put_after_evict_is_visible"]),
    (Fault::EvictsOtherNamespaces, &["evict_leaves_other_entries"]),
    (Fault::FillOverwrites, &["fill_writes_only_absent_names"]),
    (Fault::FoldsCase, &["odd_names_round_trip"]),
    (Fault::ForgetsOnReplace, &["replace_leaves_exactly_the_new_blobs", "get_entry_reads_all_blobs"]),
    (Fault::ForgetsReads, &["a_read_protects_from_eviction", "clean_by_size_takes_the_least_recent"]),
    (Fault::GetNowIsStale, &["get_now_agrees_with_get", "put_is_visible"]),
    (
        Fault::IgnoresBudget,
        &[
            "budget_is_kept_after_flush",
            "eviction_takes_whole_entries",
            "entry_over_the_budget_is_refused",
            "zero_budget_disables_the_cache",
            "contains_keeps_no_entry_alive",
        ],
    ),
    (Fault::IgnoresTheLimit, &["list_honours_the_limit", "list_pages_cover_everything"]),
    (
        Fault::KeepsWhatABrokenStreamGave,
        &["streamed_put_that_fails_changes_nothing", "streamed_put_of_a_wrong_length_changes_nothing"],
    ),
    (
        Fault::ListsDescending,
        &[
            "list_is_ascending",
            "recursive_list_covers_namespaces_below",
            "list_survives_changes",
            "list_pages_cover_everything",
        ],
    ),
    (Fault::ListsTwice, &["list_is_ascending", "expand_survives_rewrites"]),
    (Fault::LosesConcurrentMerges, &["concurrent_merges_lose_no_blob"]),
    (Fault::OffByOneBlobLimit, &["blob_at_the_limit_is_stored"]),
    (Fault::PrefixesInPairs, &["list_honours_the_prefix", "expand_finds_the_only_match"]),
    (Fault::PublishesBlobByBlob, &["concurrent_puts_leave_one_whole_entry", "dropped_put_leaves_old_or_new"]),
    (Fault::RangesAreUnclamped, &["range_past_the_end_is_invalid"]),
    (Fault::RefusalKeepsTheOld, &["entry_over_the_budget_is_refused"]),
    (Fault::ReplaceMerges, &["replace_leaves_exactly_the_new_blobs", "usage_is_true"]),
    (Fault::ServesAfterClose, &["closed_store_says_so"]),
    (Fault::StartsAtTheKey, &["list_starts_after_a_key"]),
    (Fault::StoresTheUnknown, &["put_of_no_blobs_is_invalid", "metrics_count_puts_and_refusals"]),
    (Fault::UsageForgetsBelow, &["usage_counts_namespaces_below"]),
];

#[test]
fn every_fault_fails_its_clauses() {
    for (fault, clauses) in CAUGHT {
        for id in *clauses {
            let outcome = Clause::named(id).unwrap().run(Broken::from(*fault));
            assert!(matches!(outcome, Outcome::Failed(_)), "{fault:?} under {id}: {outcome}");
        }
    }
}

#[test]
fn every_group_catches_a_fault() {
    let caught = |group| {
        let ids = CAUGHT.iter().flat_map(|(_, ids)| ids.iter());
        ids.filter_map(|id| Clause::named(id)).any(|clause| clause.group == group)
    };
    for clause in CLAUSES {
        assert!(caught(clause.group), "no fault is caught by the group {}", clause.group);
    }
}
