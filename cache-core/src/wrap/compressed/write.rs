use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Compressed,
    pack::{store_bytes, store_stream},
};
use crate::{BlobName, ByteStream, Key, PutBlob, PutEntry, PutMode, PutOptions, PutOutcome, Result, Store};

/// How many bytes a blob has and in how many it is stored, when it is.
struct Tally {
    name: BlobName,
    ticket: u64,
    content: Arc<AtomicU64>,
    stored: Arc<AtomicU64>,
}

impl<S: Store> Compressed<S> {
    pub(super) async fn store(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        entry.check(self.info.max_blob_bytes)?;
        // A disabled cache does not read streams.
        if self.info.max_bytes == Some(0) {
            return self.inner.put(key, entry, options).await;
        }
        let streams = entry.blobs().iter().filter(|(_, blob)| matches!(blob, PutBlob::Stream { .. })).count();
        let (mut shrunk, mut tallies) = (PutEntry::default(), Vec::new());
        for (name, blob) in entry.into_blobs() {
            let (blob, content, stored) = self.shrink(&name, blob, streams == 1).await?;
            shrunk = shrunk.with_blob(name.clone(), blob);
            tallies.push(Tally { ticket: self.sizes.writing(key, &name), name, content, stored });
        }
        let mode = options.mode;
        let outcome = self.inner.put(key, shrunk, options).await;
        // What a fill has written of all this is not told.
        let written = mode != PutMode::Fill && outcome.as_ref().is_ok_and(PutOutcome::is_stored);
        for Tally { name, ticket, content, stored } in tallies {
            let size = written.then(|| (stored.load(Ordering::Relaxed), content.load(Ordering::Relaxed)));
            self.sizes.written(key, &name, ticket, size);
        }
        outcome
    }

    /// What is stored of a blob, and the counts of its bytes before and after. A stream is read for it
    /// only if it is the `only` one: others may have to be read before it.
    async fn shrink(
        &self,
        name: &BlobName,
        blob: PutBlob,
        only: bool,
    ) -> Result<(PutBlob, Arc<AtomicU64>, Arc<AtomicU64>)> {
        let options = self.options;
        let len = match blob {
            PutBlob::Bytes(bytes) => {
                let content = counting(bytes.len());
                let stored = store_bytes(bytes, options).await?;
                let count = counting(stored.len());
                return Ok((PutBlob::Bytes(stored), content, count));
            }
            PutBlob::Stream { len, .. } => len,
        };
        let (source, content) = tallied(blob.into_checked_stream(name, self.info.max_blob_bytes));
        let shrink = store_stream(len, source, options);
        let (len, stream) = if only {
            match shrink.await? {
                PutBlob::Bytes(bytes) => {
                    let count = counting(bytes.len());
                    return Ok((PutBlob::Bytes(bytes), content, count));
                }
                PutBlob::Stream { len, stream } => (len, stream),
            }
        } else {
            let later = async move {
                Ok(match shrink.await? {
                    PutBlob::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
                    PutBlob::Stream { stream, .. } => stream,
                })
            };
            (None, stream::once(later).try_flatten().boxed())
        };
        let (stream, stored) = tallied(stream);
        Ok((PutBlob::Stream { len, stream }, content, stored))
    }
}

fn counting(from: usize) -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(from as u64))
}

fn tallied(stream: ByteStream) -> (ByteStream, Arc<AtomicU64>) {
    let count = counting(0);
    let tally = Arc::clone(&count);
    let count_piece = move |piece: &bytes::Bytes| _ = tally.fetch_add(piece.len() as u64, Ordering::Relaxed);
    (stream.inspect_ok(count_piece).fuse().boxed(), count)
}
