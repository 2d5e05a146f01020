//! What is read at the source, watched while the target takes it.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::progress::Progress;
use crate::{
    Blob, BlobName, ByteStream, Checksum, EntryRead, Error, PutBlob, PutEntry, Result, checksum::BlockSums,
};

/// The checksums of the blobs of an entry.
pub(super) type Sums = BTreeMap<BlobName, Checksum>;

/// What was read of an entry so far.
#[derive(Clone)]
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Seen {
    /// Of the blobs that were read to their ends.
    sums: Sums,
    bytes: u64,
    /// Why the source broke off.
    failure: Option<Error>,
}

impl Watch {
    pub(super) fn new(progress: &Arc<Progress>) -> Self {
        Self { seen: Arc::default(), progress: Arc::clone(progress) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same blobs to put. Streams of them end in an error if the source turns out to hand out other bytes than it
    /// tells.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it does so with bytes in hand.
    pub(super) fn over(&self, entry: EntryRead) -> Result<PutEntry> {
        let mut put = PutEntry::default();
        for (name, blob) in entry.blobs {
            let watched = self.blob(&name, blob)?;
            put = put.with_blob(name, watched);
        }
        Ok(put)
    }

    fn blob(&self, name: &BlobName, blob: Blob) -> Result<PutBlob> {
        let mut reading = Reading {
            watch: self.clone(),
            name: name.clone(),
            len: blob.total_len(),
            known: blob.known_checksum(),
            read: 0,
            sums: BlockSums::default(),
        };
        if let Some(bytes) = blob.bytes().cloned() {
            reading.piece(&bytes)?;
            reading.end()?;
            return Ok(PutBlob::Bytes(bytes));
        }
        let len = Some(blob.len());
        let stream = stream::unfold(Some((blob.into_stream(), reading)), |state| async move {
            let (mut stream, mut reading) = state?;
            match reading.next(&mut stream).await {
                Ok(Some(piece)) => Some((Ok(piece), Some((stream, reading)))),
                Ok(None) => None,
                Err(error) => {
                    reading.watch.seen().failure = Some(error.clone());
                    Some((Err(error), None))
                }
            }
        });
        Ok(PutBlob::Stream { len, stream: stream.fuse().boxed() })
    }

    /// Why the source broke off, if it did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.seen().failure.clone()
    }

    /// What was read to its end: the bytes, and the checksums.
    pub(super) fn finish(&self) -> (u64, Sums) {
        let mut seen = self.seen();
        (seen.bytes, mem::take(&mut seen.sums))
    }
}

/// One blob that is being read.
struct Reading {
    watch: Watch,
    name: BlobName,
    /// What the source tells of it.
    len: u64,
    known: Option<Checksum>,
    read: u64,
    sums: BlockSums,
}

impl Reading {
    async fn next(&mut self, stream: &mut ByteStream) -> Result<Option<Bytes>> {
        let piece = stream.try_next().await?;
        match &piece {
            Some(piece) => self.piece(piece)?,
            None => self.end()?,
        }
        Ok(piece)
    }

    fn piece(&mut self, piece: &[u8]) -> Result<()> {
        self.read = self.read.saturating_add(piece.len() as u64);
        if self.read > self.len {
            return Err(self.damaged("is longer than the source tells"));
        }
        self.sums.update(piece);
        self.watch.progress.bytes(piece.len() as u64);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.read < self.len {
            return Err(self.damaged("is shorter than the source tells"));
        }
        let sum = mem::take(&mut self.sums).finish().checksum();
        if self.known.is_some_and(|known| known != sum) {
            return Err(self.damaged("has another checksum than the source tells"));
        }
        let mut seen = self.watch.seen();
        seen.bytes = seen.bytes.saturating_add(self.read);
        seen.sums.insert(self.name.clone(), sum);
        Ok(())
    }

    fn damaged(&self, how: &str) -> Error {
        Error::corrupt(format!("blob {} {how}", self.name))
    }
}
