//! Reads, each within one hop to a blocking thread unless it streams.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteRange, EntryRead, Envelope, Error, ErrorKind, GetOptions, Key, Result, slice_range,
};

use crate::{
    disk::Inner,
    entry_dir::{BlobFile, EntryDir},
    root::failed,
    stream::{BlobReader, drop_damaged, pieces, read_at},
};

pub(crate) fn contains(inner: &Inner, key: &Key) -> Result<bool> {
    match EntryDir::open(&inner.root, key, "contains") {
        Ok(Some(dir)) => {
            dir.blob_names().map(|names| !names.is_empty()).map_err(|error| failed("contains", key, error))
        }
        Ok(None) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn get(
    inner: &Arc<Inner>,
    key: &Key,
    name: &BlobName,
    options: &GetOptions,
) -> Result<Option<Blob>> {
    let encoded = name.encoded();
    loop {
        let Some(dir) = open_or_drop(inner, key, "get")? else { return Ok(None) };
        let file = match dir.open_blob(&encoded, key, "get") {
            Ok(Some(file)) => file,
            // Not there, unless the directory was replaced and emptied under our hands.
            Ok(None) if dir.is_current(&inner.root, key, "get")? => return Ok(None),
            Ok(None) => continue,
            Err(error) => return Err(damaged(inner, key, &dir, error)),
        };
        dir.touch(inner.clock.now());
        return match read_blob(inner, key, name, file, options) {
            Ok(blob) => Ok(Some(blob.into_blob(inner, dir))),
            Err(error) => Err(damaged(inner, key, &dir, error)),
        };
    }
}

pub(crate) fn get_entry(inner: &Arc<Inner>, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
    let fail = |error: rustix::io::Errno| failed("get_entry", key, error);
    loop {
        let Some(dir) = open_or_drop(inner, key, "get_entry")? else { return Ok(None) };
        let mut files = Vec::new();
        for (name, encoded) in dir.blob_names().map_err(fail)? {
            match dir.open_blob(&encoded, key, "get_entry") {
                Ok(Some(file)) => files.push((name, file)),
                Ok(None) => {}
                Err(error) => return Err(damaged(inner, key, &dir, error)),
            }
        }
        let meta = dir.meta(&inner.root, key).map_err(fail)?;
        // Only of a directory that is in place after all files were opened is none missing.
        if !dir.is_current(&inner.root, key, "get_entry")? {
            continue;
        }
        let Some(meta) = meta else { return Ok(None) };
        dir.touch(inner.clock.now());
        let whole_blobs = GetOptions::default().with_stream_above(options.stream_above);
        let mut blobs = Vec::new();
        for (name, file) in files {
            match read_blob(inner, key, &name, file, &whole_blobs) {
                Ok(read) => blobs.push((name, read)),
                Err(error) => return Err(damaged(inner, key, &dir, error)),
            }
        }
        let mut whole = Vec::with_capacity(blobs.len());
        for (name, read) in blobs {
            // Each stream drops the entry by itself if it finds damage.
            let blob = match read {
                Found::InHand(blob) => blob,
                streamed @ Found::Streamed { .. } => match EntryDir::open(&inner.root, key, "get_entry")? {
                    Some(again) if again.is(&dir) => streamed.into_blob(inner, again),
                    _ => return get_entry(inner, key, options),
                },
            };
            whole.push((name, blob));
        }
        return Ok(Some(EntryRead::new(meta, whole)));
    }
}

/// Opens an entry. What is no directory is dropped, and damage.
fn open_or_drop(inner: &Inner, key: &Key, operation: &'static str) -> Result<Option<EntryDir>> {
    let opened = EntryDir::open(&inner.root, key, operation);
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
        drop_damaged(inner, key, None);
    }
    opened
}

fn damaged(inner: &Inner, key: &Key, dir: &EntryDir, error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupt {
        drop_damaged(inner, key, Some(dir));
    }
    error
}

enum Found {
    InHand(Blob),
    Streamed { reader: BlobReader, range: std::ops::Range<u64>, total: u64 },
}

impl Found {
    fn into_blob(self, inner: &Arc<Inner>, dir: EntryDir) -> Blob {
        match self {
            Self::InHand(blob) => blob,
            Self::Streamed { reader, range, total } => {
                let checksum = reader.checksum();
                let len = range.end - range.start;
                Blob::from_stream(len, total, pieces(Arc::clone(inner), dir, reader, range))
                    .with_checksum(checksum)
            }
        }
    }
}

fn read_blob(
    inner: &Inner,
    key: &Key,
    name: &BlobName,
    file: BlobFile,
    options: &GetOptions,
) -> Result<Found> {
    let total = Envelope::payload_len(file.len).ok_or_else(|| {
        Error::corrupt("the file's length is not that of a sealed blob").at("disk", "get").with_key(key)
    })?;
    if let Some(max) = inner.options.max_blob_bytes
        && total > max
    {
        return Err(Error::new(ErrorKind::TooLarge, "disk", "get")
            .with_key(key)
            .with_detail(format!("blob {name} has {total} bytes, the limit is {max}")));
    }
    let whole = ByteRange::new(0, None)?;
    let range = options
        .range
        .unwrap_or(whole)
        .within(total)
        .map_err(|error| error.at("disk", "get").with_key(key))?;
    let len = range.end - range.start;
    if options.range.is_none() && len <= options.stream_above {
        let sealed: Bytes = read_at(&file.file, 0, file.len, key)?;
        let (payload, checksum) =
            Envelope::open(key, name, &sealed).map_err(|error| error.at("disk", "get").with_key(key))?;
        return Ok(Found::InHand(Blob::from_bytes(slice_range(&payload, None)?).with_checksum(checksum)));
    }
    let reader = BlobReader::open(file, total, key, name)?;
    if len <= options.stream_above {
        let checksum = reader.checksum();
        return Ok(Found::InHand(Blob::part(total, reader.read(range)?).with_checksum(checksum)));
    }
    Ok(Found::Streamed { reader, range, total })
}
