//! Streams with something done to them.

use bytes::Bytes;
use cache_core::{Blob, ByteStream, PutBlob, PutEntry};
use futures::{StreamExt, stream};

/// The same blob with other bytes. The lengths of a stream and the checksum are told as before.
pub(crate) fn rewrite(
    blob: Blob,
    in_hand: impl FnOnce(&Bytes) -> Bytes,
    streamed: impl FnOnce(ByteStream) -> ByteStream,
) -> Blob {
    let (len, total, checksum) = (blob.len(), blob.total_len(), blob.checksum());
    let rewritten = match blob.bytes() {
        Some(bytes) => Blob::part(total, in_hand(bytes)),
        None => Blob::from_stream(len, total, streamed(blob.into_stream())),
    };
    match checksum {
        Some(checksum) => rewritten.with_checksum(checksum),
        None => rewritten,
    }
}

/// The same blob with another stream; one in hand stays as it is.
pub(crate) fn restream(blob: Blob, change: impl FnOnce(ByteStream) -> ByteStream) -> Blob {
    if blob.bytes().is_some() { blob } else { rewrite(blob, Bytes::clone, change) }
}

/// The same entry with other streams; blobs in hand stay as they are.
pub(crate) fn restream_put(entry: PutEntry, change: impl Fn(ByteStream) -> ByteStream) -> PutEntry {
    entry.into_blobs().into_iter().fold(PutEntry::default(), |entry, (name, blob)| {
        let blob = match blob {
            PutBlob::Stream { len, stream } => PutBlob::Stream { len, stream: change(stream) },
            in_hand @ PutBlob::Bytes(_) => in_hand,
        };
        entry.with_blob(name, blob)
    })
}

/// The first so many bytes, if there are as many.
pub(crate) fn first(bytes: &Bytes, count: u64) -> Bytes {
    bytes.slice(..usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len()))
}

/// The first so many bytes of a stream, which is not asked for more.
pub(crate) fn first_of_stream(stream: ByteStream, count: u64) -> ByteStream {
    stream::unfold((stream, count), |(mut stream, left)| async move {
        if left == 0 {
            return None;
        }
        let piece = stream.next().await?.map(|piece| first(&piece, left));
        let left = piece.as_ref().map_or(0, |piece| left - piece.len() as u64);
        Some((piece, (stream, left)))
    })
    .fuse()
    .boxed()
}
