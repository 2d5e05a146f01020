//! Reads: one version of an entry, verified before a byte is handed out.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use cache_core::{
    BLOCK_BYTES, Blob, BlobName, ByteRange, ByteStream, EntryMeta, EntryRead, Envelope, Error, ErrorKind,
    GetOptions, Key, Result, SealedIndex, Sealer,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    engine::Engine,
    fetch::{CHANGES, FIRST_READ, FOOTER_READ, INDEX_READ, Opened, Tail, Version},
    object::{IndexedBlob, footer_is_whole},
    verified::{Whose, verified},
};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// What is asked of one blob.
#[derive(Clone, Copy)]
struct Asked {
    range: Option<ByteRange>,
    stream_above: u64,
    /// Whether a stream that finds damage has the entry removed.
    heals: bool,
}

impl Asked {
    /// All of it, in hand.
    const WHOLE: Self = Self { range: None, stream_above: u64::MAX, heals: true };
}

/// What was found to be damaged.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    /// The object of this version.
    pub(crate) version: Version,
    /// In this range of this blob; `None` if it is the index.
    pub(crate) blob: Option<(BlobName, Range<u64>)>,
}

impl Engine {
    pub(crate) async fn contains(&self, key: &Key) -> Result<bool> {
        self.gate.check("contains")?;
        let tail = self.tail("contains", key, FOOTER_READ).await?;
        Ok(tail.is_some_and(|tail| footer_is_whole(&tail.bytes, tail.version.bytes)))
    }

    pub(crate) async fn meta(self: &Arc<Self>, key: &Key) -> Result<Option<EntryMeta>> {
        self.gate.check("meta")?;
        match self.opened("meta", key, INDEX_READ).await? {
            None => Ok(None),
            Some(Ok(opened)) => {
                Ok(Some(self.placed(opened.index.meta(key.clone(), opened.tail.version.bytes))))
            }
            // What nobody can read is not there.
            Some(Err((_, version))) => {
                self.counters.corrupt();
                self.forsake(key, Damage { version, blob: None }).await;
                Ok(None)
            }
        }
    }

    pub(crate) async fn read_blob(
        self: &Arc<Self>,
        key: &Key,
        name: &BlobName,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        self.gate.check("get")?;
        let asked = Asked { range: options.range, stream_above: options.stream_above, heals: true };
        for _ in 0..CHANGES {
            let Some(opened) = self.open_entry("get", key).await? else { return Ok(None) };
            let Some((blob, place)) = opened.index.find(name) else { return Ok(None) };
            let read = self.hand_out(key, &opened, blob, place, asked).await;
            if let Some(blob) = self.or_forsake(key, &opened, blob, read).await? {
                return Ok(Some(blob));
            }
        }
        Err(self.unsteady("get", key))
    }

    pub(crate) async fn read_entry(
        self: &Arc<Self>,
        key: &Key,
        options: &GetOptions,
    ) -> Result<Option<EntryRead>> {
        self.gate.check("get_entry")?;
        'changed: for _ in 0..CHANGES {
            let Some(opened) = self.open_entry("get_entry", key).await? else { return Ok(None) };
            let mut blobs = Vec::new();
            for (blob, place) in opened.index.places() {
                let is_near = opened.tail.start <= place.start;
                if !is_near && blob.bytes > options.stream_above {
                    self.check_len(blob)?;
                    blobs.push((blob.name.clone(), self.stream_later(key, &opened, blob, place)));
                    continue;
                }
                let read = self.hand_out(key, &opened, blob, place, Asked::WHOLE).await;
                let Some(read) = self.or_forsake(key, &opened, blob, read).await? else { continue 'changed };
                blobs.push((blob.name.clone(), read));
            }
            blobs.sort_by(|a, b| a.0.cmp(&b.0));
            let meta = opened.index.meta(key.clone(), opened.tail.version.bytes);
            return Ok(Some(EntryRead::new(self.placed(meta), blobs)));
        }
        Err(self.unsteady("get_entry", key))
    }

    /// The entry with what is read first; damage removes it.
    async fn open_entry(self: &Arc<Self>, operation: &'static str, key: &Key) -> Result<Option<Opened>> {
        match self.opened(operation, key, FIRST_READ).await? {
            None => Ok(None),
            Some(Ok(opened)) => Ok(Some(opened)),
            Some(Err((error, version))) => {
                self.forsake(key, Damage { version, blob: None }).await;
                Err(error)
            }
        }
    }

    async fn or_forsake<T>(
        self: &Arc<Self>,
        key: &Key,
        opened: &Opened,
        blob: &IndexedBlob,
        read: Result<T>,
    ) -> Result<T> {
        let read = read.map_err(|error| if error.store().is_empty() { error.at("s3", "get") } else { error });
        if let Err(error) = &read
            && error.kind() == ErrorKind::Corrupt
        {
            let damage = (blob.name.clone(), 0..blob.bytes);
            self.forsake(key, Damage { version: opened.tail.version.clone(), blob: Some(damage) }).await;
        }
        read.map_err(|error| error.with_key(key))
    }

    /// Whether what was found to be damaged is so when it is read again.
    pub(crate) async fn is_damaged(self: &Arc<Self>, key: &Key, damage: &Damage) -> bool {
        match self.opened("evict", key, INDEX_READ).await {
            Ok(Some(Err((_, version)))) => version.is(&damage.version),
            Ok(Some(Ok(opened))) if opened.tail.version.is(&damage.version) => {
                let Some((name, range)) = &damage.blob else { return false };
                let Some((blob, place)) = opened.index.find(name) else { return false };
                let Ok(range) = ByteRange::new(range.start, Some(range.end)) else { return false };
                // A stream may be of any length: it is read as it comes.
                let asked = Asked { range: Some(range), stream_above: BLOCK, heals: false };
                let mut read = match self.hand_out(key, &opened, blob, place, asked).await {
                    Ok(Some(blob)) => blob.into_stream(),
                    Ok(None) => return false,
                    Err(error) => return error.kind() == ErrorKind::Corrupt,
                };
                while let Some(piece) = read.next().await {
                    if let Err(error) = piece {
                        return error.kind() == ErrorKind::Corrupt;
                    }
                }
                false
            }
            _ => false,
        }
    }

    fn check_len(&self, blob: &IndexedBlob) -> Result<()> {
        match self.options.max_blob_bytes {
            Some(max) if blob.bytes > max => Err(Error::new(ErrorKind::TooLarge, "s3", "get")
                .with_detail(format!("blob {} has {} bytes, the limit is {max}", blob.name, blob.bytes))),
            _ => Ok(()),
        }
    }

    /// A blob of an entry as it was asked for; `None` if the entry is another one by now.
    async fn hand_out(
        self: &Arc<Self>,
        key: &Key,
        opened: &Opened,
        blob: &IndexedBlob,
        place: Range<u64>,
        asked: Asked,
    ) -> Result<Option<Blob>> {
        self.check_len(blob)?;
        let range = match asked.range {
            Some(range) => range.within(blob.bytes)?,
            None => 0..blob.bytes,
        };
        let payload = place.start + Envelope::HEADER_BYTES as u64;
        let end = payload + blob.bytes;
        // What is read whole comes in one request.
        let whole = if range == (0..blob.bytes) && blob.bytes <= asked.stream_above {
            let Some(bytes) = self.bytes("get", key, &opened.tail, payload..place.end).await? else {
                return Ok(None);
            };
            Some(Tail { version: opened.tail.version.clone(), start: payload, bytes })
        } else {
            None
        };
        let tail = whole.as_ref().unwrap_or(&opened.tail);
        let Some(trailer) = self.bytes("get", key, tail, end..place.end).await? else {
            return Ok(None);
        };
        // What the header says is known, and the index has vouched for it.
        let header = Sealer::new(key, &blob.name).header();
        let sums = SealedIndex::read(key, &blob.name, &header, &trailer)?;
        if sums.payload_len() != blob.bytes {
            return Err(Error::corrupt("the index tells another length than the blob"));
        }
        let checksum = sums.checksum();
        let first = range.start / BLOCK;
        let blocks = first * BLOCK..range.end.next_multiple_of(BLOCK).min(blob.bytes);
        let far = payload + blocks.start..payload + blocks.end;
        let len = range.end - range.start;
        if range.is_empty() {
            return Ok(Some(Blob::part(blob.bytes, Bytes::new()).with_checksum(checksum)));
        }
        if len > asked.stream_above && tail.slice(&far).is_none() {
            let Some(pieces) = self.range("get", key, tail, far).await? else { return Ok(None) };
            let (key, name, version) = (key.clone(), blob.name.clone(), opened.tail.version.clone());
            let whose = Whose { key, name, version, heals: asked.heals };
            let stream = verified(self, whose, sums, pieces, range, first);
            return Ok(Some(Blob::from_stream(len, blob.bytes, stream).with_checksum(checksum)));
        }
        let Some(run) = self.bytes("get", key, tail, far).await? else { return Ok(None) };
        sums.verify(first, &run)?;
        let skip = usize::try_from(range.start - blocks.start).unwrap_or(usize::MAX);
        let wanted = usize::try_from(len).ok().and_then(|len| skip.checked_add(len));
        let part = match wanted {
            Some(end) if end <= run.len() => run.slice(skip..end),
            _ => return Err(Error::corrupt("a blob is shorter than its sums")),
        };
        // Who keeps a little must not keep all that came with it.
        let part =
            if part.len() < opened.tail.bytes.len() / 2 { Bytes::copy_from_slice(&part) } else { part };
        Ok(Some(Blob::part(blob.bytes, part).with_checksum(checksum)))
    }

    /// A large blob of an entry, which is asked for when it is read.
    fn stream_later(
        self: &Arc<Self>,
        key: &Key,
        opened: &Opened,
        blob: &IndexedBlob,
        place: Range<u64>,
    ) -> Blob {
        let (engine, key, opened, blob) = (Arc::clone(self), key.clone(), opened.clone(), blob.clone());
        let bytes = blob.bytes;
        let opening = async move {
            engine.gate.check("get")?;
            let asked = Asked { range: None, stream_above: 0, heals: true };
            let read = engine.hand_out(&key, &opened, &blob, place, asked).await;
            if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                engine.counters.corrupt();
            }
            let replaced = || {
                Error::new(ErrorKind::Unavailable, "s3", "get")
                    .with_detail("the entry was replaced before this blob was read")
                    .with_key(&key)
            };
            let read = engine.or_forsake(&key, &opened, &blob, read).await?;
            Ok::<ByteStream, Error>(read.ok_or_else(replaced)?.into_stream())
        };
        Blob::from_stream(bytes, bytes, stream::once(opening).try_flatten().boxed())
    }
}
