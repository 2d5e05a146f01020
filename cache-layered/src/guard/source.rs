//! The streams of a put that has a deadline: they stay with the caller, and the store gets them piece by piece, so
//! that it can be told who keeps whom waiting, and they end with the caller's patience.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use cache_core::{BlobName, ByteStream, Error, ErrorKind, Key, PutBlob, PutEntry};
use futures::{
    StreamExt,
    future::{Either, select},
    stream,
};
use tokio::{sync::mpsc, time::error::Elapsed, time::timeout};

use super::lingering::Lingering;

enum Piece {
    Bytes(Bytes),
    Failed(Error),
    End,
}

/// What was not done in time.
pub(crate) enum Late {
    /// The store did not take a piece.
    Store(Elapsed),
    /// A write of the key that began to linger meanwhile has not ended.
    Earlier(Elapsed),
}

/// Hands the pieces on, in the order in which stores read them.
pub(crate) struct Source(Vec<(ByteStream, mpsc::Sender<Piece>)>);

/// The entry as the store gets it, and what its streams come from.
pub(crate) fn split(entry: PutEntry) -> (PutEntry, Source) {
    let mut source = Vec::new();
    let copy = entry.into_blobs().into_iter().fold(PutEntry::default(), |copy, (name, blob)| match blob {
        PutBlob::Bytes(bytes) => copy.with(name, bytes),
        PutBlob::Stream { len, stream } => {
            let (sender, receiver) = mpsc::channel(1);
            source.push((stream, sender));
            copy.with_stream(name.clone(), len, received(name, receiver))
        }
    });
    (copy, Source(source))
}

/// One that breaks off was given up, which is a failure and not an end.
fn received(name: BlobName, receiver: mpsc::Receiver<Piece>) -> ByteStream {
    stream::unfold(Some(receiver), move |state| {
        let name = name.clone();
        async move {
            let mut receiver = state?;
            match receiver.recv().await {
                Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(Piece::Failed(error)) => Some((Err(error), None)),
                Some(Piece::End) => None,
                None => {
                    let error = Error::new(ErrorKind::Timeout, "layered", "put");
                    let detail = format!("the put was given up before blob {name} had ended");
                    Some((Err(error.with_detail(detail)), None))
                }
            }
        }
    })
    .fuse()
    .boxed()
}

impl Source {
    /// Hands on all that the store wants, as long as it takes each piece within `deadline`. However slow the source
    /// is, that is no fault of the store.
    ///
    /// The last end is held back while a write of `key` lingers: that one would land after this.
    pub(crate) async fn run(self, deadline: Duration, lingering: &Lingering, key: &Key) -> Result<(), Late> {
        let mut left = self.0.len();
        for (mut stream, sender) in self.0 {
            left -= 1;
            // Room is there once the store has taken the piece before; there is none in a stream that it has dropped.
            while let Ok(room) = timeout(deadline, sender.reserve()).await.map_err(Late::Store)? {
                let next = match select(stream.next(), pin!(sender.closed())).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => break,
                };
                match next {
                    Some(Ok(bytes)) => room.send(Piece::Bytes(bytes)),
                    Some(Err(error)) => {
                        room.send(Piece::Failed(error));
                        return Ok(());
                    }
                    None => {
                        if left == 0 {
                            timeout(deadline, lingering.ended(key)).await.map_err(Late::Earlier)?;
                        }
                        room.send(Piece::End);
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
