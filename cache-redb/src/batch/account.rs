//! What the entries take, of each namespace and of all together.

use redb::ReadableTable;

use super::{Batch, Result};
use crate::rows::{EntryRow, TOTALS, Totals};

impl Batch<'_, '_> {
    /// What the entries of a namespace take. If the row that tells is damaged they are counted, so this is asked for
    /// before any of them changes.
    pub(super) fn totals(&mut self, namespace: &[u8]) -> Result<&mut Totals> {
        if !self.totals.contains_key(namespace) {
            let row = self.tx.open_table(TOTALS)?.get(namespace)?.map(|row| row.value().to_vec());
            let totals = match row {
                None => Totals::default(),
                Some(row) => match Totals::decode(namespace, &row) {
                    Some(totals) => totals,
                    None => count(&self.entries, namespace)?,
                },
            };
            self.totals.insert(namespace.to_vec(), totals);
        }
        Ok(self.totals.entry(namespace.to_vec()).or_default())
    }

    /// Counts the entries of a namespace anew.
    pub(super) fn recount(&mut self, namespace: &[u8]) -> Result<()> {
        let before = *self.totals(namespace)?;
        let counted = count(&self.entries, namespace)?;
        self.totals.insert(namespace.to_vec(), counted);
        self.changed.sum.take(before);
        self.changed.sum.add(counted);
        Ok(())
    }

    pub(super) fn account(
        &mut self,
        key: &[u8],
        old: Option<&EntryRow>,
        new: Option<&EntryRow>,
    ) -> Result<()> {
        let old = old.map(EntryRow::totals).unwrap_or_default();
        let new = new.map(EntryRow::totals).unwrap_or_default();
        let totals = self.totals(namespace_of(key))?;
        totals.take(old);
        totals.add(new);
        self.changed.sum.take(old);
        self.changed.sum.add(new);
        Ok(())
    }
}

/// What the entries of one namespace take.
pub(crate) fn count(
    entries: &impl ReadableTable<&'static [u8], &'static [u8]>,
    namespace: &[u8],
) -> Result<Totals> {
    let (from, to) = ([namespace, &[0]].concat(), [namespace, &[1]].concat());
    let mut totals = Totals::default();
    for row in entries.range(from.as_slice()..to.as_slice())? {
        let (key, row) = row?;
        if let Some(row) = EntryRow::decode(key.value(), row.value()) {
            totals.add(row.totals());
        }
    }
    Ok(totals)
}

pub(crate) fn namespace_of(key: &[u8]) -> &[u8] {
    key.split(|byte| *byte == 0).next().unwrap_or_default()
}
