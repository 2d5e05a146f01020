use std::collections::BTreeSet;

use futures::TryStreamExt;

use crate::{
    Call, CallStore, Datum, Intent, Key, ListOptions, PutEntry, PutOptions, Result,
    call::{
        function::{is_function, namespace_of},
        read::{Found, Reading},
        record,
    },
    hook::within,
};

/// What became of the calls that a [`transform`](CallStore::transform) saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransformReport {
    /// Entries that were there when it began.
    pub seen: u64,
    /// Calls that are now under another key.
    pub moved: u64,
    /// Calls that were written again under the same key.
    pub rewritten: u64,
    /// Calls that came back as they were, and were not written.
    pub unchanged: u64,
    /// Entries that had gone by the time their turn came.
    pub skipped: u64,
    /// Entries that could not be read as calls, and were left alone unless a call has moved onto them.
    pub unreadable: u64,
    /// Calls that the store did not take under their new key, by policy, and that stay under the old one.
    pub refused: u64,
}

/// A call in hand on its way to another key, or to the same.
struct Held {
    from: Key,
    to: Key,
    /// `None` if nothing changed.
    put: Option<(PutEntry, PutOptions)>,
}

impl CallStore {
    /// Puts every recorded call through `change` and stores it under the key that it then has.
    ///
    /// The new key is written before the old one is evicted, with all blobs of the entry and its time of
    /// creation. A call that another one is about to replace goes first, so keys may move along a chain or
    /// change places; if several end under one key, the last one stays. Calls that are recorded
    /// while this runs are not changed, and what is recorded under a key that is just being moved is lost.
    ///
    /// The keys of all calls are held, some 100 bytes each, and the entries of a chain.
    ///
    /// # Errors
    ///
    /// The first error of `change` or of the store; as [`Call::lookup_key`]. What was moved before stays
    /// moved; running it again goes on if `change` leaves alone what it has changed. Of calls that change
    /// places one may be lost, also if the store refuses it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves whole entries: a call may be under both keys. Of calls that change places
    /// one may be lost.
    pub async fn transform<F>(&self, mut change: F) -> Result<TransformReport>
    where
        F: FnMut(Call) -> Result<Call> + Send,
    {
        let operation = || self.cache().scope_operation("transform", Intent::Write);
        within(self.cache().hooks(), operation, self.inside().rewrite(&mut change)).await
    }

    async fn rewrite<F>(&self, change: &mut F) -> Result<TransformReport>
    where
        F: FnMut(Call) -> Result<Call> + Send,
    {
        let mut report = TransformReport::default();
        let mut waiting = self.keys().await?;
        report.seen = waiting.len() as u64;
        let mut written: BTreeSet<Key> = BTreeSet::new();
        while let Some(first) = waiting.pop_first() {
            let mut chain = Vec::new();
            let mut next = Some(first);
            while let Some(from) = next.take() {
                let Some(held) = self.hold(from, change, &mut report).await? else { break };
                if waiting.remove(&held.to) {
                    next = Some(held.to.clone());
                }
                chain.push(held);
            }
            // The end of a chain first: it makes room for the one before.
            while let Some(held) = chain.pop() {
                if !self.settle(held, &mut written, &mut report).await? {
                    report.refused = report.refused.saturating_add(chain.len() as u64);
                    break;
                }
            }
        }
        Ok(report)
    }

    async fn keys(&self) -> Result<BTreeSet<Key>> {
        let root = self.cache().address();
        let mut listing = self.cache().list_store(ListOptions::below(root));
        let mut keys = BTreeSet::new();
        while let Some(entry) = listing.try_next().await? {
            if is_function(root, &entry.key.namespace) {
                keys.insert(entry.key);
            }
        }
        Ok(keys)
    }

    /// Reads one call and asks what becomes of it.
    async fn hold<F>(&self, from: Key, change: &mut F, report: &mut TransformReport) -> Result<Option<Held>>
    where
        F: FnMut(Call) -> Result<Call> + Send,
    {
        let found = match self.read(&from, |_| true).await? {
            Reading::Found(found) => found,
            Reading::Unwanted | Reading::Gone => {
                report.skipped += 1;
                return Ok(None);
            }
            Reading::Unreadable(error) => {
                report.unreadable += 1;
                return self.judge(error).map(|()| None);
            }
        };
        let call = change(found.call.clone())?;
        let to = Key::new(namespace_of(self.cache().address(), &call.name)?, call.lookup_key()?);
        if to == from && call == found.call {
            return Ok(Some(Held { from, to, put: None }));
        }
        let options = PutOptions { created: call.created, ..PutOptions::default() };
        let entry = entry_of(&call, *found).map_err(|error| self.located(error, &to))?;
        Ok(Some(Held { from, to, put: Some((entry, options)) }))
    }

    /// Writes a call under its new key, and only then takes it away from the old one. False if the store
    /// refuses it.
    async fn settle(
        &self,
        held: Held,
        written: &mut BTreeSet<Key>,
        report: &mut TransformReport,
    ) -> Result<bool> {
        let Held { from, to, put } = held;
        let Some((entry, options)) = put else {
            report.unchanged += 1;
            return Ok(true);
        };
        let outcome = self.cache().at(to.namespace.clone()).put_with(to.digest, entry, options).await?;
        if !outcome.is_stored() {
            report.refused += 1;
            return Ok(false);
        }
        if from == to {
            report.rewritten += 1;
        } else {
            // Another call may have come to lie there.
            if !written.contains(&from) {
                self.evict_at(&from).await?;
            }
            report.moved += 1;
        }
        written.insert(to);
        Ok(true)
    }
}

/// The entry of a changed call: its result travels along as it was stored, unless it is another one.
fn entry_of(call: &Call, found: Found) -> Result<PutEntry> {
    let digest = |call: &Call| call.result.as_ref().map(Datum::digest);
    let kept = |call: &Call| call.result.as_ref().is_some_and(|result| result.bytes().is_some());
    let same = digest(call) == digest(&found.call) && kept(call) == kept(&found.call);
    let mut entry = if same { PutEntry::data(record::encode(call)?) } else { record::entry(call)? };
    for (name, bytes) in found.blobs {
        if same || name != record::result_name() {
            entry = entry.with(name, bytes);
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests;
