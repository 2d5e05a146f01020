//! Copies entries into faster tiers. A promotion that fails costs its caller nothing but the time, and little of that.

mod underway;

use std::{sync::Arc, time::Duration};

use cache_core::{EntryRead, Key, PutEntry, PutMode, PutOptions, Result};
use tokio::sync::OnceCell;

pub(crate) use self::underway::{Room, Underway};
use crate::{
    Promotion, WritePolicy,
    fetch::{InHand, Registration},
    key_lock::{PromotionGuard, Ticket},
    layered::{LayeredStore, within},
    tier::Tier,
};

/// How long a read waits for its copies.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the value of a flight is handed out while it is copied beside the reads.
const JOINABLE: Duration = Duration::from_secs(1);

/// Where an entry is copied to.
pub(crate) struct Targets {
    pub(crate) tiers: Vec<Tier>,
    /// Whether it was found where others keep what they like. It may be an older version then, and is copied only if
    /// no tier that is read and written has the entry.
    pub(crate) is_others: bool,
}

/// The key's turn, and the room that the bytes take, until all copies have ended.
struct Held {
    is_others: bool,
    /// Whether some tier may have the entry: asked once, before the first copy.
    is_kept: OnceCell<bool>,
    _turn: PromotionGuard,
    _room: Room,
}

fn takes_copies(tier: &Tier) -> bool {
    !matches!(tier.options.write, WritePolicy::Spill | WritePolicy::Never)
        && tier.options.promotion != Promotion::Never
}

impl LayeredStore {
    /// The tiers faster than tier `hit` that let this entry in.
    pub(crate) fn targets(&self, hit: usize, entry: &EntryRead) -> Targets {
        let lengths = || entry.blobs.iter().map(|(_, blob)| blob.total_len());
        let bytes = lengths().fold(0, u64::saturating_add);
        let largest = lengths().max().unwrap_or(0);
        let admitting = |tier: &&Tier| takes_copies(tier) && tier.admits(bytes, largest);
        let tiers = self.read_tiers().iter().take(hit).filter(admitting).cloned().collect();
        let never = |tier: &Tier| tier.options.write == WritePolicy::Never;
        Targets { tiers, is_others: self.read_tiers().get(hit).is_some_and(never) }
    }

    /// Whether a tier faster than tier `hit` takes copies at all.
    pub(crate) fn copies_from(&self, hit: usize) -> bool {
        self.read_tiers().iter().take(hit).any(takes_copies)
    }

    /// Whether a tier that is read and written has the entry, or cannot tell.
    pub(crate) async fn may_be_kept(&self, key: &Key) -> bool {
        for tier in self.kept_tiers() {
            if !matches!(tier.store.contains(key).await, Ok(false)) {
                return true;
            }
        }
        false
    }

    /// Copies an entry that is in hand. Waits for those tiers that are to have it before the read is answered, for
    /// a short time.
    pub(crate) async fn promote(
        &self,
        Targets { tiers: targets, is_others }: Targets,
        entry: &Arc<InHand>,
        ticket: Ticket,
        registration: Option<Registration>,
    ) {
        let is_inline = |tier: &Tier| tier.options.promotion == Promotion::Inline;
        if targets.is_empty() {
            return;
        }
        let begun = tokio::time::Instant::now();
        let room = match targets.iter().any(is_inline) {
            true => within(Some(PATIENCE), self.underway().room(entry.bytes())).await.flatten(),
            false => self.underway().room_now(entry.bytes()),
        };
        let Some(room) = room else {
            targets.iter().for_each(|tier| self.promoted(tier, false));
            return;
        };
        let Some(turn) = ticket.claim() else { return };
        let held = Arc::new(Held { is_others, is_kept: OnceCell::new(), _turn: turn, _room: room });
        let (inline, beside): (Vec<_>, Vec<_>) = targets.into_iter().partition(is_inline);
        let mut registration = registration;
        let mut waits = Vec::new();
        if !beside.is_empty() {
            let copying = self.clone().copy(beside, Arc::clone(entry), Arc::clone(&held));
            let joinable = registration.take().map(|registration| (registration.hold(), registration));
            let copying = self.to_its_end("promote", async move {
                let mut copying = std::pin::pin!(copying);
                let mut copied = within(Some(JOINABLE), &mut copying).await;
                if let Some((_flight, mut registration)) = joinable
                    && copied == Some(true)
                {
                    registration.copied();
                }
                if copied.is_none() {
                    copied = Some(copying.await);
                }
                Ok(copied.unwrap_or(false))
            });
            if tokio::runtime::Handle::try_current().is_err() {
                waits.push(copying);
            }
        }
        if !inline.is_empty() {
            let copying = self.clone().copy(inline, Arc::clone(entry), held);
            waits.push(self.to_its_end("promote", async move { Ok(copying.await) }));
        }
        let patience = PATIENCE.saturating_sub(begun.elapsed());
        // A panic of a tier is its own; the read has its answer.
        let copied = within(Some(patience), futures::future::join_all(waits)).await.unwrap_or_default();
        if let Some(registration) = &mut registration
            && copied.iter().any(|copied| matches!(copied, Ok(true)))
        {
            registration.copied();
        }
    }

    /// Whether any tier has taken the entry.
    async fn copy(self, targets: Vec<Tier>, entry: Arc<InHand>, held: Arc<Held>) -> bool {
        let key = &entry.meta.key;
        if held.is_others && *held.is_kept.get_or_init(|| self.may_be_kept(key)).await {
            return false;
        }
        let copies = targets.iter().map(|tier| async {
            let filled = fill(tier, key, entry.to_put(), entry.meta.modified).await;
            if let Some(copied) = filled {
                self.promoted(tier, copied);
            }
            filled == Some(true)
        });
        let copied = futures::future::join_all(copies).await;
        drop(held);
        copied.contains(&true)
    }

    /// Counts a copy.
    pub(crate) fn promoted(&self, tier: &Tier, succeeded: bool) {
        tier.tally.promotion(succeeded);
        self.counters().promotion(succeeded);
    }
}

/// Whether the tier has this version of the entry now; `None` if it has a newer one, which stays.
pub(crate) async fn fill(
    tier: &Tier,
    key: &Key,
    entry: PutEntry,
    modified: Option<std::time::SystemTime>,
) -> Option<bool> {
    let put = async {
        // What the tier has is not this version, or it would have answered itself; or it could not just then.
        if tier.store.contains(key).await? {
            let there = tier.store.meta(key).await?;
            if there.is_some_and(|there| modified.is_some() && there.modified > modified) {
                return Ok(None);
            }
            tier.store.evict(key).await?;
        }
        let mut options = PutOptions::mode(PutMode::Fill);
        options.created = modified;
        Ok(Some(tier.store.put(key, entry, options).await?.is_stored()))
    };
    let put: Result<Option<bool>> = put.await;
    put.unwrap_or(Some(false))
}
