//! From content to what is stored.

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::{
    CompressOptions,
    feed::Feed,
    format::{Algorithm, CHUNK_BYTES, ChunkHead, Ends, Header, Told, is_alike},
    hop::hop,
};
use crate::{ByteStream, Checksum, Error, ErrorKind, PutBlob, Result, checksum::BlockSums};

/// What is stored of content in hand: itself, unless a frame saves enough or has to be.
pub(super) async fn store_bytes(content: Bytes, options: CompressOptions) -> Result<Bytes> {
    let must = is_alike(&content);
    if content.len() < options.min_bytes && !must {
        return Ok(content);
    }
    let short = content.len() <= options.inline_bytes();
    hop(short, move || {
        if content.len() >= options.min_bytes
            && let Some(frame) = compress(&content, options.level)?
        {
            return Ok(frame.into());
        }
        if must { Ok(frame(Algorithm::Stored, 0, &content)?.into()) } else { Ok(content) }
    })
    .await
}

/// What is stored of a stream, which is asked for what decides: at most a chunk.
pub(super) async fn store_stream(
    len: Option<u64>,
    stream: ByteStream,
    options: CompressOptions,
) -> Result<PutBlob> {
    let mut feed = Feed::new(stream);
    let start = Bytes::copy_from_slice(feed.peek(CHUNK_BYTES + 1).await?);
    if start.len() <= CHUNK_BYTES {
        return Ok(PutBlob::Bytes(store_bytes(start, options).await?));
    }
    let (must, level) = (is_alike(&start), options.level);
    let pays = hop(false, move || Ok(compress(start.get(..CHUNK_BYTES).unwrap_or(&[]), level)?.is_some()));
    let algorithm = match (pays.await?, must) {
        (true, _) => Algorithm::Zstd,
        (false, true) => Algorithm::Stored,
        (false, false) => return Ok(PutBlob::Stream { len, stream: feed.into_stream() }),
    };
    Ok(PutBlob::Stream { len: None, stream: open_frame(feed, algorithm, options) })
}

fn pays(stored: usize, len: usize) -> bool {
    stored <= len - len.div_ceil(16)
}

/// A frame that is smaller enough than its content.
fn compress(content: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    // The first chunk stands for all.
    if let Some(first) = content.get(..CHUNK_BYTES)
        && content.len() > CHUNK_BYTES
        && !pays(pack(Algorithm::Zstd, level, 0, first)?.len(), CHUNK_BYTES)
    {
        return Ok(None);
    }
    let frame = frame(Algorithm::Zstd, level, content)?;
    Ok(pays(frame.len(), content.len()).then_some(frame))
}

fn frame(algorithm: Algorithm, level: i32, content: &[u8]) -> Result<Vec<u8>> {
    let told = Told { len: content.len() as u64, checksum: Checksum::of(content) };
    let mut frame = Header { algorithm, ends: Ends::Closed(told) }.to_bytes().to_vec();
    for (number, chunk) in (0..).zip(content.chunks(CHUNK_BYTES)) {
        frame.extend_from_slice(&pack(algorithm, level, number, chunk)?);
    }
    Ok(frame)
}

/// One chunk with its head.
fn pack(algorithm: Algorithm, level: i32, number: u64, content: &[u8]) -> Result<Vec<u8>> {
    let failed = |detail: &'static str| Error::new(ErrorKind::Internal, "", "").with_detail(detail);
    let compressed = match algorithm {
        Algorithm::Stored => None,
        Algorithm::Zstd => Some(
            zstd::bulk::compress(content, level)
                .map_err(|error| failed("zstd cannot compress").with_source(error))?,
        ),
    };
    let packed = compressed.as_deref().filter(|packed| packed.len() < content.len()).unwrap_or(content);
    let head = ChunkHead::of(number, content.len(), packed).ok_or_else(|| failed("a chunk is too large"))?;
    let mut chunk = head.to_bytes().to_vec();
    chunk.extend_from_slice(packed);
    Ok(chunk)
}

enum Next {
    Header,
    Chunk(u64),
    End,
}

fn open_frame(feed: Feed, algorithm: Algorithm, options: CompressOptions) -> ByteStream {
    let header = Header { algorithm, ends: Ends::Open(fastrand::u128(..).to_le_bytes()) };
    let state = (feed, Next::Header, BlockSums::default());
    stream::try_unfold(state, move |(mut feed, next, mut sums)| async move {
        let number = match next {
            Next::Header => {
                let piece = Bytes::copy_from_slice(&header.to_bytes());
                return Ok(Some((piece, (feed, Next::Chunk(0), sums))));
            }
            Next::Chunk(number) => number,
            Next::End => return Ok(None),
        };
        let content = feed.take(CHUNK_BYTES).await?;
        if content.is_empty() {
            let table = sums.finish();
            let told = Told { len: table.len, checksum: table.checksum() };
            let piece = Bytes::copy_from_slice(&header.footer(told));
            return Ok(Some((piece, (feed, Next::End, BlockSums::default()))));
        }
        let short = content.len() <= options.inline_bytes();
        let (piece, sums) = hop(short, move || {
            sums.update(&content);
            Ok((Bytes::from(pack(algorithm, options.level, number, &content)?), sums))
        })
        .await?;
        Ok(Some((piece, (feed, Next::Chunk(number + 1), sums))))
    })
    .boxed()
}
