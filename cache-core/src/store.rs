use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Key, KeyManagement, KeyView, Metrics, Namespace, PutEntry, PutOptions, PutOutcome, Result, StoreInfo,
    Usage, VerifyOptions, VerifyReport, verify_by_listing,
};

/// A place that keeps artifacts by digest.
///
/// `Arc<dyn Store>` is what stores are passed around as. [`StoreExt`](crate::StoreExt) adds the
/// convenient forms.
///
/// # Contract
///
/// Every clause is a test of that name in the `cache-conformance` crate. A store declares its
/// [`Powers`](crate::Powers); a power that it does not declare is refused or visibly absent.
///
/// Reading:
/// - `miss_is_none`: an absent entry reads as `Ok(None)`, everywhere.
/// - `absent_blob_name_is_none`: so does an absent name of an entry that is there.
/// - `put_is_visible`: after `put` returned, reads see the bytes through every clone of the store.
/// - `get_now_agrees_with_get`: what `get_now` answers is what `get` would; `None` may mean anything.
/// - `empty_blob_round_trips`: zero bytes are a value, not a miss.
/// - `large_blob_round_trips`: 8 MiB and a bit, in hand or as a stream.
/// - `hits_share_bytes_where_declared`: two hits hand out the same allocation; undeclared, they do not.
/// - `range_is_a_slice`: a range reads exactly its bytes and tells the whole length.
/// - `range_is_clamped_at_the_end`: and may be empty there.
/// - `range_past_the_end_is_invalid`: [`Invalid`](crate::ErrorKind::Invalid), not a miss.
/// - `get_entry_reads_all_blobs`: of one version, in the order of names, with true metadata.
/// - `streamed_get_equals_bytes`: where a stream is asked for, its pieces join to the same bytes.
/// - `meta_tells_sizes_and_times`: bytes of every blob, their sum, created, and at least one place.
///
/// Writing:
/// - `put_says_stored`: the outcome tells that the entry is visible.
/// - `replace_leaves_exactly_the_new_blobs`: other names are gone.
/// - `merge_keeps_other_blobs`: and overwrites those with the same name.
/// - `merge_creates_an_absent_entry`: an entry that is not there is like one without blobs.
/// - `fill_writes_only_absent_names`: those present keep their bytes.
/// - `any_bytes_round_trip`: zeros, line ends, what begins as a packed file or an envelope.
/// - `put_of_no_blobs_is_invalid`: and changes nothing.
/// - `put_of_a_name_twice_is_invalid`: and changes nothing.
/// - `put_keeps_a_given_creation_time`: `PutOptions::created` is what `meta` answers.
/// - `put_without_a_time_is_made_now`: what it adds, that is; what it keeps stays as old as it was.
/// - `streamed_put_round_trips`: with and without a promised length.
/// - `streamed_put_that_fails_changes_nothing`: the old entry stays, whole.
/// - `streamed_put_of_a_wrong_length_changes_nothing`: [`Invalid`](crate::ErrorKind::Invalid).
/// - `dropped_put_leaves_old_or_new`: a future dropped at any point leaves no part of an entry.
/// - `concurrent_puts_leave_one_whole_entry`: never the blobs of one put beside those of another.
/// - `concurrent_merges_lose_no_blob`: tasks of one process that merge into one entry.
///
/// Limits:
/// - `budget_is_kept_after_flush`: a store holds at most its budget when `flush` returns.
/// - `eviction_takes_whole_entries`: no entry ever lacks some of its blobs.
/// - `a_read_protects_from_eviction`: where recency is declared.
/// - `zero_budget_disables_the_cache`: puts are refused, nothing is retained, nothing fails.
/// - `entry_as_large_as_the_budget_is_stored`: one entry may fill it.
/// - `entry_over_the_budget_is_refused`: `Ok(Refused)`, and an older value of the key is gone; also if
///   a stream or a merge turns out to be. A fill that is refused takes nothing away.
/// - `largest_budget_limits_nothing`: no budget is too large to be one.
/// - `blob_at_the_limit_is_stored`: `max_blob_bytes` is inclusive.
/// - `blob_over_the_limit_changes_nothing`: [`TooLarge`](crate::ErrorKind::TooLarge), in hand or streamed.
/// - `blob_over_the_limit_is_not_read`: one that was put under another limit; of a stack it may be a miss.
///
/// Namespaces and names:
/// - `namespaces_do_not_collide`: one digest in several namespaces is several entries.
/// - `usage_counts_namespaces_below`: a parent's usage includes its children's.
/// - `clean_stays_in_its_scope`: a child's clean leaves parent and siblings alone.
/// - `clean_covers_namespaces_below`: by each entry's own age and recency.
/// - `odd_names_round_trip`: spaces, percent signs, case twins, Unicode twins, long names.
/// - `long_paths_round_trip`: many short parts or few long ones, of 448 bytes when encoded.
/// - `encoded_names_are_other_names`: what a name is stored as is a name of its own.
/// - `namespaces_named_as_entries_stay_apart`: named as a digest, its first digits, a blob or a
///   temporary.
///
/// Sizes:
/// - `blobs_around_block_borders_round_trip`: one byte less, one byte more.
/// - `blobs_around_eight_mebibytes_round_trip`: up to which reads are in hand by default.
/// - `entry_of_a_hundred_blobs_round_trips`: of mixed sizes.
/// - `budget_of_one_byte_is_kept`: no budget is too small to be one.
/// - `overwriting_evicts_no_other_entry`: while all of them fit.
/// - `refused_put_evicts_no_other_entry`: nor does one that fails; a stream without a length may, as far
///   as it came.
/// - `freed_bytes_can_be_used_again`: whatever freed them: an eviction, a clean, a smaller value, a put
///   that came to nothing.
/// - `equal_bytes_are_separate_entries`: a store that keeps them once counts who needs them.
///
/// Streams:
/// - `pieces_of_any_size_join_to_one_blob`: empty ones, too.
/// - `source_is_read_once_to_its_end`: and is asked for nothing after that, or after its error.
/// - `failure_of_one_stream_undoes_the_others`: of the same put.
/// - `open_stream_never_mixes_versions`: it yields the version that it began with, or ends in an error.
/// - `unread_streams_hold_up_nothing`: no put, no eviction, no flush, no other read.
/// - `streams_of_one_entry_run_side_by_side`: each yields all of its bytes.
/// - `slow_put_keeps_the_old_entry_until_it_ends`: which is read whole meanwhile.
/// - `reads_up_to_the_threshold_are_in_hand`: what counts is what is read: a small part of a large blob
///   is in hand.
///
/// Recency:
/// - `every_kind_of_read_protects_from_eviction`: `get`, `get_entry`, `get_now`, ranges and streams
///   alike, where recency is declared.
/// - `clean_by_size_honours_every_kind_of_read`: so does cleaning; without recency it goes by the time of
///   writing.
/// - `questions_make_no_entry_recent`: `meta`, `list`, `usage`, `contains`, a `clean` that removes
///   nothing, `flush`.
/// - `a_write_makes_an_entry_recent`: an overwrite, a merge and a fill that adds something do.
/// - `last_accessed_moves_with_reads`: and with writes; undeclared, it stays as it is.
/// - `access_count_counts_reads`: exactly, where it is known.
/// - `quiet_reads_leave_no_trace`: neither for recency nor in counts.
///
/// Usage and cleaning:
/// - `usage_is_true`: entries and bytes, also after overwrites and evictions.
/// - `clean_by_size_takes_the_least_recent`: until the scope fits.
/// - `clean_by_age_goes_by_the_newest_blob`: an entry with one new blob stays.
/// - `clean_by_both_takes_either`: outdated entries and then the least recent ones.
/// - `clean_without_constraint_removes_nothing`: and reports what is kept.
/// - `clean_report_is_true`: evicted and kept, entries and bytes.
/// - `verify_reads_every_entry`: of the scope, and as quietly.
///
/// Counting:
/// - `metrics_count_every_lookup_once`: hits and misses of `get`, `get_entry` and `get_now` hits.
/// - `metrics_count_contains_apart`: existence questions have their own pair.
/// - `metrics_count_puts_and_refusals`: stored, refused and failed puts apart.
/// - `info_is_constant`: from open to beyond close.
/// - `metrics_count_evictions`: those of `clean` and to keep the budget, with their bytes, and no others.
/// - `metrics_count_removals_and_flushes`: removals of what was absent, too.
/// - `metrics_count_refused_reads_apart`: as errors: neither hits nor misses.
/// - `metrics_add_up_under_concurrency`: nothing is lost or counted twice, and no counter goes down.
/// - `metrics_tell_what_is_held`: the same as usage, where they tell it.
///
/// At the same time:
/// - `reads_beside_writers_are_never_torn`: one read hands out blobs and pieces of one version.
/// - `acknowledged_puts_are_never_lost`: what many tasks put is there, and is seen once its put returns.
/// - `identical_puts_leave_one_entry`: which counts once.
/// - `puts_that_race_evictions_leave_all_or_nothing`: and neither of them fails.
/// - `counts_are_true_after_concurrent_work`: every lookup, question and put was counted once.
/// - `budget_is_kept_beside_concurrent_puts`: after a flush; and all of it can be used.
/// - `clean_beside_puts_leaves_what_is_new`: it takes none that is put meanwhile and was never old.
/// - `concurrent_histories_are_legal`: one order of their operations explains what tasks see of an entry.
///
/// Dropped futures:
/// - `dropped_reads_change_nothing`: nor do dropped questions and counts.
/// - `dropped_stream_lets_go_of_its_entry`: it can be read, replaced and evicted at once.
/// - `dropped_fill_leaves_old_or_new`: the old entry or the filled one.
/// - `dropped_clean_leaves_whole_entries`: and all that it has to keep.
/// - `dropped_flush_forgets_nothing`: the next one covers the same entries.
/// - `dropped_close_has_closed`: from its first poll on; it can be closed again.
/// - `dropped_puts_leak_no_budget`: all of it can be used afterwards.
/// - `dropped_operations_leave_no_lock`: the key can be used at once.
///
/// All of it together:
/// - `random_operations_agree_with_a_model`: every answer to a random sequence is that of a map.
/// - `random_operations_under_a_budget_agree_with_a_model`: a read is the value of the last put since the last
///   evict, or a miss.
///
/// Ending:
/// - `reopen_finds_flushed_entries`: a durable store has them, a volatile one is empty.
/// - `flush_tells_durability`: durable stores report it, volatile ones do not claim it.
/// - `closed_store_says_so`: every operation is [`Closed`](crate::ErrorKind::Closed), `close` itself succeeds again.
/// - `close_honours_a_deadline`: also one of zero.
/// - `close_meets_operations_under_way`: they end whole or as [`Closed`](crate::ErrorKind::Closed).
/// - `close_is_no_crash`: durable stores keep what was put after the last flush.
/// - `budget_holds_over_a_restart`: what is there at open counts, and a smaller budget is kept from the
///   next flush on.
///
/// Failures of what lies below, such as a file system, a server or another store:
/// - `failed_put_leaves_old_or_new`: and the next put succeeds.
/// - `failed_read_is_no_miss`: but an error that blames nobody above, and the next read is a hit.
/// - `failed_evict_leaves_all_or_nothing`: and the next eviction succeeds.
/// - `failed_listing_ends_in_the_error`: with nothing missing before it.
/// - `failed_clean_leaves_whole_entries`: and the next clean does the rest.
/// - `failed_flush_is_told_and_covered_by_the_next`: nothing is forgotten.
/// - `failures_are_counted_apart`: where they reach the caller, not as hits, misses or puts.
///
/// Powers:
/// - `only_shared_stores_open_twice`: a durable store that is not is [`Locked`](crate::ErrorKind::Locked) while open.
/// - `shared_stores_see_each_other`: what others put, evict and clean, at once.
/// - `shared_stores_answer_whole_versions`: of what was read before, an old one or the new one.
/// - `merges_of_several_stores_lose_nothing_where_declared`: and leave whole blobs everywhere.
/// - `closing_one_store_leaves_the_others`: of the same place open.
/// - `budget_counts_what_others_put`: it is kept when each has flushed.
/// - `blobs_stream_only_where_declared`: else, and below `stream_above`, they are in hand.
/// - `spills_only_where_declared`: who does is a [`SpillSource`](crate::SpillSource), with a contract of its own.
///
/// Damage, where stored bytes can be changed behind the store:
/// - `flipped_bytes_are_never_served`: right bytes, a miss or [`Corrupt`](crate::ErrorKind::Corrupt), whichever byte.
/// - `cut_off_objects_are_never_served`: wherever, also at nothing.
/// - `grown_objects_are_never_served`: whatever they have gained.
/// - `damaged_large_blobs_are_never_served`: not by piece, not by range.
/// - `removed_objects_are_misses`: what is left of the entry has the right bytes.
/// - `swapped_entries_are_never_served`: bytes in the place of another entry's are damage.
/// - `swapped_namespaces_are_never_served`: also of the same digest.
/// - `swapped_blobs_are_never_served`: also of the same entry.
/// - `damage_is_counted_and_dropped`: the read is a miss, and so is the next one.
/// - `put_heals_damage`: before and after it was found.
/// - `damage_leaves_other_entries_alone`: and fails no listing and no usage.
/// - `damaged_entry_can_be_removed`: by `evict` and `clean`.
/// - `damage_under_an_open_store_is_never_served`: whatever it keeps in memory.
/// - `verify_finds_all_damage`: what it does not repair is named, and gone.
///
/// Death of the process:
/// - `flushed_entries_survive_a_kill`: merges, evictions and times of creation, too.
/// - `kill_without_flush_leaves_whole_entries`: as they were or as they were to be.
/// - `kill_during_puts_leaves_old_or_new`: each as a whole.
/// - `killed_store_counts_truly_and_works_on`: within its budget.
/// - `flush_after_a_dropped_one_survives_a_kill`: the next one covers the same entries.
///
/// Memory, where it can be counted:
/// - `streamed_put_takes_what_it_keeps`: and some pieces.
/// - `streamed_get_takes_some_pieces`: whole or of a range.
/// - `streamed_entry_takes_some_pieces`: of one blob after the other.
/// - `ended_streams_leave_no_memory`: failed, refused or dropped.
#[async_trait]
pub trait Store: KeyManagement {
    /// Kind, location, limits and powers. No I/O; constant.
    fn info(&self) -> StoreInfo;

    /// What was counted so far; a tree for stores with tiers. No I/O.
    fn metrics(&self) -> Metrics;

    /// A hit that can be answered without waiting. `None` means: ask [`get`](Self::get).
    ///
    /// Counts hits only.
    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes>;

    /// Reads one blob, or a range of it.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if the store found damage, and dropped it;
    /// [`Invalid`](crate::ErrorKind::Invalid) if the range starts past the end;
    /// [`TooLarge`](crate::ErrorKind::TooLarge) if the blob is over the store's limit;
    /// else if the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// The entry stays as it is. A stack may go on copying it into a faster tier.
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>>;

    /// Reads all blobs of one version of the entry. A range is ignored.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>>;

    /// Writes named blobs, all of which become visible at once.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for an entry without blobs, with a name twice or a stream
    /// of another length than promised; [`TooLarge`](crate::ErrorKind::TooLarge) for a blob over
    /// `max_blob_bytes`; what ended a stream; else what the store failed with. After any of these the
    /// older value is intact.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old entry or the new one, never a part.
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome>;

    /// What is known of the entry, without reading it and without recency.
    ///
    /// # Errors
    ///
    /// If the store cannot tell.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>>;

    /// What a namespace and all below it hold. May do I/O.
    ///
    /// # Errors
    ///
    /// If the store cannot tell.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn usage(&self, scope: &Namespace) -> Result<Usage>;

    /// Evicts entries of a namespace and of all below it by `policy`.
    ///
    /// # Errors
    ///
    /// If the store cannot list or evict; what was evicted before stays evicted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves whole entries.
    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport>;

    /// Reads through every entry of a namespace and of all below it, and tells what is damaged. It makes no entry
    /// recent. The tiers of a stack are read one by one, and what is damaged in one is written again from another
    /// that has a sound copy.
    ///
    /// This lists and reads everything; a store that knows a better way, or has tiers, has its own.
    ///
    /// # Errors
    ///
    /// If the store cannot list anything. What fails later is told in the report.
    ///
    /// # Cancel safety
    ///
    /// What was damaged may have been dropped or repaired; nothing else is changed.
    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        verify_by_listing(self, scope, options).await
    }

    /// Makes everything that was accepted before durable, where the store can, and brings the store
    /// within its budget.
    ///
    /// # Errors
    ///
    /// If durability could not be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets nothing: the next flush covers the same entries.
    async fn flush(&self) -> Result<FlushReport>;

    /// Ends the store: waits for background work until `deadline` has passed (without one, until it is
    /// done). Durability is [`flush`](Self::flush)'s.
    ///
    /// # Errors
    ///
    /// If ending it failed.
    ///
    /// # Cancel safety
    ///
    /// The store is closed from the first poll on.
    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport>;
}
