//! The stream of the one for whom an entry is fetched, while it goes to the faster tiers, too.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use cache_core::{
    Blob, BlobName, ByteStream, Checksum, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Result,
};
use futures::{StreamExt, TryStreamExt, channel::oneshot, stream};
use tokio::sync::mpsc;

use super::live::Copying;
use crate::{key_lock::Ticket, layered::within, tee::Piece, tier::Tier};

/// How long the end of a stream waits for the tiers that are to have it before the read is answered.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is needed to go on with a blob that the caller has not kept up with.
pub(super) struct Caller {
    pub(super) meta: EntryMeta,
    pub(super) name: BlobName,
    pub(super) len: u64,
    pub(super) checksum: Option<Checksum>,
    pub(super) from: Tier,
    pub(super) ticket: Arc<Ticket>,
    pub(super) copying: Copying,
    /// Whether the copies end with this blob.
    pub(super) is_last: bool,
}

/// Where the next piece comes from.
enum Source {
    /// From the pump; then, perhaps, from what it leaves to the caller.
    Pump(mpsc::Receiver<Piece>, oneshot::Receiver<ByteStream>),
    /// From a stream that is the caller's alone.
    Own(ByteStream),
}

impl Caller {
    pub(super) fn blob(self, pieces: mpsc::Receiver<Piece>, rest: oneshot::Receiver<ByteStream>) -> Blob {
        let (len, checksum) = (self.len, self.checksum);
        let begun = Some((self, Source::Pump(pieces, rest), 0));
        let stream = stream::unfold(begun, |state| async {
            let (mut caller, source, read) = state?;
            match caller.next(source, read).await {
                Ok(Some((piece, source))) => {
                    let read = read.saturating_add(piece.len() as u64);
                    Some((Ok(piece), Some((caller, source, read))))
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        let blob = Blob::from_stream(len, len, stream.fuse().boxed());
        match checksum {
            Some(checksum) => blob.with_checksum(checksum),
            None => blob,
        }
    }

    async fn next(&mut self, source: Source, read: u64) -> Result<Option<(Bytes, Source)>> {
        let mut own = match source {
            Source::Own(own) => own,
            Source::Pump(mut pieces, rest) => match pieces.recv().await {
                Some(Piece::Bytes(bytes)) => return Ok(Some((bytes, Source::Pump(pieces, rest)))),
                Some(Piece::Failed(error)) => return Err(error),
                Some(Piece::End) => {
                    self.end().await;
                    return Ok(None);
                }
                None => match rest.await {
                    Ok(rest) => rest,
                    // It did not keep up.
                    Err(oneshot::Canceled) if read == self.len => {
                        self.end().await;
                        return Ok(None);
                    }
                    Err(oneshot::Canceled) => self.go_on(read).await?,
                },
            },
        };
        Ok(own.try_next().await?.map(|piece| (piece, Source::Own(own))))
    }

    /// The next read finds the entry in the tiers that take it at once.
    async fn end(&mut self) {
        if self.is_last {
            _ = within(Some(PATIENCE), self.copying.inline_ended()).await;
        }
    }

    /// The rest of the blob, from where the same version is.
    async fn go_on(&mut self, read: u64) -> Result<ByteStream> {
        let mut failure = None;
        let mut tiers = self.copying.ended().await;
        tiers.push(self.from.clone());
        for tier in tiers {
            let options = GetOptions::default().quietly().with_stream_above(0);
            match tier.store.get_entry(&self.meta.key, options).await {
                Ok(Some(mut entry)) => {
                    let blob = entry.take(&self.name);
                    if let Some(blob) = blob.filter(|blob| self.is_same(&entry, blob)) {
                        return Ok(after(blob.into_stream(), read));
                    }
                }
                Ok(None) => {}
                Err(error) => failure = Some(tier.failed("get", error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            Error::new(ErrorKind::Unavailable, "layered", "get")
                .with_key(&self.meta.key)
                .with_detail("the entry was replaced while it was read")
        }))
    }

    /// Whether this is certainly the version that the caller has begun to read.
    fn is_same(&self, entry: &EntryRead, blob: &Blob) -> bool {
        let is_same_content = match (self.checksum, blob.checksum()) {
            (Some(one), Some(other)) => one == other,
            // Times may be coarse: two versions of one stack are not told apart by them.
            _ => {
                let is_same_time = match (self.meta.modified, entry.meta.modified) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                is_same_time && self.ticket.is_untouched()
            }
        };
        blob.len() == self.len && is_same_content
    }
}

/// What comes after the first `skip` bytes.
fn after(stream: ByteStream, mut skip: u64) -> ByteStream {
    let skipped = stream.map_ok(move |mut piece| {
        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        piece.advance(known);
        skip = skip.saturating_sub(known as u64);
        piece
    });
    skipped.boxed()
}
