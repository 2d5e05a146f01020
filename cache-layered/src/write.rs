//! The write path: through to every tier, one write of a key at a time.

use cache_core::{
    Error, ErrorKind, Key, PutEntry, PutMode, PutOptions, PutOutcome, PutStatus, Refusal, Result,
};

use crate::{
    layered::LayeredStore,
    tee,
    tier::{Tier, largest_known},
};

impl LayeredStore {
    pub(crate) async fn write(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.facts().max_blob_bytes)?;
        let _turn = self.locks().write(key).await;
        match options.mode {
            PutMode::Replace => self.write_through(key, entry, options).await,
            PutMode::Merge | PutMode::Fill => self.write_in_place(key, entry, options).await,
        }
    }

    /// Writes a whole entry to every tier that lets it in.
    async fn write_through(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let largest = largest_known(&entry);
        let (takers, others): (Vec<&Tier>, Vec<&Tier>) =
            self.tiers().iter().partition(|tier| !tier.is_too_large(largest));
        let (copies, pump) = tee::split(entry, takers.len());
        let puts = takers.iter().zip(copies).map(|(tier, copy)| tier.store.put(key, copy, options.clone()));
        let ((), outcomes) = futures::join!(pump.run(), futures::future::join_all(puts));

        let stored = outcomes.iter().any(|outcome| outcome.as_ref().is_ok_and(PutOutcome::is_stored));
        let mut failure: Option<Error> = None;
        let mut statuses = Vec::new();
        for (tier, outcome) in takers.iter().zip(outcomes) {
            match outcome {
                Ok(outcome) => statuses.push((*tier, outcome.status)),
                // A stream turned out to be over the limit of this tier alone.
                Err(error) if error.kind() == ErrorKind::TooLarge && stored => {
                    tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
                    statuses.push((*tier, PutStatus::Refused(Refusal::PassedOver)));
                }
                Err(error) => _ = failure.get_or_insert_with(|| tier.failed("put", error)),
            }
        }
        if let Some(error) = failure {
            // The older value is left only where the new one did not arrive.
            for (tier, status) in &statuses {
                if *status == PutStatus::Stored {
                    _ = tier.store.evict(key).await;
                }
            }
            return Err(error);
        }
        for tier in others {
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
            statuses.push((tier, PutStatus::Refused(Refusal::PassedOver)));
        }
        Ok(self.outcome(&statuses))
    }

    /// Adds blobs where the whole entry is, which is the slowest tier that has it, and takes the entry
    /// from the others: the next read brings it back to them whole.
    async fn write_in_place(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let Some(home) = self.home(key, largest_known(&entry)).await? else {
            return Err(
                Error::new(ErrorKind::TooLarge, "layered", "put").with_detail("no tier lets the blob in")
            );
        };
        let outcome = home.store.put(key, entry, options).await.map_err(|error| home.failed("put", error))?;
        let mut statuses = vec![(home, outcome.status)];
        for tier in self.tiers().iter().filter(|tier| tier.name != home.name) {
            tier.store.evict(key).await.map_err(|error| tier.failed("put", error))?;
            statuses.push((tier, PutStatus::Refused(Refusal::PassedOver)));
        }
        Ok(self.outcome(&statuses))
    }

    async fn home(&self, key: &Key, largest_blob: u64) -> Result<Option<&Tier>> {
        let takers = || self.tiers().iter().rev().filter(|tier| !tier.is_too_large(largest_blob));
        for tier in takers() {
            if tier.store.contains(key).await.map_err(|error| tier.failed("put", error))? {
                return Ok(Some(tier));
            }
        }
        Ok(takers().next())
    }

    fn outcome(&self, statuses: &[(&Tier, PutStatus)]) -> PutOutcome {
        let status_of = |tier: &Tier| {
            statuses.iter().find(|(other, _)| other.name == tier.name).map(|(_, status)| *status)
        };
        let tiers: Vec<_> =
            self.tiers().iter().filter_map(|tier| Some((tier.name.clone(), status_of(tier)?))).collect();
        let stored = tiers.iter().any(|(_, status)| *status == PutStatus::Stored);
        // Why nothing was stored is best said by a tier that was asked, the slowest of them.
        let refusal = tiers
            .iter()
            .rev()
            .map(|(_, status)| *status)
            .find(|status| *status != PutStatus::Refused(Refusal::PassedOver))
            .unwrap_or(PutStatus::Refused(Refusal::PassedOver));
        let mut outcome = PutOutcome::stored();
        outcome.status = if stored { PutStatus::Stored } else { refusal };
        outcome.tiers = tiers;
        outcome
    }

    /// Takes the entry from every tier; goes on after a failure and reports the first.
    pub(crate) async fn evict_everywhere(&self, key: &Key) -> Result<()> {
        let _turn = self.locks().write(key).await;
        let mut evicted = Ok(());
        for tier in self.tiers() {
            let one = tier.store.evict(key).await.map_err(|error| tier.failed("evict", error));
            evicted = evicted.and(one);
        }
        evicted
    }
}
