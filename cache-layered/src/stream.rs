//! A put that streams, into all tiers at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cache_core::{
    ByteStream, Error, ErrorKind, Key, PutBlob, PutEntry, PutOptions, PutOutcome, PutStatus, Refusal, Result,
};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    channel::oneshot,
    future::{Shared, join_all},
};

use crate::{
    layered::LayeredStore,
    tee::{self, Copy},
    through::is_over_own_limit,
    tier::{Tier, known_bytes, largest_known},
    write::Statuses,
};

/// Opens when a tier's stream may end: the key's turn is taken, and the tier above has its entry.
pub(crate) type MayEnd = Shared<oneshot::Receiver<()>>;

/// One tier's part of a streamed write.
struct Part<'a> {
    tier: &'a Tier,
    copy: Copy,
    may_end: MayEnd,
    next_may_end: oneshot::Sender<()>,
}

/// What a part came to.
enum Came {
    To(PutStatus),
    /// The stream turned out to be over the limits of this tier.
    OverLimit(Error),
}

/// Why a part failed.
struct Failure {
    error: Error,
    cause: Cause,
}

/// How much an error tells of why the write failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// This tier waited for another one.
    Elsewhere,
    /// Its stream ended in an error: the source's, or because another tier failed.
    Stream,
    Tier,
}

impl LayeredStore {
    /// Writes a whole entry that streams in. No tier may fail it: what is read once cannot be owed. The tiers read along; the key's turn is taken when the source
    /// has ended, so that a slow one holds nobody up, and from there on the write runs to its end.
    pub(crate) async fn write_streams(
        &self,
        key: Key,
        entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let (bytes, largest) = (known_bytes(&entry), largest_known(&entry));
        let (copies, pump) = tee::split(entry, self.written_tiers().len());
        let (ended, source_ended) = oneshot::channel();
        let store = self.clone();
        let commit = self.to_its_end("put", async move {
            let (first_may_end, may_end) = oneshot::channel();
            let mut may_end = may_end.shared();
            let mut puts = Vec::new();
            for (tier, copy) in store.written_tiers().iter().zip(copies) {
                let (next_may_end, next) = oneshot::channel();
                let part = Part {
                    tier,
                    copy,
                    may_end: std::mem::replace(&mut may_end, next.shared()),
                    next_may_end,
                };
                puts.push(part.write(&key, &options, (bytes, largest)));
            }
            let turn = async {
                // A source that failed or was dropped fails every put: no tier's stream may end.
                source_ended.await.ok()?;
                let turn = store.locks().put(&key).await;
                _ = first_may_end.send(());
                Some(turn)
            };
            let (_turn, puts) = futures::join!(turn, join_all(puts));
            store.settle(&key, puts).await
        });
        let pumped = async {
            if pump.run().await {
                _ = ended.send(());
            }
        };
        let ((), outcome) = futures::join!(pumped, commit);
        outcome
    }

    /// What a streamed write came to in all tiers.
    async fn settle(&self, key: &Key, puts: Vec<Result<Came, Failure>>) -> Result<PutOutcome> {
        let kept = self.kept_tiers().len();
        let mut statuses = Statuses::new();
        let mut too_large = Vec::new();
        let mut failure: Option<Failure> = None;
        let mut is_read_whole = true;
        for (at, (tier, put)) in self.written_tiers().iter().zip(puts).enumerate() {
            let status = match put {
                Ok(Came::To(status)) => status,
                Ok(Came::OverLimit(error)) => {
                    too_large.push((at, tier, error));
                    PutStatus::Refused(Refusal::PassedOver)
                }
                Err(Failure { error, cause }) => {
                    if failure.as_ref().is_none_or(|known| known.cause < cause) {
                        failure = Some(Failure { error: tier.failed("put", error), cause });
                    }
                    is_read_whole &= at >= kept;
                    continue;
                }
            };
            statuses.push((Arc::clone(&tier.name), status));
        }
        let mut failure = match failure {
            Some(failure) if !is_read_whole => {
                return Err(self.take_back(key, &statuses, failure.error).await);
            }
            // All that is read has the newer value by now, and is to have no older one.
            unread => unread.map(|failure| failure.error),
        };
        let answered = statuses.len() - too_large.len();
        for (at, tier, error) in too_large {
            if answered == 0 {
                return Err(tier.failed("put", error));
            }
            if let Err(error) = tier.store.evict(key).await {
                let error = tier.failed("put", error);
                if at < kept {
                    return Err(self.take_back(key, &statuses, error).await);
                }
                failure = failure.or(Some(error));
            }
        }
        self.end_write(key, &statuses).await?;
        failure.map_or_else(|| Ok(self.outcome(statuses)), Err)
    }
}

impl Part<'_> {
    /// Lets the next tier's stream end once this one has its entry, or has passed it over in its turn.
    async fn write(
        self,
        key: &Key,
        options: &PutOptions,
        (bytes, largest): (u64, u64),
    ) -> Result<Came, Failure> {
        let Self { tier, copy, may_end, next_may_end } = self;
        let passed_over = PutStatus::Refused(Refusal::PassedOver);
        let put = if tier.source.is_some() {
            // It is for what is in hand; an older value goes when the newer one is below.
            drop(copy);
            Ok(passed_over)
        } else if tier.is_too_large(largest) || tier.is_entry_too_large(bytes) {
            drop(copy);
            turn(&may_end).await?;
            tier.store.evict(key).await.map(|()| passed_over)
        } else {
            let entry = capped(copy.hold_ends(may_end.clone()), tier.options.max_entry_bytes);
            tier.store.put(key, entry, options.clone()).await.map(|outcome| outcome.status)
        };
        let came = match put {
            Ok(status) => Came::To(status),
            Err(error) if is_over_own_limit(tier, &error) => Came::OverLimit(error),
            Err(error) if was_given_up(&may_end) => return Err(Failure { error, cause: Cause::Stream }),
            Err(error) => return Err(Failure { error, cause: Cause::Tier }),
        };
        // Also where this tier did not read to the end: the tiers below keep the order.
        turn(&may_end).await?;
        if let Came::To(PutStatus::Refused(reason)) = came
            && reason != Refusal::PassedOver
        {
            // It dropped what it had when it refused. What was put since, before this one's turn, is older, too.
            let dropped = tier.store.evict(key).await;
            dropped.map_err(|error| Failure { error, cause: Cause::Tier })?;
        }
        _ = next_may_end.send(());
        Ok(came)
    }
}

async fn turn(may_end: &MayEnd) -> Result<(), Failure> {
    may_end.clone().await.map_err(|oneshot::Canceled| {
        let error = Error::new(ErrorKind::Unavailable, "layered", "put");
        Failure { error: error.with_detail("given up: another tier failed"), cause: Cause::Elsewhere }
    })
}

fn was_given_up(may_end: &MayEnd) -> bool {
    matches!(may_end.peek(), Some(Err(oneshot::Canceled)))
}

/// The put, which fails once all its blobs together are over the limit.
fn capped(entry: PutEntry, max: Option<u64>) -> PutEntry {
    let Some(max) = max else { return entry };
    let in_hand = |blob: &PutBlob| match blob {
        PutBlob::Bytes(bytes) => bytes.len() as u64,
        PutBlob::Stream { .. } => 0,
    };
    let bytes = entry.blobs().iter().map(|(_, blob)| in_hand(blob)).fold(0, u64::saturating_add);
    let left = Arc::new(AtomicU64::new(max.saturating_sub(bytes)));
    let capped = |entry: PutEntry, (name, blob)| match blob {
        PutBlob::Stream { len, stream } => entry.with_stream(name, len, cap(stream, Arc::clone(&left))),
        blob @ PutBlob::Bytes(_) => entry.with_blob(name, blob),
    };
    entry.into_blobs().into_iter().fold(PutEntry::default(), capped)
}

fn cap(stream: ByteStream, left: Arc<AtomicU64>) -> ByteStream {
    stream
        .and_then(move |piece| {
            let bytes = piece.len() as u64;
            let room =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
            std::future::ready(room.map(|_| piece).map_err(|_| {
                let detail = "the entry is larger than this tier takes";
                Error::new(ErrorKind::TooLarge, "layered", "put").with_detail(detail)
            }))
        })
        .boxed()
}
