//! Listings: ranges of the table of entries.

use cache_core::{EntryMeta, Key, ListOptions, Namespace};

use crate::{
    contain::Fault,
    engine::Engine,
    rows::{RowKey, entry_of, names_of},
    snapshot::Snapshot,
};

/// Listings of up to so many entries are read on the caller's thread.
pub(crate) const FEW: usize = 16;

/// The first entries of those asked for, and damaged rows that tell of no entry.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) entries: Vec<EntryMeta>,
    pub(crate) lost: Vec<Key>,
}

pub(crate) fn page(engine: &Engine, snapshot: &Snapshot, options: &ListOptions) -> Result<Page, Fault> {
    let mut page = Page::default();
    let limit = options.limit.unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(page);
    }
    scan(snapshot, options, |key, row_key, row| {
        match engine.meta(key.clone(), row_key, row) {
            Some(meta) => page.entries.push(meta),
            // Who reads it finds the damage.
            None if has_blobs(snapshot, row_key)? => page.entries.push(EntryMeta::new(key, row.len() as u64)),
            // What is damaged may be the key itself.
            None => page.lost.push(key),
        }
        Ok(page.entries.len() < limit)
    })?;
    Ok(page)
}

fn has_blobs(snapshot: &Snapshot, row_key: &[u8]) -> Result<bool, Fault> {
    let names = names_of(row_key);
    let mut rows = snapshot.blobs.range(names.start.as_slice()..names.end.as_slice())?;
    Ok(rows.next().transpose()?.is_some())
}

/// Calls `see` with each row of an entry asked for, the limit aside, until it answers that this was enough.
pub(crate) fn scan(
    snapshot: &Snapshot,
    options: &ListOptions,
    mut see: impl FnMut(Key, &[u8], &[u8]) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut from = RowKey::entry(options.first().view()).as_bytes().to_vec();
    let mut space: Option<Namespace> = None;
    'seek: loop {
        for row in snapshot.entries.range(from.as_slice()..)? {
            let (row_key, row) = row?;
            let row_key = row_key.value();
            let Some(key) = key_of(row_key, &mut space) else { continue };
            if options.ends_before(&key) {
                return Ok(());
            }
            if options.admits(&key) {
                if !see(key, row_key, row.value())? {
                    return Ok(());
                }
            } else if let Some(next) = next_after(options, &key) {
                from = next;
                continue 'seek;
            }
        }
        return Ok(());
    }
}

/// As [`entry_of`], for which the namespace before often does.
fn key_of(row_key: &[u8], space: &mut Option<Namespace>) -> Option<Key> {
    if let Some(space) = space
        && let Some(rest) = row_key.strip_prefix(space.encoded().as_bytes())
        && let Some((0, digest)) = rest.split_first()
        && let Ok(digest) = <[u8; 32]>::try_from(digest)
    {
        return Some(Key::new(space.clone(), cache_core::Digest::from_bytes(digest)));
    }
    let key = entry_of(row_key)?;
    *space = Some(key.namespace.clone());
    Some(key)
}

/// Where to go on after a key that was not asked for, if that is not right behind it.
fn next_after(options: &ListOptions, key: &Key) -> Option<Vec<u8>> {
    let behind = || [key.namespace.encoded().as_bytes(), &[1]].concat();
    if !options.namespace.covers(&key.namespace) {
        return Some(behind());
    }
    let prefix = options.prefix?;
    if key.digest < prefix.first() {
        let first = Key::new(key.namespace.clone(), prefix.first());
        return Some(RowKey::entry(first.view()).as_bytes().to_vec());
    }
    (key.digest > prefix.last()).then(behind)
}
