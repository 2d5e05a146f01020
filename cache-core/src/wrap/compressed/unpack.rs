//! From what is stored to content.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::{
    feed::Feed,
    format::{
        Algorithm, CHUNK_BYTES, CHUNK_HEAD_BYTES, ChunkHead, Ends, FOOTER_BYTES, HEADER_BYTES, Header, Told,
    },
    hop::hop,
};
use crate::{ByteStream, Error, Result, checksum::BlockSums};

/// Content is handed out in pieces of this size at most.
const PIECE_BYTES: usize = 128 << 10;
/// So many bytes are decompressed inline.
pub(super) const INLINE_BYTES: usize = 64 << 10;

fn damaged() -> Error {
    Error::corrupt("a compressed blob is damaged")
}

/// What a whole frame in hand tells of its content.
pub(super) fn told_in(header: Header, frame: &[u8]) -> Result<Told> {
    match header.ends {
        Ends::Closed(told) => Ok(told),
        Ends::Open(_) => frame
            .len()
            .checked_sub(FOOTER_BYTES)
            .and_then(|at| frame.get(at..))
            .and_then(|footer| header.read_footer(footer))
            .ok_or_else(damaged),
    }
}

/// The content of a whole frame in hand, of the length that it tells; nothing is allocated by that.
pub(super) fn unpack(header: Header, told: Told, frame: &[u8]) -> Result<Vec<u8>> {
    let mut unpacker = Unpacker::new(header, told);
    let mut rest = frame.get(HEADER_BYTES..).ok_or_else(damaged)?;
    let mut content = Vec::new();
    while unpacker.left > 0 {
        let (head, behind) = rest.split_at_checked(CHUNK_HEAD_BYTES).ok_or_else(damaged)?;
        let head = unpacker.head(head)?;
        let (packed, behind) = behind.split_at_checked(head.packed).ok_or_else(damaged)?;
        unpacker.chunk(head, packed, &mut content)?;
        rest = behind;
    }
    unpacker.end(rest)?;
    Ok(content)
}

/// The content of a frame whose header was taken from `feed`. A piece is handed out when it is verified,
/// the last chunk when everything is.
pub(super) fn unpack_stream(header: Header, told: Told, feed: Feed) -> ByteStream {
    let state = (feed, Unpacker::new(header, told), Bytes::new());
    stream::try_unfold(state, |(mut feed, mut unpacker, mut ready)| async move {
        if ready.is_empty() {
            if unpacker.left == 0 {
                return Ok(None);
            }
            let head = unpacker.head(&feed.take(CHUNK_HEAD_BYTES).await?)?;
            let packed = feed.take(head.packed).await?;
            let short = head.len <= INLINE_BYTES;
            (unpacker, ready) = hop(short, move || {
                let mut content = Vec::new();
                unpacker.chunk(head, &packed, &mut content)?;
                Ok((unpacker, content.into()))
            })
            .await?;
            if unpacker.left == 0 {
                unpacker.end(&feed.take(FOOTER_BYTES + 1).await?)?;
            }
        }
        let piece = ready.split_to(ready.len().min(PIECE_BYTES));
        Ok(Some((piece, (feed, unpacker, ready))))
    })
    .boxed()
}

struct Unpacker {
    header: Header,
    told: Told,
    left: u64,
    number: u64,
    sums: BlockSums,
}

impl Unpacker {
    fn new(header: Header, told: Told) -> Self {
        Self { header, told, left: told.len, number: 0, sums: BlockSums::default() }
    }

    /// The head of the next chunk, which has all of a chunk or all that is left.
    fn head(&self, head: &[u8]) -> Result<ChunkHead> {
        let expected = usize::try_from(self.left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        ChunkHead::read(head)
            .filter(|head| head.len == expected && head.packed <= head.len)
            .ok_or_else(damaged)
    }

    fn chunk(&mut self, head: ChunkHead, packed: &[u8], content: &mut Vec<u8>) -> Result<()> {
        if !head.fits(self.number, packed) {
            return Err(damaged());
        }
        if head.packed == head.len {
            self.sums.update(packed);
            content.extend_from_slice(packed);
        } else if self.header.algorithm == Algorithm::Zstd {
            // No window is allocated by what the bytes say: the output is the window.
            let chunk =
                zstd::bulk::decompress(packed, head.len).map_err(|error| damaged().with_source(error))?;
            if chunk.len() != head.len {
                return Err(damaged());
            }
            self.sums.update(&chunk);
            content.extend_from_slice(&chunk);
        } else {
            return Err(damaged());
        }
        self.left = self.left.saturating_sub(head.len as u64);
        self.number += 1;
        Ok(())
    }

    /// What stands behind the last chunk: the footer, or nothing.
    fn end(&mut self, behind: &[u8]) -> Result<()> {
        let ends = match self.header.ends {
            Ends::Closed(_) => behind.is_empty(),
            Ends::Open(_) => self.header.read_footer(behind) == Some(self.told),
        };
        let sums = std::mem::take(&mut self.sums).finish();
        if ends && sums.checksum() == self.told.checksum { Ok(()) } else { Err(damaged()) }
    }
}
