//! Entries and blobs, looked at again where they were replaced between two reads.

use super::{Compressed, read::Look};
use crate::{Blob, BlobName, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Key, Result, Store};

/// So often an entry is looked at again that was replaced meanwhile.
const LOOKS: usize = 32;

impl<S: Store> Compressed<S> {
    pub(super) async fn find(
        &self,
        key: &Key,
        blob: &BlobName,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        let whole = options.clone().whole();
        let mut before = None;
        for _ in 0..LOOKS {
            let Some(stored) = self.inner.get(key, blob, whole.clone()).await? else { return Ok(None) };
            match self.open(key, blob, stored, options, before).await? {
                Look::Found(blob) => return Ok(Some(self.watch(blob))),
                Look::Moved(header) => before = Some(header),
                Look::Gone => {}
            }
        }
        Err(moved())
    }

    pub(super) async fn find_entry(&self, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
        let whole = options.clone().whole();
        let mut before = None;
        'looks: for _ in 0..LOOKS {
            let Some(stored) = self.inner.get_entry(key, whole.clone()).await? else { return Ok(None) };
            let (mut meta, mut blobs) = (stored.meta, Vec::new());
            for (name, blob) in stored.blobs {
                match self.open(key, &name, blob, &whole, before).await? {
                    Look::Found(blob) => blobs.push((name, self.watch(blob))),
                    Look::Moved(header) => {
                        before = Some(header);
                        continue 'looks;
                    }
                    Look::Gone => continue 'looks,
                }
            }
            for known in &mut meta.blobs {
                if let Some((_, blob)) = blobs.iter().find(|(name, _)| *name == known.name) {
                    known.bytes = blob.total_len();
                }
            }
            return Ok(Some(EntryRead::new(summed(meta), blobs)));
        }
        Err(moved())
    }

    pub(super) async fn find_meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let mut before = None;
        'looks: for _ in 0..LOOKS {
            let Some(mut meta) = self.inner.meta(key).await? else { return Ok(None) };
            for blob in &mut meta.blobs {
                let (stored, created) = (blob.bytes, blob.created);
                if let Some(len) = self.sizes.of(key, &blob.name, stored, created) {
                    blob.bytes = len;
                    continue;
                }
                match self.len_below(key, &blob.name, stored, before).await? {
                    Look::Found(len) => blob.bytes = len,
                    Look::Moved(header) => {
                        before = Some(header);
                        continue 'looks;
                    }
                    Look::Gone => continue 'looks,
                }
                self.sizes.learn(key, &blob.name, stored, blob.bytes);
            }
            return Ok(Some(summed(meta)));
        }
        Err(moved())
    }
}

fn moved() -> Error {
    Error::new(ErrorKind::Unavailable, "", "").with_detail("the entry is replaced faster than it can be read")
}

/// An entry of which the bytes of each blob were corrected.
fn summed(mut meta: EntryMeta) -> EntryMeta {
    if meta.bytes.is_some() {
        meta.bytes = Some(meta.blobs.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add));
    }
    meta
}
