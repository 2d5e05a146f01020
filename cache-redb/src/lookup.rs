//! What a look at a snapshot finds, verified.

use std::ops::Range;

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteRange, Checksum, EntryMeta, Envelope, Error, ErrorKind, GetOptions, Key, Result,
};
use futures::{StreamExt, stream};

use crate::{
    contain::Fault,
    engine::{Engine, Steady},
    large_blob::LargeBlob,
    rows::{EntryRow, RowKey},
    snapshot::Snapshot,
    stub::{BlobValue, Stub},
};

/// What a look at a blob finds.
pub(crate) enum Found {
    Absent,
    InHand(InHand),
    Large { blob: LargeBlob, range: Range<u64>, generation: u64 },
    Wrong(Wrong),
}

pub(crate) struct InHand {
    pub(crate) bytes: Bytes,
    /// What the whole blob has.
    pub(crate) total: u64,
    pub(crate) checksum: Checksum,
}

/// Why a blob that is there is not answered.
pub(crate) struct Wrong {
    pub(crate) error: Error,
    /// Which put wrote the entry, if its row tells.
    pub(crate) version: Option<u64>,
}

/// An entry of one version.
pub(crate) enum FoundEntry {
    Absent,
    Whole { meta: EntryMeta, blobs: Vec<(BlobName, Found)> },
    Wrong(Wrong),
}

impl Found {
    pub(crate) fn id(&self) -> Option<u64> {
        if let Self::Large { blob, .. } = self { Some(blob.id()) } else { None }
    }
}

impl InHand {
    pub(crate) fn into_blob(self, options: &GetOptions) -> Blob {
        let len = self.bytes.len() as u64;
        let blob = if len > options.stream_above {
            Blob::from_stream(len, self.total, stream::iter([Ok(self.bytes)]).boxed())
        } else {
            Blob::part(self.total, self.bytes)
        };
        blob.with_checksum(self.checksum)
    }
}

/// Looks for a blob. Of a large one only the ends are read.
pub(crate) fn look_at(
    engine: &Engine,
    snapshot: &Snapshot,
    key: &Key,
    name: &BlobName,
    range: Option<ByteRange>,
) -> Result<Found, Fault> {
    let row_key = RowKey::blob(key.view(), name);
    let Some(row) = snapshot.blobs.get(row_key.as_bytes())? else { return Ok(Found::Absent) };
    match open(engine, key, name, row.value(), range, snapshot.generation) {
        Ok(found) => Ok(found),
        Err(error) => wrong(snapshot, key, error).map(Found::Wrong),
    }
}

/// As [`look_at`], with all bytes of a large blob. Blocks.
pub(crate) fn look_through(
    engine: &Engine,
    snapshot: &Snapshot,
    key: &Key,
    name: &BlobName,
    range: Option<ByteRange>,
) -> Result<Found, Fault> {
    match look_at(engine, snapshot, key, name, range)? {
        Found::Large { blob, range, .. } => match blob.read(&snapshot.chunks, range)? {
            Ok(bytes) => Ok(Found::InHand(InHand { bytes, total: blob.len(), checksum: blob.checksum() })),
            Err(error) => wrong(snapshot, key, error).map(Found::Wrong),
        },
        found => Ok(found),
    }
}

pub(crate) fn look_at_entry(
    engine: &Engine,
    snapshot: &Snapshot,
    steady: Steady<'_>,
    key: &Key,
    stream_above: u64,
) -> Result<FoundEntry, Fault> {
    let row_key = RowKey::entry(key.view());
    let Some(row) = snapshot.entries.get(row_key.as_bytes())? else { return Ok(FoundEntry::Absent) };
    let Some(meta) = engine.meta(key.clone(), row_key.as_bytes(), row.value()) else {
        let error = Error::corrupt("what is known of the entry is damaged");
        return Ok(FoundEntry::Wrong(Wrong { error, version: None }));
    };
    // The blobs take their time.
    drop(steady);
    let mut blobs = Vec::new();
    for blob in &meta.blobs {
        let in_hand = blob.bytes <= stream_above;
        let look = if in_hand { look_through } else { look_at };
        match look(engine, snapshot, key, &blob.name, None)? {
            Found::Wrong(wrong) => return Ok(FoundEntry::Wrong(wrong)),
            Found::Absent => {
                let error = Error::corrupt(format!("blob {} is gone", blob.name));
                return wrong(snapshot, key, error).map(FoundEntry::Wrong);
            }
            found => blobs.push((blob.name.clone(), found)),
        }
    }
    Ok(FoundEntry::Whole { meta, blobs })
}

/// Tells which put wrote an entry that is damaged.
fn wrong(snapshot: &Snapshot, key: &Key, error: Error) -> Result<Wrong, Fault> {
    let row_key = RowKey::entry(key.view());
    let row = snapshot.entries.get(row_key.as_bytes())?;
    let row = row.and_then(|row| EntryRow::decode(row_key.as_bytes(), row.value()));
    Ok(Wrong { error, version: row.map(|row| row.version) })
}

fn open(
    engine: &Engine,
    key: &Key,
    name: &BlobName,
    row: &[u8],
    range: Option<ByteRange>,
    generation: u64,
) -> Result<Found> {
    let whole = ByteRange::new(0, None)?;
    let within = |total: u64| match engine.options.max_blob_bytes {
        Some(max) if total > max => Err(Error::new(ErrorKind::TooLarge, "", "")
            .with_detail(format!("blob {name} has {total} bytes, the limit is {max}"))),
        _ => range.unwrap_or(whole).within(total),
    };
    if BlobValue::of(row)? == BlobValue::Chunked {
        let blob = LargeBlob::open(key, name, &Stub::decode(row)?)?;
        return Ok(Found::Large { range: within(blob.len())?, blob, generation });
    }
    let damaged = || Error::corrupt("the length is not that of a sealed blob");
    let (header, rest) = row.split_at_checked(Envelope::HEADER_BYTES).ok_or_else(damaged)?;
    let total = Envelope::payload_len(row.len() as u64).ok_or_else(damaged)?;
    let at = |offset: u64| usize::try_from(offset).map_err(|_| damaged());
    let (payload, trailer) = rest.split_at_checked(at(total)?).ok_or_else(damaged)?;
    let checksum = Envelope::verify(key, name, header, payload, trailer)?;
    let range = within(total)?;
    let part = payload.get(at(range.start)?..at(range.end)?).ok_or_else(damaged)?;
    Ok(Found::InHand(InHand { bytes: Bytes::copy_from_slice(part), total, checksum }))
}
