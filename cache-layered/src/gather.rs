//! Whether a put that streams is small enough to be held in hand.

use bytes::{Bytes, BytesMut};
use cache_core::{BlobName, ByteStream, PutBlob, PutEntry, Result};
use futures::{StreamExt, TryStreamExt, stream};

/// Reads streams into hand as long as all blobs together are not over `most` bytes. What is over it streams
/// on, from its beginning.
pub(crate) async fn gather(entry: PutEntry, most: u64, max_blob: Option<u64>) -> Result<PutEntry> {
    let known = entry.blobs().iter().filter_map(|(_, blob)| blob.known_len());
    let mut room = most.checked_sub(known.fold(0, u64::saturating_add));
    let mut gathered = PutEntry::default();
    for (name, blob) in entry.into_blobs() {
        gathered = match (blob, room) {
            (PutBlob::Stream { len, stream }, Some(left)) => {
                // A promised length has been counted.
                let left = left.saturating_add(len.unwrap_or(0));
                let checked = PutBlob::Stream { len, stream }.into_checked_stream(&name, max_blob);
                match read(checked, left).await? {
                    Read::Whole(bytes) => {
                        room = Some(left.saturating_sub(bytes.len() as u64));
                        gathered.with(name, bytes)
                    }
                    Read::Over(stream) => {
                        room = None;
                        with_stream(gathered, name, len, stream)
                    }
                }
            }
            (blob, _) => gathered.with_blob(name, blob),
        };
    }
    Ok(gathered)
}

fn with_stream(entry: PutEntry, name: BlobName, len: Option<u64>, stream: ByteStream) -> PutEntry {
    entry.with_blob(name, PutBlob::Stream { len, stream })
}

enum Read {
    Whole(Bytes),
    Over(ByteStream),
}

async fn read(mut stream: ByteStream, most: u64) -> Result<Read> {
    let (mut pieces, mut len) = (Vec::new(), 0_u64);
    while let Some(piece) = stream.try_next().await? {
        len = len.saturating_add(piece.len() as u64);
        pieces.push(piece);
        if len > most {
            return Ok(Read::Over(stream::iter(pieces.into_iter().map(Ok)).chain(stream).boxed()));
        }
    }
    if let [one] = pieces.as_slice() {
        return Ok(Read::Whole(one.clone()));
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    Ok(Read::Whole(whole.freeze()))
}
