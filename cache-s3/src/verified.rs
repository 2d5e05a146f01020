//! A blob that streams in, each block verified before it leaves.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use cache_core::{BLOCK_BYTES, BlobName, ByteStream, Error, ErrorKind, Key, Result, SealedIndex};
use futures::{StreamExt, stream};

use crate::{
    engine::Engine,
    fetch::{Pieces, Version, unexpected},
    read::Damage,
};

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Which blob it is.
pub(crate) struct Whose {
    pub(crate) key: Key,
    pub(crate) name: BlobName,
    pub(crate) version: Version,
    /// Whether damage removes the entry.
    pub(crate) heals: bool,
}

struct Open {
    engine: Arc<Engine>,
    whose: Whose,
    sums: SealedIndex,
    pieces: Pieces,
    /// What is left to be handed out, of the payload.
    range: Range<u64>,
    /// The block that `run` begins with.
    block: u64,
    /// Bytes that are not verified yet.
    run: BytesMut,
    /// How long the server may still be waited for: whoever reads may take his time.
    patience: Duration,
}

/// Hands out a range of a payload, of which `pieces` are the blocks that it touches, from `first` on. Damage ends it in
/// [`Corrupt`](ErrorKind::Corrupt) and removes the entry, unless nobody asks for that.
pub(crate) fn verified(
    engine: &Arc<Engine>,
    whose: Whose,
    sums: SealedIndex,
    pieces: Pieces,
    range: Range<u64>,
    first: u64,
) -> ByteStream {
    let patience = engine.client.deadline(range.end.saturating_sub(range.start));
    let run = BytesMut::new();
    let open = Open { engine: Arc::clone(engine), whose, sums, pieces, range, block: first, run, patience };
    stream::try_unfold(open, |mut open| async move {
        if open.range.is_empty() {
            return Ok(None);
        }
        match open.next().await {
            Ok(next) => Ok(Some((next, open))),
            Err(error) => {
                let error = error.at("s3", "get").with_key(&open.whose.key);
                if error.kind() == ErrorKind::Corrupt && open.whose.heals {
                    open.tell_damage();
                }
                Err(error)
            }
        }
    })
    .fuse()
    .boxed()
}

impl Open {
    async fn next(&mut self) -> Result<Bytes> {
        loop {
            self.engine.gate.check("get")?;
            let piece = self.engine.next_piece("get", &mut self.pieces, &mut self.patience).await;
            let piece = piece.map_err(|failure| failure.into_error(None))?;
            let has_ended = piece.is_none();
            if let Some(piece) = piece {
                self.run.extend_from_slice(&piece);
            }
            // Whole blocks only: the last one may be short.
            let whole = if has_ended { self.run.len() } else { self.run.len() / BLOCK_BYTES * BLOCK_BYTES };
            if whole > 0 {
                return self.take(whole, has_ended);
            }
            if has_ended {
                return Err(cut_off());
            }
        }
    }

    /// Verifies so many bytes and hands out what is wanted of them.
    fn take(&mut self, len: usize, has_ended: bool) -> Result<Bytes> {
        let run = self.run.split_to(len).freeze();
        let begin = self.block * BLOCK;
        let end = begin + len as u64;
        if has_ended && end < self.range.end.next_multiple_of(BLOCK).min(self.sums.payload_len()) {
            // Nothing says that what came is damaged.
            return Err(cut_off());
        }
        self.sums.verify(self.block, &run)?;
        self.block += len.div_ceil(BLOCK_BYTES) as u64;
        let at = |place: u64| usize::try_from(place.saturating_sub(begin)).unwrap_or(usize::MAX).min(len);
        let part = run.slice(at(self.range.start)..at(self.range.end));
        self.range.start = end.min(self.range.end);
        Ok(part)
    }

    fn tell_damage(&self) {
        let engine = Arc::clone(&self.engine);
        engine.counters.corrupt();
        let begin = (self.block * BLOCK).min(self.range.end);
        // All that was in hand when it was found.
        let end = (begin + 256 * BLOCK).min(self.sums.payload_len());
        let damage =
            Damage { version: self.whose.version.clone(), blob: Some((self.whose.name.clone(), begin..end)) };
        let key = self.whose.key.clone();
        self.engine.gate.spawn(async move { engine.forsake(&key, damage).await });
    }
}

fn cut_off() -> Error {
    unexpected("fewer bytes than it told").into_error(None)
}
