use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::{Checksum, Error, ErrorKind, Result};

/// The bytes of a blob on their way: pieces in order, ended by the first error.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// What a read answers: bytes in hand, or a stream of verified pieces.
///
/// A stream that finds damage midway ends in [`Corrupt`](ErrorKind::Corrupt); no damaged piece
/// is ever handed out.
pub struct Blob {
    len: u64,
    total: u64,
    checksum: Option<Checksum>,
    body: Body,
}

enum Body {
    Bytes(Bytes),
    Stream(ByteStream),
}

impl Blob {
    /// A whole blob in hand.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self::part(bytes.len() as u64, bytes)
    }

    /// A range in hand, cut from a blob of `total` bytes.
    #[must_use]
    pub fn part(total: u64, bytes: Bytes) -> Self {
        Self { len: bytes.len() as u64, total, checksum: None, body: Body::Bytes(bytes) }
    }

    /// A stream of `len` bytes, cut from a blob of `total` bytes.
    #[must_use]
    pub fn from_stream(len: u64, total: u64, stream: ByteStream) -> Self {
        Self { len, total, checksum: None, body: Body::Stream(stream) }
    }

    /// Adds the checksum of the whole blob's content, where the store knows it.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// How many bytes this read answers.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether this read answers no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes the whole blob has, also when a range was asked for.
    #[must_use]
    pub fn total_len(&self) -> u64 {
        self.total
    }

    /// The checksum of the whole blob's content: what the store knows, or computed from a whole blob
    /// in hand. `None` for a range or a stream whose store does not know it.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        match (&self.checksum, &self.body) {
            (Some(checksum), _) => Some(*checksum),
            (None, Body::Bytes(bytes)) if self.len == self.total => Some(Checksum::of(bytes)),
            _ => None,
        }
    }

    /// The checksum that the store gave, without computing one.
    pub(crate) fn known_checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// The bytes, if they are in hand.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// The bytes as a stream; those in hand come in one piece.
    #[must_use]
    pub fn into_stream(self) -> ByteStream {
        match self.body {
            Body::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
            Body::Stream(stream) => stream,
        }
    }

    /// Has `tell` called if a stream ends in damage, so that it can be counted.
    #[must_use]
    pub fn on_damage(mut self, tell: impl Fn() + Send + 'static) -> Self {
        if let Body::Stream(stream) = self.body {
            let watched = stream.inspect_err(move |error| {
                if error.kind() == ErrorKind::Corrupt {
                    tell();
                }
            });
            self.body = Body::Stream(watched.boxed());
        }
        self
    }

    /// All bytes in hand, at most `cap` of them. Nothing is allocated by the length that a store
    /// claims.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond `cap`; else what ended the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what was collected.
    pub async fn collect(self, cap: u64) -> Result<Bytes> {
        match self.body {
            Body::Bytes(bytes) if bytes.len() as u64 <= cap => Ok(bytes),
            Body::Bytes(bytes) => Err(over_cap(bytes.len() as u64, cap)),
            Body::Stream(stream) => collect_capped(stream, cap).await,
        }
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("len", &self.len)
            .field("total", &self.total)
            .field("streamed", &matches!(self.body, Body::Stream(_)))
            .finish_non_exhaustive()
    }
}

fn over_cap(len: u64, cap: u64) -> Error {
    Error::new(ErrorKind::TooLarge, "", "")
        .with_detail(format!("{len} bytes or more where at most {cap} are allowed"))
}

/// Collects a stream, at most `cap` bytes of it; a claimed length is never trusted with an allocation.
///
/// # Errors
///
/// [`TooLarge`](ErrorKind::TooLarge) beyond `cap`; else what ended the stream.
///
/// # Cancel safety
///
/// Dropping the future drops what was collected.
pub async fn collect_capped(mut stream: ByteStream, cap: u64) -> Result<Bytes> {
    let Some(first) = stream.try_next().await? else { return Ok(Bytes::new()) };
    let mut collected = BytesMut::new();
    let mut only = Some(first);
    let mut len = only.as_ref().map_or(0, Bytes::len) as u64;
    while len <= cap {
        let Some(piece) = stream.try_next().await? else {
            return Ok(only.unwrap_or_else(|| collected.freeze()));
        };
        len += piece.len() as u64;
        if let Some(first) = only.take() {
            collected.extend_from_slice(&first);
        }
        collected.extend_from_slice(&piece);
    }
    Err(over_cap(len, cap))
}
