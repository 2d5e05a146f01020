//! Whether the tables of a database agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::Envelope;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use crate::{
    chunks::{CHUNKS, LOOSE},
    format::{FORMAT, VERSION},
    rows::{BLOBS, ENTRIES, EntryRow, RECENCY, RowKey, TOTALS, Totals, entry_of},
};

/// Says what does not agree: rows without an entry, entries without rows, totals that are not.
pub(crate) fn check(database: &Database) -> Result<(), String> {
    let read = database.begin_read().map_err(|error| error.to_string())?;
    let format = read.open_table(FORMAT).unwrap();
    if format.get("version").unwrap().map(|version| version.value()) != Some(VERSION) {
        return Err("the version is gone".into());
    }
    let (entries, blobs, chunks) = (
        read.open_table(ENTRIES).unwrap(),
        read.open_table(BLOBS).unwrap(),
        read.open_table(CHUNKS).unwrap(),
    );
    let (loose, recency, totals) = (
        read.open_table(LOOSE).unwrap(),
        read.open_table(RECENCY).unwrap(),
        read.open_table(TOTALS).unwrap(),
    );

    let mut sums: BTreeMap<Vec<u8>, Totals> = BTreeMap::new();
    let (mut names, mut large) = (0, BTreeMap::new());
    for row in entries.iter().unwrap() {
        let (key, row) = row.unwrap();
        let key = key.value();
        let Some(address) = entry_of(key) else { return Err(format!("the key {key:?} is none")) };
        let Some(row) = EntryRow::decode(key, row.value()) else {
            return Err(format!("{address} is damaged"));
        };
        let stamp = row.last.stamp;
        if recency.get(stamp).unwrap().is_none_or(|found| found.value() != key) {
            return Err(format!("{address} has no place {stamp} in the order of uses"));
        }
        if row.blobs.is_empty() {
            return Err(format!("{address} has no blobs"));
        }
        for blob in &row.blobs {
            let place = RowKey::blob(address.view(), &blob.name);
            let Some(found) = blobs.get(place.as_bytes()).unwrap() else {
                return Err(format!("{} of {address} is gone", blob.name));
            };
            let len = found.value().len() as u64;
            names += 1;
            match blob.id {
                None if len != Envelope::sealed_len(blob.bytes) => {
                    return Err(format!("{} of {address} has {len} bytes", blob.name));
                }
                None => {}
                Some(id) if large.insert(id, blob.bytes).is_some() => {
                    return Err(format!("the large blob {id} belongs to two"));
                }
                Some(_) => {}
            }
        }
        let namespace = address.namespace.encoded().as_bytes().to_vec();
        sums.entry(namespace).or_default().add(row.totals());
    }
    let (listed, ordered) = (entries.len().unwrap(), recency.len().unwrap());
    if listed != ordered {
        return Err(format!("{listed} entries, and {ordered} in the order of uses"));
    }
    if blobs.len().unwrap() != names {
        return Err(format!("{names} blobs of entries, of {}", blobs.len().unwrap()));
    }
    for row in totals.iter().unwrap() {
        let (namespace, row) = row.unwrap();
        let told = Totals::decode(namespace.value(), row.value());
        let counted = sums.remove(namespace.value()).unwrap_or_default();
        if told != Some(counted) {
            return Err(format!("a namespace holds {counted:?}, and {told:?} is told"));
        }
    }
    if let Some((namespace, counted)) = sums.pop_first() {
        return Err(format!("{:?} holds {counted:?}, and nothing is told", String::from_utf8(namespace)));
    }

    let loose: BTreeSet<u64> = loose.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
    let mut pieces: BTreeMap<u64, u64> = BTreeMap::new();
    for row in chunks.iter().unwrap() {
        let (place, piece) = row.unwrap();
        *pieces.entry(place.value().0).or_default() += piece.value().len() as u64;
    }
    for (id, bytes) in pieces {
        match large.remove(&id) {
            Some(expected) if expected == bytes && !loose.contains(&id) => {}
            None if loose.contains(&id) => {}
            expected => {
                let is_loose = loose.contains(&id);
                return Err(format!(
                    "the large blob {id} has {bytes} bytes of {expected:?}, loose: {is_loose}"
                ));
            }
        }
    }
    match large.pop_first() {
        None => Ok(()),
        Some((id, bytes)) => Err(format!("the {bytes} bytes of the large blob {id} are gone")),
    }
}
