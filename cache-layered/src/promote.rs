//! Copies entries into faster tiers. A promotion that fails costs its caller nothing but the time.

use cache_core::{EntryRead, PutMode, PutOptions, Result};

use crate::{WritePolicy, key_lock::Ticket, layered::LayeredStore, tee, tier::Tier, write::whole};

impl LayeredStore {
    /// The tiers faster than tier `hit` that let this entry in.
    pub(crate) fn targets(&self, hit: usize, entry: &EntryRead) -> Vec<Tier> {
        let lengths = || entry.blobs.iter().map(|(_, blob)| blob.total_len());
        let bytes = lengths().fold(0, u64::saturating_add);
        let largest = lengths().max().unwrap_or(0);
        let admitting = |tier: &&Tier| tier.write != WritePolicy::Spill && tier.admits(bytes, largest);
        self.tiers().iter().take(hit).filter(admitting).cloned().collect()
    }

    /// Copies a whole entry, and waits for it.
    pub(crate) async fn promote(&self, targets: Vec<Tier>, entry: EntryRead, ticket: Ticket) {
        let store = self.clone();
        let copying = self.to_its_end("promote", async move {
            store.copy(targets, entry, ticket).await;
            Ok(())
        });
        // A panic of a tier is its own; the read has its answer.
        _ = copying.await;
    }

    async fn copy(&self, targets: Vec<Tier>, entry: EntryRead, ticket: Ticket) {
        let Some(_alone) = ticket.claim() else { return };
        let mut options = PutOptions::mode(PutMode::Fill);
        options.created = entry.meta.modified;
        let key = entry.meta.key.clone();
        let (copies, pump) = tee::split(whole(entry), targets.len());
        let puts = targets.iter().zip(copies).map(|(tier, copy)| {
            let (key, options) = (&key, options.clone());
            async move {
                // What the tier has is not this version, or it would have answered itself.
                if tier.store.contains(key).await? {
                    tier.store.evict(key).await?;
                }
                Ok(tier.store.put(key, copy.freely(), options).await?.is_stored())
            }
        });
        let (_, outcomes) = futures::join!(pump.run(), futures::future::join_all(puts));
        for outcome in outcomes {
            let outcome: Result<bool> = outcome;
            self.counters().promotion(outcome.unwrap_or(false));
        }
    }
}
