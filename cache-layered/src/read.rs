//! The read path: tiers in order, one atomic read each, errors passed over as long as another answers.

use cache_core::{Blob, BlobName, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Key, Result};

use crate::{
    layered::LayeredStore,
    merge::{combine, placed},
    spill::Spilling,
    tier::{Tier, is_callers_fault},
};

/// What the tiers before this one said.
#[derive(Default)]
struct Asked {
    answered: bool,
    failure: Option<Error>,
    corrupt: Option<Error>,
}

impl Asked {
    fn failed(&mut self, tier: &Tier, operation: &'static str, error: Error) -> Result<()> {
        let error = tier.failed(operation, error);
        if is_callers_fault(&error) {
            return Err(error);
        }
        match error.kind() {
            ErrorKind::Corrupt => _ = self.corrupt.get_or_insert(error),
            _ => _ = self.failure.get_or_insert(error),
        }
        Ok(())
    }

    /// No tier has it. An error if what there was is damaged, or if not one tier could tell.
    fn nowhere<T>(self, store: &LayeredStore) -> Result<Option<T>> {
        match (self.corrupt, self.failure) {
            (Some(corrupt), _) => Err(corrupt),
            (None, Some(error)) if !self.answered => Err(error),
            (None, Some(_)) => {
                store.counters().degraded();
                Ok(None)
            }
            (None, None) => Ok(None),
        }
    }

    fn found(&self, store: &LayeredStore) {
        if self.corrupt.is_some() {
            store.counters().corrupt();
        }
        if self.corrupt.is_some() || self.failure.is_some() {
            store.counters().degraded();
        }
    }
}

impl LayeredStore {
    pub(crate) async fn read(&self, key: &Key, name: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        loop {
            let mark = self.mark();
            let found = self.read_once(key, name, options.clone()).await?;
            if found.is_some() || !self.was_between(key, mark).await {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn read_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        loop {
            let mark = self.mark();
            let found = self.read_entry_once(key, options.clone()).await?;
            if found.is_some() || !self.was_between(key, mark).await {
                return Ok(found);
            }
        }
    }

    /// Whether any tier has the entry. A tier that cannot tell is an error unless another one has it:
    /// never `false` instead.
    pub(crate) async fn holds(&self, key: &Key) -> Result<bool> {
        loop {
            let mark = self.mark();
            let found = self.holds_once(key).await?;
            if found || !self.was_between(key, mark).await {
                return Ok(found);
            }
        }
    }

    /// What the tiers know of the entry together; as [`holds`](Self::holds).
    pub(crate) async fn known(&self, key: &Key) -> Result<Option<EntryMeta>> {
        loop {
            let mark = self.mark();
            let found = self.known_once(key).await?;
            if found.is_some() || !self.was_between(key, mark).await {
                return Ok(found);
            }
        }
    }

    fn mark(&self) -> u64 {
        self.spilling().map_or(0, Spilling::mark)
    }

    /// Whether a miss is none, and tiers have to be asked again.
    async fn was_between(&self, key: &Key, mark: u64) -> bool {
        match self.spilling() {
            Some(spilling) => spilling.was_between(key, mark).await,
            None => false,
        }
    }

    async fn read_once(&self, key: &Key, name: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let mut asked = Asked::default();
        let mut may_promote = options.range.is_none() && !options.quiet;
        for (at, tier) in self.tiers().iter().enumerate() {
            // A part is answered as a part: it does not fetch all of what it was cut from.
            if at == 0 || !may_promote {
                match tier.store.get(key, name, options.clone()).await {
                    Ok(None) => asked.answered = true,
                    Ok(found) => {
                        asked.found(self);
                        return Ok(found);
                    }
                    Err(error) => asked.failed(tier, "get", error)?,
                }
                continue;
            }
            let ticket = self.locks().ticket(key);
            let mut entry = match tier.store.get_entry(key, GetOptions::default()).await {
                Ok(Some(entry)) if entry.has(name) => entry,
                Ok(_) => {
                    asked.answered = true;
                    continue;
                }
                Err(error) => {
                    asked.failed(tier, "get", error)?;
                    continue;
                }
            };
            asked.found(self);
            let targets = self.targets(at, &entry);
            if targets.is_empty() {
                return Ok(entry.take(name));
            }
            if let Some(copy) = share(&entry) {
                self.promote(targets, copy, ticket).await;
                return Ok(entry.take(name));
            }
            // A stream is read once: it goes to the faster tiers, and the answer comes from there.
            self.promote(targets, entry, ticket).await;
            for tier in self.tiers().iter().take(at + 1) {
                match tier.store.get(key, name, options.clone()).await {
                    Ok(None) => asked.answered = true,
                    Ok(found) => return Ok(found),
                    Err(error) => asked.failed(tier, "get", error)?,
                }
            }
            may_promote = false;
        }
        asked.nowhere(self)
    }

    async fn read_entry_once(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let mut asked = Asked::default();
        for (at, tier) in self.tiers().iter().enumerate() {
            let ticket = (at > 0 && !options.quiet).then(|| self.locks().ticket(key));
            let entry = match tier.store.get_entry(key, options.clone()).await {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    asked.answered = true;
                    continue;
                }
                Err(error) => {
                    asked.failed(tier, "get_entry", error)?;
                    continue;
                }
            };
            asked.found(self);
            let targets = self.targets(at, &entry);
            let Some(ticket) = ticket.filter(|_| !targets.is_empty()) else {
                return Ok(Some(named(tier, entry)));
            };
            if let Some(copy) = share(&entry) {
                self.promote(targets, copy, ticket).await;
                return Ok(Some(named(tier, entry)));
            }
            self.promote(targets, entry, ticket).await;
            for tier in self.tiers().iter().take(at + 1) {
                match tier.store.get_entry(key, options.clone()).await {
                    Ok(None) => asked.answered = true,
                    Ok(Some(entry)) => return Ok(Some(named(tier, entry))),
                    Err(error) => asked.failed(tier, "get_entry", error)?,
                }
            }
        }
        asked.nowhere(self)
    }

    async fn holds_once(&self, key: &Key) -> Result<bool> {
        let mut asked = Asked::default();
        for tier in self.tiers() {
            match tier.store.contains(key).await {
                Ok(true) => {
                    asked.found(self);
                    return Ok(true);
                }
                Ok(false) => {}
                Err(error) => asked.failed(tier, "contains", error)?,
            }
        }
        asked.failure.or(asked.corrupt).map_or(Ok(false), Err)
    }

    async fn known_once(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let mut asked = Asked::default();
        let mut known: Option<EntryMeta> = None;
        for tier in self.tiers() {
            match tier.store.meta(key).await {
                Ok(Some(meta)) => {
                    let meta = placed(tier, meta);
                    known = Some(match known {
                        Some(known) => combine(known, tier, meta),
                        None => meta,
                    });
                }
                Ok(None) => {}
                Err(error) => asked.failed(tier, "meta", error)?,
            }
        }
        if known.is_some() {
            asked.found(self);
            return Ok(known);
        }
        asked.failure.or(asked.corrupt).map_or(Ok(None), Err)
    }
}

fn named(tier: &Tier, mut entry: EntryRead) -> EntryRead {
    entry.meta = placed(tier, entry.meta);
    entry
}

/// A second read of the same bytes; none if some of them can be read only once.
fn share(entry: &EntryRead) -> Option<EntryRead> {
    let shared: Option<Vec<(BlobName, Blob)>> = entry
        .blobs
        .iter()
        .map(|(name, blob)| Some((name.clone(), Blob::from_bytes(blob.bytes()?.clone()))))
        .collect();
    Some(EntryRead::new(entry.meta.clone(), shared?))
}
