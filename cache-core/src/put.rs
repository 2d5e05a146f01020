use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{BlobName, ByteStream, Error, ErrorKind, Refusal, Result, collect_capped};

/// What one put writes: one or more named blobs, which become visible together.
///
/// ```
/// use cache_core::{BlobName, PutEntry};
///
/// let entry = PutEntry::data("object code").with(BlobName::new("stderr")?, "warning: unused");
/// assert_eq!(entry.known_bytes(), Some(26));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PutEntry {
    blobs: Vec<(BlobName, PutBlob)>,
}

/// The bytes of one blob to write.
pub enum PutBlob {
    /// Bytes in hand.
    Bytes(Bytes),
    /// A stream that can be read once. If it ends in an error, nothing becomes visible.
    Stream {
        /// The length, if it is known beforehand. A stream of another length is an error.
        len: Option<u64>,
        /// The bytes.
        stream: ByteStream,
    },
}

impl PutEntry {
    /// One blob in hand under the name `data`.
    #[must_use]
    pub fn data(bytes: impl Into<Bytes>) -> Self {
        Self::default().with(BlobName::DATA, bytes)
    }

    /// Adds a blob that is in hand.
    #[must_use]
    pub fn with(mut self, name: BlobName, bytes: impl Into<Bytes>) -> Self {
        self.blobs.push((name, PutBlob::Bytes(bytes.into())));
        self
    }

    /// Adds a blob that streams in; `len` is its length, if it is known.
    #[must_use]
    pub fn with_stream(mut self, name: BlobName, len: Option<u64>, stream: ByteStream) -> Self {
        self.blobs.push((name, PutBlob::Stream { len, stream }));
        self
    }

    /// Adds a blob.
    #[must_use]
    pub fn with_blob(mut self, name: BlobName, blob: PutBlob) -> Self {
        self.blobs.push((name, blob));
        self
    }

    /// The blobs in the order in which they were added, which is the order in which stores read them.
    #[must_use]
    pub fn into_blobs(self) -> Vec<(BlobName, PutBlob)> {
        self.blobs
    }

    /// The blobs in the order in which they were added.
    #[must_use]
    pub fn blobs(&self) -> &[(BlobName, PutBlob)] {
        &self.blobs
    }

    /// A blob whose bytes are in hand.
    pub(crate) fn in_hand(&self, name: &BlobName) -> Option<&Bytes> {
        self.blobs.iter().find_map(|(other, blob)| match blob {
            PutBlob::Bytes(bytes) if other == name => Some(bytes),
            _ => None,
        })
    }

    /// The sum of all lengths, if all are known.
    #[must_use]
    pub fn known_bytes(&self) -> Option<u64> {
        self.blobs
            .iter()
            .map(|(_, blob)| blob.known_len())
            .try_fold(0_u64, |sum, len| Some(sum.saturating_add(len?)))
    }

    /// The same entry, and a count of the bytes that were read from it: those in hand at once, those of
    /// streams as they pass.
    #[must_use]
    pub fn counted(self) -> (Self, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = |(name, blob)| match blob {
            PutBlob::Bytes(bytes) => {
                count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                (name, PutBlob::Bytes(bytes))
            }
            PutBlob::Stream { len, stream } => {
                let count = Arc::clone(&count);
                let stream = stream
                    .inspect_ok(move |piece| _ = count.fetch_add(piece.len() as u64, Ordering::Relaxed))
                    .boxed();
                (name, PutBlob::Stream { len, stream })
            }
        };
        let entry = Self { blobs: self.blobs.into_iter().map(counted).collect() };
        (entry, count)
    }

    /// Why a store with this budget refuses the entry before it reads any of it, as far as its length is
    /// known.
    #[must_use]
    pub fn refusal(&self, max_bytes: Option<u64>) -> Option<Refusal> {
        match (max_bytes, self.known_bytes()) {
            (Some(0), _) => Some(Refusal::Disabled),
            (Some(max), Some(bytes)) if bytes > max => Some(Refusal::OverBudget),
            _ => None,
        }
    }

    /// All blobs in hand, for a store that takes them whole: checked, streams read to their ends, in the
    /// order in which they were added.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use cache_core::{BlobName, PutEntry};
    ///
    /// let blobs = PutEntry::data("object code").collect(Some(1 << 20)).await?;
    /// assert_eq!(blobs, [(BlobName::DATA, "object code".into())]);
    /// # Ok::<(), cache_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check) and [`PutBlob::into_checked_stream`]; else what ended a stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what was collected.
    pub async fn collect(self, max_blob_bytes: Option<u64>) -> Result<Vec<(BlobName, Bytes)>> {
        self.check(max_blob_bytes)?;
        let mut collected = Vec::with_capacity(self.blobs.len());
        for (name, blob) in self.blobs {
            let stream = blob.into_checked_stream(&name, max_blob_bytes);
            collected.push((name, collect_capped(stream, u64::MAX).await?));
        }
        Ok(collected)
    }

    /// What every store checks before it touches anything.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) without blobs or with a name that stands twice;
    /// [`TooLarge`](ErrorKind::TooLarge) if a blob is known to be over `max_blob_bytes`.
    pub fn check(&self, max_blob_bytes: Option<u64>) -> Result<()> {
        if self.blobs.is_empty() {
            return Err(Error::invalid("an entry has at least one blob"));
        }
        for (index, (name, blob)) in self.blobs.iter().enumerate() {
            if self.blobs.iter().take(index).any(|(other, _)| other == name) {
                return Err(Error::invalid(format!(
                    "the blob name {name:?} stands twice",
                    name = name.as_str()
                )));
            }
            if let (Some(len), Some(max)) = (blob.known_len(), max_blob_bytes)
                && len > max
            {
                return Err(too_large(name, len, max));
            }
        }
        Ok(())
    }
}

fn too_large(name: &BlobName, len: u64, max: u64) -> Error {
    Error::new(ErrorKind::TooLarge, "", "")
        .with_detail(format!("blob {name} has {len} bytes or more, the limit is {max}"))
}

impl PutBlob {
    /// The length, if it is known.
    #[must_use]
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream { len, .. } => *len,
        }
    }

    /// The bytes as a stream that ends in an error if they are not of the length that was promised
    /// ([`Invalid`](ErrorKind::Invalid)) or more than `max_blob_bytes`
    /// ([`TooLarge`](ErrorKind::TooLarge)).
    #[must_use]
    pub fn into_checked_stream(self, name: &BlobName, max_blob_bytes: Option<u64>) -> ByteStream {
        let (len, stream) = match self {
            Self::Bytes(bytes) => return stream::iter([Ok(bytes)]).boxed(),
            Self::Stream { len, stream } => (len, stream),
        };
        let name = name.clone();
        stream::unfold((stream, 0_u64, false), move |(mut stream, seen, ended)| {
            let name = name.clone();
            async move {
                if ended {
                    return None;
                }
                let wrong = |seen: u64, promised: u64| {
                    Error::invalid(format!(
                        "blob {name} was promised with {promised} bytes and has {seen} or more"
                    ))
                };
                match stream.next().await {
                    Some(Ok(piece)) => {
                        let seen = seen.saturating_add(piece.len() as u64);
                        let answer = match (len, max_blob_bytes) {
                            (Some(promised), _) if seen > promised => Err(wrong(seen, promised)),
                            (_, Some(max)) if seen > max => Err(too_large(&name, seen, max)),
                            _ => Ok(piece),
                        };
                        let ended = answer.is_err();
                        Some((answer, (stream, seen, ended)))
                    }
                    Some(Err(error)) => Some((Err(error), (stream, seen, true))),
                    None => match len {
                        Some(promised) if promised != seen => {
                            let error = Error::invalid(format!(
                                "blob {name} was promised with {promised} bytes and ended after {seen}"
                            ));
                            Some((Err(error), (stream, seen, true)))
                        }
                        _ => None,
                    },
                }
            }
        })
        .fuse()
        .boxed()
    }
}

impl fmt::Debug for PutBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream { len: Some(len), .. } => write!(f, "a stream of {len} bytes"),
            Self::Stream { len: None, .. } => f.write_str("a stream"),
        }
    }
}

#[cfg(test)]
mod tests;
