//! A scrub of each tier, and the repair of what is damaged in one from what is sound in another.

use std::sync::Arc;

use async_trait::async_trait;
use cache_core::{
    ErrorKind, GetOptions, Key, Namespace, PutMode, PutOptions, Repair, Result, VerifyOptions, VerifyReport,
    read_through,
};

use crate::{layered::LayeredStore, write::whole};

impl LayeredStore {
    pub(crate) async fn verify_tiers(
        &self,
        scope: &Namespace,
        options: &VerifyOptions,
    ) -> Result<VerifyReport> {
        let mut reports = Vec::new();
        for (at, tier) in self.tiers().iter().enumerate() {
            let repair = Mending { store: self.clone(), at, elsewhere: options.clone() };
            let asked = options.for_tier(&tier.name, Some(Arc::new(repair)));
            let report = tier.store.verify(scope, &asked).await;
            let report = report.unwrap_or_else(|error| VerifyReport::failed(tier.failed("verify", error)));
            reports.push((Arc::clone(&tier.name), report));
        }
        Ok(VerifyReport::of_tiers(reports, options.max_keys))
    }

    /// Writes an entry of tier `damaged` again from the slowest of the others that has a sound copy. It is a
    /// write like any other: one at a time for each key, and run to its end.
    async fn mend(&self, damaged: usize, key: &Key) -> Result<bool> {
        let (store, key) = (self.clone(), key.clone());
        self.to_its_end("verify", async move {
            let _turn = store.locks().write(&key).await;
            let mut also = Vec::new();
            let mut repaired = store.restore(damaged, &key, &mut also).await;
            // What was found damaged on the way is gone before it is that tier's turn.
            for at in also {
                let restored = store.restore(at, &key, &mut Vec::new()).await.unwrap_or(false);
                repaired = repaired.map(|all| all && restored);
            }
            repaired
        })
        .await
    }

    /// The repair of one tier; those whose copies turn out to be damaged are added to `also`.
    async fn restore(&self, at: usize, key: &Key, also: &mut Vec<usize>) -> Result<bool> {
        // What is never written stays as it is.
        let Some(tier) = self.written_tiers().get(at) else { return Ok(false) };
        let is_sound = async || matches!(read_through(&*tier.store, key, |_| ()).await, Ok(Some(_)));
        // Somebody may have put it again before it was our turn.
        if is_sound().await {
            return Ok(true);
        }
        // What others put meanwhile stays. In a stack a fill would reach its slowest tier alone.
        let mode = if tier.info.tiers.is_empty() { PutMode::Fill } else { PutMode::Replace };
        let mut failure = None;
        // The slowest of those that are read and written decides. What is not read, and what others keep, is asked when
        // each of them has said that it has no sound copy: it may be an older version.
        let kept = self.kept_tiers().len();
        let mut can_tell = true;
        for from in (0..kept).rev().chain(kept..self.tiers().len()) {
            if from >= kept && !can_tell {
                break;
            }
            let Some(other) = self.tiers().get(from).filter(|_| from != at) else { continue };
            let copy = match other.store.get_entry(key, GetOptions::default().quietly()).await {
                Ok(Some(copy)) => copy,
                Ok(None) => continue,
                // What cannot be read here is that tier's to tell.
                Err(error) => {
                    if error.kind() == ErrorKind::Corrupt {
                        also.push(from);
                    } else {
                        can_tell = false;
                    }
                    continue;
                }
            };
            let mut options = PutOptions::mode(mode);
            options.created = copy.meta.modified;
            match tier.store.put(key, whole(copy), options).await {
                Ok(_) if is_sound().await => return Ok(true),
                Ok(_) => {}
                // The copy is, as its stream told midway.
                Err(error) if error.kind() == ErrorKind::Corrupt => also.push(from),
                Err(error) => failure = Some(tier.failed("verify", error)),
            }
        }
        failure.map_or(Ok(false), Err)
    }
}

/// Repairs what is damaged in one tier.
struct Mending {
    store: LayeredStore,
    at: usize,
    /// Where this stack is a tier itself, the other tiers of that one.
    elsewhere: VerifyOptions,
}

#[async_trait]
impl Repair for Mending {
    async fn repair(&self, key: &Key) -> Result<bool> {
        if self.store.mend(self.at, key).await? {
            return Ok(true);
        }
        self.elsewhere.repair(key).await
    }
}
