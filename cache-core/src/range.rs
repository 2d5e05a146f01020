use std::ops::Range;

use bytes::Bytes;

use crate::{Error, Result};

/// A part of a blob: from a first byte, up to an end that is clamped to the blob's.
///
/// ```
/// use cache_core::ByteRange;
///
/// assert_eq!(ByteRange::new(2, Some(10))?.within(5)?, 2..5);
/// assert!(ByteRange::new(6, None)?.within(5).is_err());
/// assert!(ByteRange::new(3, Some(2)).is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    start: u64,
    end: Option<u64>,
}

impl ByteRange {
    /// Bytes `start..end`, or all from `start` on.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if `end` is before `start`.
    pub fn new(start: u64, end: Option<u64>) -> Result<Self> {
        match end {
            Some(end) if end < start => {
                Err(Error::invalid(format!("range {start}..{end} ends before it starts")))
            }
            _ => Ok(Self { start, end }),
        }
    }

    /// The range inside a blob of `len` bytes. It may be empty at the blob's very end.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the range starts past the end.
    pub fn within(&self, len: u64) -> Result<Range<u64>> {
        if self.start > len {
            return Err(Error::invalid(format!("range starts at {}, the blob has {len} bytes", self.start)));
        }
        Ok(self.start..self.end.unwrap_or(len).min(len))
    }
}

/// The part of `bytes` that `range` asks for; all of them without a range. The bytes are shared.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid) if the range starts past the end.
pub fn slice_range(bytes: &Bytes, range: Option<ByteRange>) -> Result<Bytes> {
    let Some(range) = range else { return Ok(bytes.clone()) };
    let within = range.within(bytes.len() as u64)?;
    // Both ends are at most `bytes.len()`, a usize.
    let at = |end: u64| usize::try_from(end).unwrap_or(bytes.len());
    Ok(bytes.slice(at(within.start)..at(within.end)))
}
