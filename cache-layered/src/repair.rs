//! The repair of a stack: damage, what is missing where it has to be, and copies that are not the newest version.

mod level;
mod options;
mod report;
mod same;
mod walk;

use cache_core::{Key, Namespace, Result};
use futures::{StreamExt, stream};

use self::{
    level::{Change, Changes},
    walk::{Listed, Walk},
};
pub use self::{
    options::{RepairOptions, RepairProgress},
    report::{RepairReport, TierRepair},
};
use crate::layered::LayeredStore;

/// How many entries are brought in step at the same time.
const AT_ONCE: usize = 4;

impl LayeredStore {
    /// Brings the tiers in step below a namespace, and tells what was amiss.
    ///
    /// - What is damaged in a tier is written again from another that has a sound copy, as by
    ///   [`verify`](cache_core::Store::verify).
    /// - The slowest tier that is read and written has every entry that it lets in: what a faster one has alone is
    ///   copied there, as it is to every tier that is written and not read. What faster tiers lack they have evicted,
    ///   or never read: that stays so.
    /// - A copy that lacks a blob or is another version becomes the newest one. That is the one made last; of several,
    ///   the slowest tier's.
    ///
    /// Copies keep their time. Tiers for [`Spill`](crate::WritePolicy::Spill) are read and compared with slower ones; they
    /// and the tiers that spill to them are not written, nor are those that are [never](crate::WritePolicy::Never). Reads and
    /// writes go on meanwhile: each entry is looked at again when it is its turn to be written. Holds a thousand
    /// entries of each listing in memory, and no more of the values than four entries in hand.
    ///
    /// What is written is as durable as any put: a [`flush`](cache_core::Store::flush) makes it so.
    ///
    /// # Errors
    ///
    /// [`Closed`](cache_core::ErrorKind::Closed). Other failures are in the report, and end nothing but the work on
    /// the entry; a tier that cannot be listed is left out.
    ///
    /// # Cancel safety
    ///
    /// Every entry is what it was or put right; those whose turn it was go on to their end.
    pub async fn repair(&self, scope: &Namespace, options: &RepairOptions) -> Result<RepairReport> {
        self.open_for("repair")?;
        let mut report = RepairReport::of(self.tiers().iter().map(|tier| tier.name.clone()));
        if options.verify {
            let verified = self.verify_tiers(scope, &options.for_verify()).await;
            self.counters().verified(&verified);
            report.verified(verified?, options.max_keys);
        }
        let mut walk = Walk::new(self.written_tiers().iter().cloned().enumerate().collect(), scope);
        loop {
            self.open_for("repair")?;
            let unreachable = |at, error| report.unreachable(at, error);
            let Some(page) = walk.page(unreachable).await else { return Ok(report) };
            let among = walk.tiers();
            let each = page.into_iter().map(|listed| self.look(listed, &among)).collect::<Vec<_>>();
            let mut looked = stream::iter(each).buffer_unordered(AT_ONCE);
            while let Some((listed, changes)) = looked.next().await {
                report.took(&listed, changes, options);
            }
        }
    }

    async fn look(&self, listed: Listed, among: &[usize]) -> (Listed, Result<Changes>) {
        if self.is_in_step(&listed, among) {
            return (listed, Ok(Changes::new()));
        }
        let (store, key, among): (_, Key, Vec<usize>) = (self.clone(), listed.key.clone(), among.to_vec());
        let changes = self.to_its_end("repair", async move {
            let _turn = store.locks().write(&key).await;
            Ok(store.level(&key, &among).await)
        });
        (listed, changes.await)
    }
}

impl RepairReport {
    fn took(&mut self, listed: &Listed, changes: Result<Changes>, options: &RepairOptions) {
        self.entries += 1;
        for (at, _) in &listed.copies {
            if let Some(tier) = self.tier(*at) {
                tier.entries += 1;
            }
        }
        let changes = changes.unwrap_or_else(|error| {
            // A panic of a tier, which is not named.
            self.error(error);
            self.fail(&listed.key, options.max_keys);
            Changes::new()
        });
        for (at, change) in changes {
            let Some(tier) = self.tier(at) else { continue };
            match change {
                Ok(Change::Filled) => tier.filled += 1,
                Ok(Change::Replaced) => tier.replaced += 1,
                Ok(Change::Refused) => tier.refused += 1,
                Err(error) => {
                    tier.failed += 1;
                    self.error(error.with_key(&listed.key));
                    self.fail(&listed.key, options.max_keys);
                }
            }
        }
        options.tell(self.entries, self.written());
    }
}
