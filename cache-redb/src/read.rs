//! Reads: each of one snapshot, and verified before a byte leaves.

use std::{future::ready, ops::Range, sync::Arc};

use bytes::Bytes;
use cache_core::{Blob, BlobName, EntryRead, Error, ErrorKind, GetOptions, Key, KeyView, Result};

use crate::{
    engine::{Look, Steady},
    large_blob::LargeBlob,
    lookup::{Found, FoundEntry, Wrong, look_at, look_at_entry, look_through},
    queue::{Only, Op},
    reading::Reading,
    redb_store::RedbStore,
    rows::{EntryRow, RowKey},
    snapshot::Snapshot,
    stream::pieces,
};

/// An entry of more bytes than this, 1 MiB, is copied where it holds up no other tasks.
const MOST: u64 = 1 << 20;

impl RedbStore {
    /// A blob that is at hand, and small.
    pub(crate) fn get_inline(&self, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        let engine = self.engine();
        if engine.medium.is_cold() {
            return None;
        }
        let owned = key.to_key();
        match engine.look(|snapshot| look_at(engine, snapshot, &owned, name, None)) {
            Ok(Found::InHand(found)) => {
                engine.touch(key);
                Some(found.bytes)
            }
            _ => None,
        }
    }

    pub(crate) async fn read_blob(
        &self,
        key: &Key,
        name: &BlobName,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        let engine = self.engine();
        let found = if engine.medium.is_cold() {
            let (of, key, name, range) = (Arc::clone(engine), key.clone(), name.clone(), options.range);
            engine.read_blocking("get", move |snapshot| look_at(&of, snapshot, &key, &name, range)).await?
        } else {
            engine.read("get", |snapshot| look_at(engine, snapshot, key, name, options.range)).await?
        };
        let read = match found {
            Found::Large { range, .. } if range.end - range.start <= options.stream_above => {
                self.collect(key, name, options).await?
            }
            Found::Large { .. } => self.stream(key, name, options).await?,
            found => self.answer(key, "get", found, options).await?,
        };
        if read.is_some() && !options.quiet {
            engine.touch(key.view());
        }
        Ok(read)
    }

    /// What was found, if it is in hand.
    async fn answer(
        &self,
        key: &Key,
        operation: &'static str,
        found: Found,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        match found {
            Found::Absent | Found::Large { .. } => Ok(None),
            Found::InHand(found) => Ok(Some(found.into_blob(options))),
            Found::Wrong(wrong) => Err(self.drop_damaged(key, operation, wrong).await),
        }
    }

    /// Reads a large blob, or a part of one, where that holds up nobody.
    async fn collect(&self, key: &Key, name: &BlobName, options: &GetOptions) -> Result<Option<Blob>> {
        let engine = self.engine();
        let (of, asked, named, range) = (Arc::clone(engine), key.clone(), name.clone(), options.range);
        let look = move |snapshot: &Snapshot| look_through(&of, snapshot, &asked, &named, range);
        let found = engine.read_blocking("get", look).await?;
        self.answer(key, "get", found, options).await
    }

    async fn stream(&self, key: &Key, name: &BlobName, options: &GetOptions) -> Result<Option<Blob>> {
        let engine = self.engine();
        let look = || {
            let found = engine.look(|snapshot| look_at(engine, snapshot, key, name, options.range))?;
            let ids = if let Found::Large { blob, .. } = &found { vec![blob.id()] } else { Vec::new() };
            Ok::<_, Look>(Some((ids, found)))
        };
        let held = engine.settled("get", || ready(Ok(engine.readings.hold(look)))).await?;
        let Some((mut held, found)) = held else { return Ok(None) };
        match (found, held.pop()) {
            (Found::Large { blob, range, generation }, Some(reading)) => {
                Ok(Some(self.pieces(key, blob, range, generation, reading)))
            }
            (found, _) => self.answer(key, "get", found, options).await,
        }
    }

    fn pieces(
        &self,
        key: &Key,
        blob: LargeBlob,
        range: Range<u64>,
        generation: u64,
        reading: Reading,
    ) -> Blob {
        let (len, total, checksum) = (range.end - range.start, blob.len(), blob.checksum());
        let stream = pieces(self.link(), key.clone(), blob, generation, reading, range);
        Blob::from_stream(len, total, stream).with_checksum(checksum)
    }

    pub(crate) async fn read_entry(&self, key: &Key, options: &GetOptions) -> Result<Option<EntryRead>> {
        let engine = self.engine();
        let options = options.clone().whole();
        let (of, asked, stream_above) = (Arc::clone(engine), key.clone(), options.stream_above);
        let look = move |snapshot: &Snapshot, steady: Steady<'_>| {
            look_at_entry(&of, snapshot, steady, &asked, stream_above)
        };
        // Streams begin while nothing of the entry is swept: so it is looked at again once its chunks are held.
        let mut held: Vec<Reading> = Vec::new();
        let mut ids: Vec<u64> = Vec::new();
        let is_little = !engine.medium.is_cold() && self.is_little(key);
        loop {
            let found = engine.read_steady("get_entry", is_little, look.clone()).await?;
            let (meta, found) = match found {
                FoundEntry::Absent => return Ok(None),
                FoundEntry::Wrong(wrong) => return Err(self.drop_damaged(key, "get_entry", wrong).await),
                FoundEntry::Whole { meta, blobs } => (meta, blobs),
            };
            let large: Vec<u64> = found.iter().filter_map(|(_, found)| found.id()).collect();
            if large != ids {
                held = large.iter().map(|id| engine.readings.begin(*id)).collect();
                ids = large;
                continue;
            }
            let mut held = held.into_iter();
            let mut blobs = Vec::new();
            for (name, found) in found {
                let blob = match (found, &mut held) {
                    (Found::Large { blob, range, generation }, held) => {
                        held.next().map(|reading| self.pieces(key, blob, range, generation, reading))
                    }
                    (found, _) => self.answer(key, "get_entry", found, &options).await?,
                };
                blobs.extend(blob.map(|blob| (name, blob)));
            }
            if !options.quiet {
                engine.touch(key.view());
            }
            return Ok(Some(EntryRead::new(meta, blobs)));
        }
    }

    /// Whether an entry is read in no time, as far as its row tells.
    fn is_little(&self, key: &Key) -> bool {
        let row_key = RowKey::entry(key.view());
        let look = |snapshot: &Snapshot| {
            let row = snapshot.entries.get(row_key.as_bytes())?;
            Ok(row.and_then(|row| EntryRow::decode(row_key.as_bytes(), row.value())))
        };
        let is_little =
            |row: &EntryRow| row.bytes() <= MOST && row.blobs.iter().all(|blob| blob.id.is_none());
        self.engine().look(look).is_ok_and(|row| row.as_ref().is_none_or(is_little))
    }

    /// Drops an entry that was found damaged, if nobody else did or put another one there, and tells the damage.
    async fn drop_damaged(&self, key: &Key, operation: &'static str, wrong: Wrong) -> Error {
        let engine = self.engine();
        if wrong.error.kind() == ErrorKind::Corrupt && !engine.options.read_only {
            let only = wrong.version.map_or(Only::Unreadable, Only::Version);
            let key = key.clone();
            // If it cannot be dropped it is found again.
            _ = engine.ask(operation, |reply| Op::Remove { key, only, reply }).await;
        }
        wrong.error.at("redb", operation)
    }
}
