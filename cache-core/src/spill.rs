use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use crate::{EntryRead, Key, Store};

/// A store that can hand on what it evicts, so that a slower one keeps it.
///
/// Without a sink it evicts as any store does. With one, an entry that has to go to keep the budget is
/// handed to the sink before it goes; only stores with the [power](crate::Powers::spills) `spills` are
/// such sources.
///
/// # Contract
///
/// What is handed on is what a put (or a flush) evicts to keep the budget, and nothing else: not what
/// `evict` or `clean` remove, nor what a put replaces or refuses, nor what is there when the store is closed.
///
/// A victim is whole and of one version. It can be read until it was taken, and counts for the budget
/// until then: the put that needs its room waits for the answer, outside of any lock, and nobody else
/// does. While one put hands it on no other does; a put that finds no victim of its own waits for those
/// of the others.
///
/// By the answer, a victim [goes or stays](Handover::leaves); but if it was replaced or removed meanwhile,
/// a late answer takes nothing away. If so many stay that there is no room, the put is refused as
/// [`NoRoom`](crate::Refusal::NoRoom).
///
/// A put that is dropped leaves the victims where they were.
///
/// [`Counters::handover`](crate::Counters::handover) counts every answer as all sources do.
///
/// Every clause is a test of that name in the `cache-conformance` crate, in the group `spill`.
///
/// - `victims_are_handed_on_whole_and_once`: as it was put, with its times.
/// - `victims_stay_readable_until_taken`: and count for the budget until then.
/// - `nothing_is_handed_on_under_the_budget`: also by a flush.
/// - `only_evictions_for_room_are_handed_on`: not what `evict` or `clean` remove, a put replaces or refuses, or a close finds.
/// - `slow_sinks_hold_up_puts_only`: those that need room: no read, listing, removal, or put that needs none.
/// - `dropped_puts_keep_their_victims`: whole, and in nobody's way.
/// - `busy_victims_stay`: others go; if none can, the put is [`NoRoom`](crate::Refusal::NoRoom).
/// - `handovers_are_counted`: as evictions, spills and losses; what was lost goes, too.
/// - `what_replaces_a_victim_stays`: a late answer takes nothing newer away.
/// - `concurrent_puts_hand_on_each_victim_once`: within the budget at every instant.
/// - `without_a_sink_nothing_is_handed_on`: it evicts as any store does.
/// - `peeking_is_no_read`: it protects nothing and is not counted.
pub trait SpillSource: Store {
    /// From now on victims are handed to `sink`, or to nobody. Returns the sink before it.
    ///
    /// Handovers that are under way go on to the sink that they began with. A store that is closed lets
    /// go of its sink.
    fn set_sink(&self, sink: Option<Arc<dyn EvictionSink>>) -> Option<Arc<dyn EvictionSink>>;

    /// The entry as it would be handed on: whole, without recency, and not counted as a read. So a stack
    /// copies what was not evicted yet, for a flush. `None` if it is absent or damaged, or the store closed.
    fn peek(&self, key: &Key) -> Option<EntryRead>;
}

/// What takes entries that a faster store evicts.
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use cache_core::{EntryRead, EvictionSink, Handover, PutEntry, PutOptions, Store};
///
/// /// Keeps what it takes in another store.
/// #[derive(Debug)]
/// struct Below(Arc<dyn Store>);
///
/// #[async_trait]
/// impl EvictionSink for Below {
///     async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
///         let mut answers = Vec::new();
///         for victim in victims {
///             let key = victim.meta.key;
///             let options = victim.meta.modified.map_or_else(PutOptions::default, |made| {
///                 PutOptions::default().with_created(made)
///             });
///             let mut entry = PutEntry::default();
///             for (name, blob) in victim.blobs {
///                 if let Some(bytes) = blob.bytes() {
///                     entry = entry.with(name, bytes.clone());
///                 }
///             }
///             answers.push(match self.0.put(&key, entry, options).await {
///                 Ok(outcome) if outcome.is_stored() => Handover::Taken,
///                 Ok(_) | Err(_) => Handover::Lost,
///             });
///         }
///         answers
///     }
/// }
/// ```
#[async_trait]
pub trait EvictionSink: Debug + Send + Sync + 'static {
    /// Takes victims, each whole as a read would answer it, and says for each, in order, what became of it.
    /// One that is not answered stays, as if it was [`Busy`](Handover::Busy).
    ///
    /// The put that evicts waits for it: a slow or full sink slows puts down, and no reads. It must not wait
    /// for anything that a put into the source may hold meanwhile, such as the lock of a key that is written:
    /// of two puts, each could hold what the other one's victim waits for. What is locked is `Busy`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a victim taken, of which the source knows nothing: it keeps the victim,
    /// and offers it again some time.
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover>;
}

/// What became of a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Handover {
    /// It was written below. It goes, and is a spill.
    Taken,
    /// This version of it was below already, and was not written again. It goes, and is no spill.
    Known,
    /// It is being written or removed right now. It stays; another one has to go.
    Busy,
    /// It could not be taken. It goes all the same, so that the budget is kept, and counts as lost.
    Lost,
}

impl Handover {
    /// Whether the victim goes.
    #[must_use]
    pub fn leaves(self) -> bool {
        self != Self::Busy
    }
}
