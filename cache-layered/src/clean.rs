//! A clean of all tiers at once: what the stack has is listed, and what has to go is evicted from every tier.

use cache_core::{CleanPolicy, CleanReport, EntryMeta, ListOptions, Namespace, Result};
use futures::TryStreamExt;

use crate::{layered::LayeredStore, merge, spill::Spilling};

impl LayeredStore {
    /// Entries that are put while it runs stay. One clean at a time.
    pub(crate) async fn clean_tiers(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let _noted = self.locks().note_writes();
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
            let evicted = self.evict_everywhere(&victim.key, |store, key| !store.locks().was_written(key));
            if evicted.await? {
                let bytes = victim.counted_bytes();
                report.evict(bytes);
                self.counters().removal();
                self.counters().eviction(bytes);
            }
        }
        Ok(report)
    }
}
