//! Content against the SHA-256 that names it.

use std::future::Future;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::task::yield_now;

use crate::{ByteStream, Digest, DigestWriter, Error, ErrorKind, Key};

/// After so many bytes others have their turn on the thread.
const TURN_BYTES: usize = 256 << 10;

pub(super) async fn digest_of(bytes: &[u8]) -> Digest {
    let mut writer = DigestWriter::default();
    let mut parts = bytes.chunks(TURN_BYTES).peekable();
    while let Some(part) = parts.next() {
        writer.update(part);
        if parts.peek().is_some() {
            yield_now().await;
        }
    }
    writer.finish()
}

pub(super) fn mismatch(kind: ErrorKind, found: Digest, key: &Key) -> Error {
    let detail = format!("the content's SHA-256 is {found}, its name says {}", key.digest);
    Error::new(kind, "", "").with_detail(detail).with_key(key)
}

/// Passes a stream on and holds its last piece back until the SHA-256 of all is known to be `digest`.
/// Otherwise the stream ends in what `refuse` says instead of that piece.
pub(super) fn guard<F>(
    stream: ByteStream,
    digest: Digest,
    refuse: impl FnOnce(Digest) -> F + Send + 'static,
) -> ByteStream
where
    F: Future<Output = Error> + Send,
{
    let start = Some((stream, DigestWriter::default(), None::<Bytes>, refuse));
    stream::unfold(start, move |state| async move {
        let (mut stream, mut writer, mut held, refuse) = state?;
        loop {
            match stream.next().await {
                // An empty piece must not push out the last one that has bytes.
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    writer.update(&piece);
                    if let Some(before) = held.replace(piece) {
                        return Some((Ok(before), Some((stream, writer, held, refuse))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    let found = writer.finish();
                    if found == digest {
                        return held.map(|last| (Ok(last), None));
                    }
                    return Some((Err(refuse(found).await), None));
                }
            }
        }
    })
    .fuse()
    .boxed()
}
