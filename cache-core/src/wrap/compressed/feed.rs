use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{ByteStream, Result};

/// A stream of which so many bytes can be asked for.
pub(super) struct Feed {
    stream: ByteStream,
    ready: BytesMut,
    /// What is left of a piece, so that a large one is not copied as a whole.
    rest: Bytes,
}

impl Feed {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream, ready: BytesMut::new(), rest: Bytes::new() }
    }

    /// The next bytes without taking them: `len`, or all there are.
    pub(super) async fn peek(&mut self, len: usize) -> Result<&[u8]> {
        while self.ready.len() < len {
            if self.rest.is_empty() {
                match self.stream.try_next().await? {
                    Some(piece) => self.rest = piece,
                    None => break,
                }
            }
            let part = self.rest.len().min(len - self.ready.len());
            self.ready.extend_from_slice(&self.rest.split_to(part));
        }
        Ok(self.ready.get(..len).unwrap_or(&self.ready))
    }

    /// The next bytes: `len`, or all there are.
    pub(super) async fn take(&mut self, len: usize) -> Result<Bytes> {
        let len = self.peek(len).await?.len();
        Ok(self.ready.split_to(len).freeze())
    }

    /// What was not taken.
    pub(super) fn into_stream(self) -> ByteStream {
        let read = [self.ready.freeze(), self.rest].into_iter().filter(|piece| !piece.is_empty());
        stream::iter(read.map(Ok)).chain(self.stream).boxed()
    }
}

/// The bytes of `range`; what is behind it is not read.
pub(super) fn cut(stream: ByteStream, range: Range<u64>) -> ByteStream {
    let state = (stream, range.start, range.end - range.start);
    stream::try_unfold(state, |(mut stream, mut skip, mut left)| async move {
        while left > 0 {
            let Some(mut piece) = stream.try_next().await? else { return Ok(None) };
            let skipped = usize::try_from(skip).map_or(piece.len(), |skip| skip.min(piece.len()));
            skip -= skipped as u64;
            drop(piece.split_to(skipped));
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some((piece, (stream, skip, left))));
            }
        }
        Ok(None)
    })
    .boxed()
}
