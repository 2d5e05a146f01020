//! A large blob that is handed out in pieces, each verified before it leaves.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use cache_core::{BLOCK_BYTES, BlockingTasks, ByteStream, Error, ErrorKind, Key, Result};
use futures::{StreamExt, stream};

use crate::{chunks::ChunkTable, contain::Fault, large_blob::LargeBlob, reading::Reading};

/// A piece is read in one hop to a blocking thread: 1 MiB.
pub(crate) const PIECE: u64 = 16 * BLOCK_BYTES as u64;

/// What a stream asks of its store while it goes on.
pub(crate) trait StreamSource: Send + Sync + 'static {
    type Snapshot: ChunkSnapshot;

    /// The newest snapshot.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the store was closed.
    fn snapshot(&self) -> Result<Arc<Self::Snapshot>>;

    /// Where reads may block.
    fn tasks(&self) -> &BlockingTasks;

    /// A blob of `key` is damaged: counts that, and drops the entry if it still is the one whose chunks have this
    /// id. Runs where it may block, and is not awaited.
    fn damaged(&self, key: &Key, id: u64);

    /// The database failed under a read of a snapshot of this generation.
    fn failed(&self, generation: u64, fault: &Fault);
}

/// A snapshot of the database, as streams see it.
pub(crate) trait ChunkSnapshot: Send + Sync + 'static {
    /// Another one for each time that the database was opened or replaced.
    fn generation(&self) -> u64;

    fn chunks(&self) -> &ChunkTable;
}

/// A large blob that is being streamed.
struct Open {
    key: Key,
    blob: LargeBlob,
    generation: u64,
    _reading: Reading,
}

/// Streams a range of a blob, 1 MiB at a time, each piece from the newest snapshot: an idle stream pins none. It goes
/// on with the version that it began with, for `reading` keeps its chunks. Damage ends it in
/// [`Corrupt`](ErrorKind::Corrupt) and drops the entry; it ends as [`Unavailable`](ErrorKind::Unavailable) if the
/// database was opened again meanwhile or replaced, for that has not to have those chunks.
pub(crate) fn pieces<S: StreamSource>(
    source: Arc<S>,
    key: Key,
    blob: LargeBlob,
    generation: u64,
    reading: Reading,
    range: Range<u64>,
) -> ByteStream {
    let open = Arc::new(Open { key, blob, generation, _reading: reading });
    let state = Some((open, range));
    stream::unfold(state, move |state| {
        let source = Arc::clone(&source);
        async move {
            let (open, range) = state?;
            if range.is_empty() {
                return None;
            }
            let end = ((range.start / PIECE + 1) * PIECE).min(range.end);
            let piece = range.start..end;
            let (from, blob) = (Arc::clone(&source), Arc::clone(&open));
            let read = source.tasks().run("get", move || read_piece(&*from, &blob, piece)).await;
            match read {
                Ok(bytes) => Some((Ok(bytes), Some((open, end..range.end)))),
                Err(error) => Some((Err(error), None)),
            }
        }
    })
    .fuse()
    .boxed()
}

fn read_piece<S: StreamSource>(source: &S, open: &Open, piece: Range<u64>) -> Result<Bytes> {
    let mut snapshot = current(source, open)?;
    loop {
        let fault = match open.blob.read(snapshot.chunks(), piece.clone()) {
            Ok(Ok(bytes)) => return Ok(bytes),
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Corrupt {
                    source.damaged(&open.key, open.blob.id());
                }
                return Err(error.with_key(&open.key));
            }
            Err(fault) => fault,
        };
        // Who closed or replaced the database meanwhile is to blame.
        let newer = current(source, open)?;
        let is_closed = matches!(&fault, Fault::Refused(error) if error.kind() == ErrorKind::Closed);
        if is_closed && !Arc::ptr_eq(&newer, &snapshot) {
            // It was written anew under this read, and has the same chunks.
            snapshot = newer;
            continue;
        }
        source.failed(open.generation, &fault);
        return Err(fault.error().clone().with_key(&open.key));
    }
}

/// The newest snapshot, if it is of the database that the stream began with.
fn current<S: StreamSource>(source: &S, open: &Open) -> Result<Arc<S::Snapshot>> {
    let snapshot = source.snapshot()?;
    if snapshot.generation() != open.generation {
        return Err(Error::new(ErrorKind::Unavailable, "", "")
            .with_detail("the database was opened again during the read")
            .with_key(&open.key));
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests;
