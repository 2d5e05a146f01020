//! A put, as it changes the tables.

use cache_core::{Error, PutMode, PutOutcome, Refusal};

use super::{Batch, Found, Result, account::namespace_of};
use crate::{
    prepared::{Body, PreparedBlob},
    queue::Put,
    rows::{BlobRow, EntryRow, RowKey, Use},
};

impl Batch<'_, '_> {
    /// Puts an entry. The inner error is of this put alone, which has changed nothing then.
    pub(crate) fn put(&mut self, put: &Put) -> Result<std::result::Result<(PutOutcome, u64), Error>> {
        let key = RowKey::entry(put.key.view());
        let old = match self.find(key.as_bytes())? {
            Found::Nothing => {
                // Damage may have taken the row and left blobs.
                self.remove_blobs(key.as_bytes())?;
                None
            }
            Found::Row(row) => Some(row),
            Found::Damage => {
                self.purge(key.as_bytes())?;
                None
            }
        };
        let (after, written) = blobs_after(put, old.as_ref());
        let bytes = after.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add);
        if self.engine.options.max_bytes.is_some_and(|max| bytes > max) {
            if put.mode != PutMode::Fill
                && let Some(old) = old
            {
                self.remove_row(key.as_bytes(), &old)?;
                self.changed.gone.push(put.key.clone());
            }
            return Ok(Ok((PutOutcome::refused(Refusal::OverBudget), 0)));
        }
        // What of a fill is there already was uploaded in vain.
        let unwanted = put.blobs.iter().filter(|blob| written.iter().all(|other| other.name != blob.name));
        self.changed.loose.extend(unwanted.filter_map(PreparedBlob::id));
        if written.is_empty() {
            return Ok(Ok((PutOutcome::stored(), 0)));
        }
        if let Err(error) = self.publish_chunks(&written)? {
            return Ok(Err(error));
        }
        self.totals(namespace_of(key.as_bytes()))?;
        let stamp = self.engine.next_stamp();
        let count = old.as_ref().map_or(0, |old| old.last.count);
        let new = EntryRow { last: Use { stamp, at: self.now, count }, version: stamp, blobs: after };
        if let Some(old) = &old {
            self.take_replaced(key.as_bytes(), old, &new)?;
            self.recency.remove(old.last.stamp)?;
        }
        for blob in &written {
            self.write_blob(&RowKey::blob(put.key.view(), &blob.name), &blob.body)?;
        }
        self.entries.insert(key.as_bytes(), new.encode(key.as_bytes()).as_slice())?;
        self.recency.insert(stamp, key.as_bytes())?;
        self.account(key.as_bytes(), old.as_ref(), Some(&new))?;
        let bytes = written.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add);
        self.changed.puts += 1;
        let in_hand = written.iter().map(|blob| blob.in_hand());
        self.changed.bytes = in_hand.fold(self.changed.bytes, u64::saturating_add);
        Ok(Ok((PutOutcome::stored(), bytes)))
    }

    /// Writes the last of what was uploaded, all of which belongs to an entry then, or none.
    fn publish_chunks(&mut self, blobs: &[&PreparedBlob]) -> Result<std::result::Result<(), Error>> {
        let mut published = Vec::new();
        for blob in blobs {
            let Body::Chunked(chunked) = &blob.body else { continue };
            let ids = &self.engine.ids;
            if let Err(error) = self.chunks()?.publish(ids, &chunked.tail)? {
                for id in published {
                    self.set_loose(id)?;
                }
                return Ok(Err(error));
            }
            published.push(chunked.stub.id);
        }
        Ok(Ok(()))
    }

    fn write_blob(&mut self, key: &RowKey, body: &Body) -> Result<()> {
        match body {
            Body::Inline { header, payload, trailer } => {
                let len = header.len() + payload.len() + trailer.len();
                let mut row = self.blobs.insert_reserve(key.as_bytes(), len)?;
                let (head, rest) = row.as_mut().split_at_mut(header.len().min(len));
                let (body, tail) = rest.split_at_mut(payload.len());
                head.copy_from_slice(header);
                body.copy_from_slice(payload);
                tail.copy_from_slice(trailer);
            }
            Body::Chunked(chunked) => {
                let mut row = Vec::new();
                chunked.stub.encode(&mut row);
                self.blobs.insert(key.as_bytes(), row.as_slice())?;
            }
        }
        Ok(())
    }

    /// Takes away what the new row does not have any more.
    fn take_replaced(&mut self, key: &[u8], old: &EntryRow, new: &EntryRow) -> Result<()> {
        for blob in &old.blobs {
            let stays = new.blobs.iter().find(|other| other.name == blob.name);
            if stays.is_none() {
                self.blobs.remove([key, blob.name.as_str().as_bytes()].concat().as_slice())?;
            }
            if let Some(id) = blob.id
                && stays.and_then(|stays| stays.id) != Some(id)
            {
                self.set_loose(id)?;
            }
        }
        Ok(())
    }
}

/// The blobs of the entry after a put, and those of the put that are written.
fn blobs_after<'p>(put: &'p Put, old: Option<&EntryRow>) -> (Vec<BlobRow>, Vec<&'p PreparedBlob>) {
    let there = old.map(|old| old.blobs.iter().map(|blob| (blob.name.clone(), (blob.clone(), None))));
    let new = put.blobs.iter().map(|blob| {
        let row = BlobRow { name: blob.name.clone(), bytes: blob.bytes, created: put.created, id: blob.id() };
        (blob.name.clone(), (row, Some(blob)))
    });
    let after = put.mode.apply(there.into_iter().flatten().collect(), new);
    after.into_values().fold((Vec::new(), Vec::new()), |(mut rows, mut written), (row, blob)| {
        rows.push(row);
        written.extend(blob);
        (rows, written)
    })
}
