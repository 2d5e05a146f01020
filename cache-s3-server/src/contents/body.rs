use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

/// The bytes of an object, as one or several pieces: parts are not copied together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pieces: VecDeque<Bytes>,
    len: u64,
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let pieces: VecDeque<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, len }
    }
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn pieces(self) -> VecDeque<Bytes> {
        self.pieces
    }

    /// The bytes in a range, which has to be within.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut at = 0;
        let piece = |piece: &Bytes| {
            let (begin, end) = (at, at + piece.len() as u64);
            at = end;
            let from = range.start.clamp(begin, end) - begin;
            let to = range.end.clamp(begin, end) - begin;
            piece.slice(usize::try_from(from).unwrap_or(0)..usize::try_from(to.max(from)).unwrap_or(0))
        };
        self.pieces.iter().map(piece).collect()
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        if let [one] = self.pieces.as_slices().0
            && self.pieces.len() == 1
        {
            return one.clone();
        }
        let mut all = BytesMut::with_capacity(usize::try_from(self.len).unwrap_or(0));
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }

    /// What stands in for the MD5 of S3: of the same length, and the same for the same bytes.
    pub(crate) fn etag(&self) -> String {
        let mut hash = Xxh3::new();
        self.pieces.iter().for_each(|piece| hash.update(piece));
        format!("{:032x}", hash.digest128())
    }
}
