//! A clean of all tiers at once: what the stack has is listed, and what has to go is evicted from every tier.

use std::sync::Arc;

use cache_core::{CleanPolicy, CleanReport, EntryMeta, ListOptions, Namespace, Result};
use futures::TryStreamExt;
use tokio::sync::OwnedMutexGuard;

use crate::{key_lock::Noted, layered::LayeredStore, merge, spill::Spilling};

/// One clean at a time, until its last eviction knows whether it is due.
struct Sweep {
    noted: Noted,
    _one: OwnedMutexGuard<()>,
}

impl LayeredStore {
    /// Entries that are put while it runs stay.
    pub(crate) async fn clean_tiers(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let one = Arc::clone(self.cleaning()).lock_owned().await;
        let sweep = Arc::new(Sweep { noted: self.locks().note_puts(), _one: one });
        // What others keep is not this stack's to remove.
        let moving = self.spilling().map(Spilling::moving);
        let listed = merge::list(self.kept_tiers(), moving, &ListOptions::below(scope));
        let entries: Vec<EntryMeta> = listed.try_collect().await?;
        let mut report = CleanReport::default();
        for entry in &entries {
            report.keep(entry.counted_bytes());
        }
        for victim in policy.victims(entries, self.now()) {
            self.open_for("clean")?;
            // An eviction goes on when the clean is dropped.
            let sweep = Arc::clone(&sweep);
            if self.evict_everywhere(&victim.key, move |key| !sweep.noted.has(key)).await? {
                let bytes = victim.counted_bytes();
                report.evict(bytes);
                self.counters().removal();
                self.counters().eviction(bytes);
            }
        }
        Ok(report)
    }
}
