//! Reads, each within one hop to a blocking thread unless it streams.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteRange, EntryRead, Envelope, Error, ErrorKind, GetOptions, Key, Result, SealedIndex,
};

use crate::{
    at::At,
    damage::{damaged, open_or_drop},
    disk::Inner,
    entry_dir::{BlobFile, EntryDir},
    scan::look_at,
    stream::{BlobReader, HEADER, PIECE, pieces, read_at},
};

pub(crate) fn contains(inner: &Inner, key: &Key) -> Result<bool> {
    let at = At { root: &inner.root, key, operation: "contains" };
    let found = look_at(at, |dir| Ok((!dir.stored()?.is_empty()).then_some(())))?;
    Ok(found.is_some())
}

pub(crate) fn get(
    inner: &Arc<Inner>,
    key: &Key,
    name: &BlobName,
    options: &GetOptions,
) -> Result<Option<Blob>> {
    let at = At { root: &inner.root, key, operation: "get" };
    let encoded = name.encoded();
    loop {
        let Some(dir) = open_or_drop(inner, at)? else { return Ok(None) };
        let file = match dir.open_blob(&encoded, at) {
            Ok(Some(file)) => file,
            // Not there, unless the directory was replaced and emptied under our hands.
            Ok(None) if dir.is_current(at.root, key, at.operation)? => return Ok(None),
            Ok(None) => continue,
            Err(error) => return Err(damaged(inner, at, &dir, error)),
        };
        if !options.quiet {
            inner.touch(key.view());
        }
        return match read_blob(inner, at, name, file, options) {
            Ok(found) => Ok(Some(found.into_blob(inner, key, &Arc::new(dir)))),
            Err(error) => Err(damaged(inner, at, &dir, error)),
        };
    }
}

pub(crate) fn get_entry(inner: &Arc<Inner>, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
    let at = At { root: &inner.root, key, operation: "get_entry" };
    loop {
        let Some(dir) = open_or_drop(inner, at)? else { return Ok(None) };
        let mut files = Vec::new();
        for (name, encoded) in dir.blob_names().map_err(|error| at.failed(error))? {
            match dir.open_blob(&encoded, at) {
                Ok(Some(file)) => files.push((name, file)),
                Ok(None) => {}
                Err(error) => return Err(damaged(inner, at, &dir, error)),
            }
        }
        let meta = dir.meta(at.root, key).map_err(|error| at.failed(error))?;
        // Only of a directory that is in place after all files were opened is none missing.
        if !dir.is_current(at.root, key, at.operation)? {
            continue;
        }
        let Some(meta) = meta else { return Ok(None) };
        if !options.quiet {
            inner.touch(key.view());
        }
        let whole_blobs = GetOptions::default().with_stream_above(options.stream_above);
        let mut found = Vec::new();
        for (name, file) in files {
            match read_blob(inner, at, &name, file, &whole_blobs) {
                Ok(read) => found.push((name, read)),
                Err(error) => return Err(damaged(inner, at, &dir, error)),
            }
        }
        // Each stream drops the entry by itself if it finds damage.
        let dir = Arc::new(dir);
        let blobs = found.into_iter().map(|(name, read)| (name, read.into_blob(inner, key, &dir)));
        return Ok(Some(EntryRead::new(meta, blobs.collect())));
    }
}

enum Found {
    InHand(Blob),
    Streamed { reader: BlobReader, range: Range<u64>, total: u64 },
}

impl Found {
    fn into_blob(self, inner: &Arc<Inner>, key: &Key, dir: &Arc<EntryDir>) -> Blob {
        match self {
            Self::InHand(blob) => blob,
            Self::Streamed { reader, range, total } => {
                let checksum = reader.checksum();
                let len = range.end - range.start;
                let stream = pieces(Arc::clone(inner), key.clone(), Arc::clone(dir), reader, range);
                Blob::from_stream(len, total, stream).with_checksum(checksum)
            }
        }
    }
}

fn read_blob(
    inner: &Inner,
    at: At<'_>,
    name: &BlobName,
    file: BlobFile,
    options: &GetOptions,
) -> Result<Found> {
    let Some(total) = Envelope::payload_len(file.len) else { return Err(of_no_length(&file, name, at)) };
    let whole = ByteRange::new(0, None)?;
    let asked = match inner.options.max_blob_bytes {
        Some(max) if total > max => {
            Err(at.too_large(format!("blob {name} has {total} bytes, the limit is {max}")))
        }
        _ => options.range.unwrap_or(whole).within(total).map_err(|error| at.named(error)),
    };
    let range = match asked {
        Ok(range) => range,
        // The file may only seem to have that length. Then damage is to blame, and not the caller.
        Err(error) => return BlobReader::open(file, total, name, at).and(Err(error)),
    };
    let len = range.end - range.start;
    let in_hand = len <= options.stream_above;
    if options.range.is_none() && in_hand && file.len <= PIECE {
        let sealed = read_at(&file.file, 0, file.len, at)?;
        let (payload, checksum) = Envelope::open(at.key, name, &sealed).map_err(|error| at.named(error))?;
        return Ok(Found::InHand(Blob::from_bytes(payload).with_checksum(checksum)));
    }
    let reader = BlobReader::open(file, total, name, at)?;
    if !in_hand {
        return Ok(Found::Streamed { reader, range, total });
    }
    let checksum = reader.checksum();
    Ok(Found::InHand(Blob::part(total, reader.read(range, at)?).with_checksum(checksum)))
}

/// Why a file has a length that no sealed blob has: it is damaged, unless a newer version wrote it.
fn of_no_length(file: &BlobFile, name: &BlobName, at: At<'_>) -> Error {
    let ends = read_at(&file.file, 0, HEADER, at).and_then(|header| {
        SealedIndex::read(at.key, name, &header, &Bytes::new()).map_err(|error| at.named(error))
    });
    match ends {
        Err(error) if error.kind() != ErrorKind::Corrupt => error,
        _ => at.corrupt("the file's length is not that of a sealed blob"),
    }
}
