//! One put for several tiers: bytes are shared, streams are read once and sent to each.

use bytes::Bytes;
use cache_core::{BlobName, ByteStream, Error, ErrorKind, PutBlob, PutEntry};
use futures::{SinkExt, StreamExt, channel::mpsc, stream};

/// Pieces of a stream that wait for the slowest tier.
const AHEAD: usize = 4;

enum Piece {
    Bytes(Bytes),
    Failed(Error),
    End,
}

/// What drives the streams of a put that was split. Has to run beside the puts.
pub(crate) struct Pump(Vec<(ByteStream, Vec<mpsc::Sender<Piece>>)>);

/// Splits `entry` for `tiers` tiers, which read its streams in order.
pub(crate) fn split(entry: PutEntry, tiers: usize) -> (Vec<PutEntry>, Pump) {
    let mut entries: Vec<PutEntry> = (0..tiers).map(|_| PutEntry::default()).collect();
    let mut pump = Vec::new();
    for (name, blob) in entry.into_blobs() {
        match blob {
            PutBlob::Bytes(bytes) => {
                entries = entries.into_iter().map(|entry| entry.with(name.clone(), bytes.clone())).collect();
            }
            PutBlob::Stream { len, stream } => {
                let mut senders = Vec::with_capacity(tiers);
                entries = entries
                    .into_iter()
                    .map(|entry| {
                        let (sender, receiver) = mpsc::channel(AHEAD);
                        senders.push(sender);
                        entry.with_stream(name.clone(), len, received(name.clone(), receiver))
                    })
                    .collect();
                pump.push((stream, senders));
            }
        }
    }
    (entries, Pump(pump))
}

/// A channel as a stream. One that breaks off is a failure, not an end.
fn received(name: BlobName, receiver: mpsc::Receiver<Piece>) -> ByteStream {
    stream::unfold(Some(receiver), move |state| {
        let name = name.clone();
        async move {
            let mut receiver = state?;
            match receiver.next().await {
                Some(Piece::Bytes(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(Piece::Failed(error)) => Some((Err(error), None)),
                Some(Piece::End) => None,
                None => {
                    let error = Error::new(ErrorKind::Unavailable, "layered", "put")
                        .with_detail(format!("the stream of blob {name} broke off"));
                    Some((Err(error), None))
                }
            }
        }
    })
    .fuse()
    .boxed()
}

impl Pump {
    /// Reads every stream to its end and sends it to the tiers that still want it.
    pub(crate) async fn run(self) {
        for (mut stream, mut senders) in self.0 {
            while !senders.is_empty() {
                let (piece, ended) = match stream.next().await {
                    Some(Ok(bytes)) => (Piece::Bytes(bytes), false),
                    Some(Err(error)) => (Piece::Failed(error), true),
                    None => (Piece::End, true),
                };
                let mut wanted = Vec::with_capacity(senders.len());
                for mut sender in senders {
                    // A tier that refused the put has dropped its end.
                    if sender.send(piece.share()).await.is_ok() {
                        wanted.push(sender);
                    }
                }
                senders = wanted;
                if ended {
                    break;
                }
            }
        }
    }
}

impl Piece {
    fn share(&self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::End => Self::End,
        }
    }
}
