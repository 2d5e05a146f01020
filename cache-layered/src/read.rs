//! The read path: tiers in order, one atomic read each, errors passed over as long as another answers.

use cache_core::{Blob, BlobName, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Key, Result};

use crate::{
    fetch::{Beyond, Want, named},
    layered::LayeredStore,
    limbo::Mark,
    merge::{combine, placed},
    tier::{Tier, is_callers_fault},
};

/// What the tiers before this one said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) answered: bool,
    failure: Option<Error>,
    corrupt: Option<Error>,
}

impl Asked {
    pub(crate) fn failed(&mut self, tier: &Tier, operation: &'static str, error: Error) -> Result<()> {
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

    /// What slower tiers said.
    pub(crate) fn also(&mut self, slower: Self) {
        self.answered |= slower.answered;
        self.failure = self.failure.take().or(slower.failure);
        self.corrupt = self.corrupt.take().or(slower.corrupt);
    }

    pub(crate) fn found(&self, store: &LayeredStore) {
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
        let mut mark = self.mark(key);
        loop {
            let found = self.read_once(key, name, &options).await?;
            if found.is_some() || !self.was_between(key, &mut mark).await {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn read_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let mut mark = self.mark(key);
        loop {
            let found = self.read_entry_once(key, &options).await?;
            if found.is_some() || !self.was_between(key, &mut mark).await {
                return Ok(found);
            }
        }
    }

    /// Whether any tier has the entry. A tier that cannot tell is an error unless another one has it:
    /// never `false` instead.
    pub(crate) async fn holds(&self, key: &Key) -> Result<bool> {
        let mut mark = self.mark(key);
        loop {
            let found = self.holds_once(key).await?;
            if found || !self.was_between(key, &mut mark).await {
                return Ok(found);
            }
        }
    }

    /// What the tiers know of the entry together; as [`holds`](Self::holds).
    pub(crate) async fn known(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let mut mark = self.mark(key);
        loop {
            let found = self.known_once(key).await?;
            if found.is_some() || !self.was_between(key, &mut mark).await {
                return Ok(found);
            }
        }
    }

    fn asked_for_existence(&self) -> impl Iterator<Item = &Tier> {
        self.read_tiers().iter().filter(|tier| tier.options.existence)
    }

    fn mark(&self, key: &Key) -> Option<Mark> {
        self.spilling().map(|spilling| spilling.mark(key))
    }

    /// Whether a miss is none, and tiers have to be asked again; they may be with the mark as it is then.
    async fn was_between(&self, key: &Key, mark: &mut Option<Mark>) -> bool {
        match (self.spilling(), mark) {
            (Some(spilling), Some(mark)) => spilling.was_between(key, mark).await,
            _ => false,
        }
    }

    async fn read_once(&self, key: &Key, name: &BlobName, options: &GetOptions) -> Result<Option<Blob>> {
        // A part is answered as a part: it does not fetch all of what it was cut from.
        if options.range.is_some() || options.quiet {
            return self.read_part(key, name, options).await;
        }
        // It is fetched whole, other blobs included: those may be large.
        let stream_above = GetOptions::DEFAULT_STREAM_ABOVE;
        let want = Want { blob: Some(name.clone()), stream_above };
        let mut again = false;
        loop {
            let mut asked = Asked::default();
            // Back once at most: others of its group may land again and again while it asks.
            let seen = (!again).then(|| self.locks().landed(key));
            let Some(fastest) = self.read_tiers().first() else { return Ok(None) };
            match fastest.store.get(key, name, options.clone()).await {
                Ok(None) => asked.answered = true,
                Ok(found) => return Ok(found),
                Err(error) => asked.failed(fastest, "get", error)?,
            }
            match self.beyond(key, &want, options, seen, asked).await? {
                Beyond::Found(mut entry) => return Ok(entry.take(name)),
                Beyond::Nowhere(asked) => return asked.nowhere(self),
                Beyond::Again => again = true,
            }
        }
    }

    async fn read_part(&self, key: &Key, name: &BlobName, options: &GetOptions) -> Result<Option<Blob>> {
        let mut asked = Asked::default();
        for tier in self.read_tiers() {
            match tier.store.get(key, name, options.clone()).await {
                Ok(None) => asked.answered = true,
                Ok(found) => {
                    asked.found(self);
                    return Ok(found);
                }
                Err(error) => asked.failed(tier, "get", error)?,
            }
        }
        asked.nowhere(self)
    }

    async fn read_entry_once(&self, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
        if options.range.is_some() || options.quiet {
            return self.read_entry_quietly(key, options).await;
        }
        let want = Want { blob: None, stream_above: options.stream_above };
        let mut again = false;
        loop {
            let mut asked = Asked::default();
            // Back once at most: others of its group may land again and again while it asks.
            let seen = (!again).then(|| self.locks().landed(key));
            let Some(fastest) = self.read_tiers().first() else { return Ok(None) };
            match fastest.store.get_entry(key, options.clone()).await {
                Ok(None) => asked.answered = true,
                Ok(Some(entry)) => return Ok(Some(named(fastest, entry))),
                Err(error) => asked.failed(fastest, "get_entry", error)?,
            }
            match self.beyond(key, &want, options, seen, asked).await? {
                Beyond::Found(entry) => return Ok(Some(entry)),
                Beyond::Nowhere(asked) => return asked.nowhere(self),
                Beyond::Again => again = true,
            }
        }
    }

    async fn read_entry_quietly(&self, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
        let mut asked = Asked::default();
        for tier in self.read_tiers() {
            match tier.store.get_entry(key, options.clone()).await {
                Ok(None) => asked.answered = true,
                Ok(Some(entry)) => {
                    asked.found(self);
                    return Ok(Some(named(tier, entry)));
                }
                Err(error) => asked.failed(tier, "get_entry", error)?,
            }
        }
        asked.nowhere(self)
    }

    async fn holds_once(&self, key: &Key) -> Result<bool> {
        let mut asked = Asked::default();
        for tier in self.asked_for_existence() {
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
        for tier in self.asked_for_existence() {
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
