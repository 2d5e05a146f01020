use std::fmt::Debug;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{EntryMeta, Key, ListOptions, Result};

/// Which entries are there, and away with them: the half of a store that knows only keys.
///
/// Short digests, `expand` and `shrink` come on top of it, see [`StoreExt`](crate::StoreExt).
///
/// # Contract
///
/// Every clause is a test of that name in the `cache-conformance` crate.
///
/// - `contains_tells_presence`: true exactly while the entry has a blob.
/// - `outermost_digests_are_digests`: those of zeros and of ones stand for no end and for nothing absent.
/// - `contains_keeps_no_entry_alive`: asking does not protect an entry from eviction.
/// - `evict_removes_the_whole_entry`: all blobs of the key go together.
/// - `evict_is_idempotent`: evicting an absent entry succeeds.
/// - `evict_leaves_other_entries`: also the same digest in other namespaces.
/// - `put_after_evict_is_visible`: nothing of the evicted entry comes back with it.
/// - `concurrent_evictions_all_succeed`: of one entry by many tasks.
/// - `dropped_evict_leaves_all_or_nothing`: the whole entry or nothing of it.
/// - `list_of_an_empty_store_is_empty`: a namespace that nobody wrote to is empty, not an error.
/// - `list_is_ascending`: by encoded namespace, then digest; every entry once.
/// - `list_honours_the_prefix`: also with an odd number of digits.
/// - `list_starts_after_a_key`: which need not exist.
/// - `list_honours_the_limit`: and looks no further; a limit of 0 lists nothing.
/// - `list_pages_cover_everything`: pages joined by `start_after` are the whole listing.
/// - `list_knows_stored_bytes`: every listed entry has a stored size.
/// - `list_survives_changes`: entries present all along are listed although others come and go.
/// - `listing_beside_writers_has_no_strangers`: none twice, none out of place, none that nobody has put.
/// - `dropped_listing_lets_go_of_the_store`: entries can come, go and be listed at once.
/// - `list_is_scoped_to_its_namespace`: without `recursive`, entries below are not listed.
/// - `recursive_list_covers_namespaces_below`: in the order of the encoded paths.
/// - `list_options_combine`: as a filter of the whole, then the limit.
/// - `list_of_many_entries_is_whole`: more of them than a server answers at once.
/// - `pages_survive_changes`: pages have every entry that stays, once.
/// - `listings_run_side_by_side`: also if one is not read to its end.
#[async_trait]
pub trait KeyManagement: Debug + Send + Sync + 'static {
    /// Whether the entry is there, without reading it, without recency and without promotion.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied) and the
    /// like if the store cannot tell: never `false` instead.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    async fn contains(&self, key: &Key) -> Result<bool>;

    /// Removes the entry with all its blobs. An absent entry is fine.
    ///
    /// # Errors
    ///
    /// If the entry may still be there.
    ///
    /// # Cancel safety
    ///
    /// The entry is afterwards there as a whole or gone as a whole.
    async fn evict(&self, key: &Key) -> Result<()>;

    /// The entries that `options` ask for, ascending by key, read lazily.
    ///
    /// The stream ends at the first error.
    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>>;
}
