//! One put for several tiers: bytes are shared, streams are read once and sent to each.

use bytes::Bytes;
use cache_core::{BlobName, ByteStream, Error, ErrorKind, PutBlob, PutEntry};
use futures::{
    StreamExt,
    channel::oneshot,
    future::{Either, join_all, select},
    stream,
};
use tokio::sync::mpsc;

use crate::stream::MayEnd;

/// Pieces of a stream that wait for the slowest tier.
pub(crate) const AHEAD: usize = 4;

#[derive(Clone)]
pub(crate) enum Piece {
    Bytes(Bytes),
    Failed(Error),
    End,
}

/// A put for one tier.
pub(crate) struct Copy {
    entry: PutEntry,
    /// The last of its streams, which decides when the tier has the whole entry.
    last: Option<(BlobName, Option<u64>, mpsc::Receiver<Piece>)>,
    /// Blobs in hand that come after it.
    after: Vec<(BlobName, Bytes)>,
}

/// What drives the streams of a put that was split. Has to run beside the puts.
pub(crate) struct Pump(Vec<(ByteStream, Vec<mpsc::Sender<Piece>>)>);

/// Splits `entry` for `tiers` tiers, which read its streams in order.
pub(crate) fn split(entry: PutEntry, tiers: usize) -> (Vec<Copy>, Pump) {
    let mut copies: Vec<Copy> = (0..tiers).map(|_| Copy::empty()).collect();
    let mut pump = Vec::new();
    for (name, blob) in entry.into_blobs() {
        match blob {
            PutBlob::Bytes(bytes) => {
                for copy in &mut copies {
                    copy.push_bytes(name.clone(), bytes.clone());
                }
            }
            PutBlob::Stream { len, stream } => {
                let mut senders = Vec::with_capacity(tiers);
                for copy in &mut copies {
                    let (sender, receiver) = mpsc::channel(AHEAD);
                    senders.push(sender);
                    copy.push_stream(name.clone(), len, receiver);
                }
                pump.push((stream, senders));
            }
        }
    }
    (copies, Pump(pump))
}

impl Copy {
    fn empty() -> Self {
        Self { entry: PutEntry::default(), last: None, after: Vec::new() }
    }

    fn push_bytes(&mut self, name: BlobName, bytes: Bytes) {
        self.after.push((name, bytes));
    }

    fn push_stream(&mut self, name: BlobName, len: Option<u64>, receiver: mpsc::Receiver<Piece>) {
        self.settle(None);
        self.last = Some((name, len, receiver));
    }

    /// Moves what was kept apart into the entry, in order.
    fn settle(&mut self, gate: Option<MayEnd>) {
        let mut entry = std::mem::take(&mut self.entry);
        if let Some((name, len, receiver)) = self.last.take() {
            entry = entry.with_stream(name.clone(), len, received(name, receiver, gate));
        }
        for (name, bytes) in self.after.drain(..) {
            entry = entry.with(name, bytes);
        }
        self.entry = entry;
    }

    /// The put. Its last stream ends only once `gate` opens; a gate that goes away fails it.
    pub(crate) fn hold_ends(mut self, gate: MayEnd) -> PutEntry {
        self.settle(Some(gate));
        self.entry
    }

    /// The put as it is.
    pub(crate) fn freely(mut self) -> PutEntry {
        self.settle(None);
        self.entry
    }
}

/// A channel as a stream. One that breaks off is a failure, not an end.
fn received(name: BlobName, receiver: mpsc::Receiver<Piece>, gate: Option<MayEnd>) -> ByteStream {
    stream::unfold(Some((receiver, gate)), move |state| {
        let name = name.clone();
        async move {
            let (mut receiver, gate) = state?;
            let broke_off = |why: &str| {
                let error = Error::new(ErrorKind::Unavailable, "layered", "put");
                Some((Err(error.with_detail(format!("the stream of blob {name} {why}"))), None))
            };
            match (receiver.recv().await, gate) {
                (Some(Piece::Bytes(bytes)), gate) => Some((Ok(bytes), Some((receiver, gate)))),
                (Some(Piece::Failed(error)), _) => Some((Err(error), None)),
                (Some(Piece::End), None) => None,
                (Some(Piece::End), Some(gate)) => match gate.await {
                    Ok(()) => None,
                    Err(oneshot::Canceled) => broke_off("was given up: a faster tier failed"),
                },
                (None, _) => broke_off("broke off"),
            }
        }
    })
    .fuse()
    .boxed()
}

impl Pump {
    /// The streams in order, with where each tier waits for its pieces, to be driven otherwise.
    pub(crate) fn into_sources(self) -> Vec<(ByteStream, Vec<mpsc::Sender<Piece>>)> {
        self.0
    }

    /// Reads every stream to its end and sends it to the tiers that still want it. Whether all of them
    /// ended well, or nobody wanted them.
    pub(crate) async fn run(self) -> bool {
        for (mut stream, mut senders) in self.0 {
            while !senders.is_empty() {
                let (piece, ended) = match next_wanted(&mut stream, &senders).await {
                    Some(Some(Ok(bytes))) => (Piece::Bytes(bytes), false),
                    Some(Some(Err(error))) => (Piece::Failed(error), true),
                    Some(None) => (Piece::End, true),
                    None => break,
                };
                let failed = matches!(piece, Piece::Failed(_));
                let mut wanted = Vec::with_capacity(senders.len());
                for sender in senders {
                    // A tier that refused the put has dropped its end.
                    if sender.send(piece.clone()).await.is_ok() {
                        wanted.push(sender);
                    }
                }
                senders = wanted;
                if failed {
                    return false;
                }
                if ended {
                    break;
                }
            }
        }
        true
    }
}

/// The next piece; `None` once no tier wants any.
async fn next_wanted(
    stream: &mut ByteStream,
    senders: &[mpsc::Sender<Piece>],
) -> Option<Option<cache_core::Result<Bytes>>> {
    let gone = join_all(senders.iter().map(mpsc::Sender::closed));
    match select(stream.next(), std::pin::pin!(gone)).await {
        Either::Left((piece, _)) => Some(piece),
        Either::Right(_) => None,
    }
}
