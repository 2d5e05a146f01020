use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Key, KeyManagement, Metrics, Namespace, PutEntry, PutOptions, PutOutcome, Result, StoreInfo, Usage,
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
/// - `put_of_no_blobs_is_invalid`: and changes nothing.
/// - `put_of_a_name_twice_is_invalid`: and changes nothing.
/// - `put_keeps_a_given_creation_time`: `PutOptions::created` is what `meta` answers.
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
/// - `blob_at_the_limit_is_stored`: `max_blob_bytes` is inclusive.
/// - `blob_over_the_limit_changes_nothing`: [`TooLarge`](crate::ErrorKind::TooLarge), in hand or streamed.
///
/// Namespaces and names:
/// - `namespaces_do_not_collide`: one digest in several namespaces is several entries.
/// - `usage_counts_namespaces_below`: a parent's usage includes its children's.
/// - `clean_stays_in_its_scope`: a child's clean leaves parent and siblings alone.
/// - `clean_covers_namespaces_below`: by each entry's own age and recency.
/// - `odd_names_round_trip`: spaces, percent signs, case twins, Unicode twins, long names.
///
/// Usage and cleaning:
/// - `usage_is_true`: entries and bytes, also after overwrites and evictions.
/// - `clean_by_size_takes_the_least_recent`: until the scope fits.
/// - `clean_by_age_goes_by_the_newest_blob`: an entry with one new blob stays.
/// - `clean_by_both_takes_either`: outdated entries and then the least recent ones.
/// - `clean_without_constraint_removes_nothing`: and reports what is kept.
/// - `clean_report_is_true`: evicted and kept, entries and bytes.
///
/// Counting:
/// - `metrics_count_every_lookup_once`: hits and misses of `get`, `get_entry` and `get_now` hits.
/// - `metrics_count_contains_apart`: existence questions have their own pair.
/// - `metrics_count_puts_and_refusals`: stored, refused and failed puts apart.
/// - `info_is_constant`: from open to beyond close.
///
/// Ending:
/// - `reopen_finds_flushed_entries`: a durable store has them, a volatile one is empty.
/// - `flush_tells_durability`: durable stores report it, volatile ones do not claim it.
/// - `closed_store_says_so`: every operation is [`Closed`](crate::ErrorKind::Closed), `close` itself succeeds again.
#[async_trait]
pub trait Store: KeyManagement {
    /// Kind, location, limits and powers. No I/O; constant.
    fn info(&self) -> StoreInfo;

    /// What was counted so far; a tree for stores with tiers. No I/O.
    fn metrics(&self) -> Metrics;

    /// A hit that can be answered without waiting. `None` means: ask [`get`](Self::get).
    ///
    /// Counts hits only.
    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes>;

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
