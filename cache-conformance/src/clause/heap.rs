//! How much memory large blobs take on their way in and out.

use std::{
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteRange, ByteStream, Error, ErrorKind, GetOptions, Key, PutEntry, PutOptions,
    PutStatus, Result, StoreInfo,
};
use futures::{StreamExt, stream};
use tokio::task::{JoinSet, block_in_place};

use crate::{
    Factory, Heap, Setup, run,
    sample::{bytes, key, name},
    subject::Subject,
};

const PIECE: usize = 64 << 10;
/// No power of two, as what doubles its room would come out even.
const PIECES: usize = 24 * 16 + 1;
const LEN: u64 = (PIECES * PIECE) as u64;

/// A stream of pieces that are made when they are asked for.
fn pieces(count: usize) -> ByteStream {
    let piece = bytes(1, PIECE);
    stream::iter(0..count).map(move |_| Ok(Bytes::copy_from_slice(&piece))).boxed()
}

fn large(promised: Option<u64>) -> PutEntry {
    PutEntry::default().with_stream(BlobName::DATA, promised, pieces(PIECES))
}

/// Streams, and drops each piece when it has come. How many bytes there were.
async fn drained(blob: Blob) -> u64 {
    let mut len = 0;
    let mut pieces = blob.into_stream();
    while let Some(piece) = pieces.next().await {
        len += piece.expect("a piece").len() as u64;
    }
    len
}

/// What a store takes for pieces on their way, in each tier.
fn allowance(info: &StoreInfo) -> u64 {
    (4 << 20) + info.tiers.iter().map(|(_, tier)| allowance(tier)).sum::<u64>()
}

/// Watches the memory of a process in which nothing else happens.
struct Watch<'a>(&'a dyn Heap);

impl<'a> Watch<'a> {
    fn of(factory: &'a dyn Factory) -> Self {
        Self(factory.heap().expect("a handle that counts allocations"))
    }

    /// What is allocated when nothing is under way anymore. More than `most` may still be on its way.
    async fn level(&self, most: u64) -> u64 {
        let mut same = 0;
        let mut level = self.0.allocated();
        let began = Instant::now();
        while began.elapsed() < run::options().limit / 30 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = self.0.allocated();
            same = if now.abs_diff(level) < 10_000 { same + 1 } else { 0 };
            level = now;
            if same >= 10 && level <= most {
                break;
            }
        }
        level
    }

    /// Does the work, and answers how much was allocated at most.
    async fn peak<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> (T, u64) {
        let mut working = JoinSet::new();
        working.spawn(work);
        // Not between the polls of the work, but beside them: its thread is another one.
        block_in_place(|| {
            let mut peak = 0;
            loop {
                peak = peak.max(self.0.allocated());
                if let Some(done) = working.try_join_next() {
                    return (done.expect("work without a panic"), peak);
                }
                thread::sleep(Duration::from_micros(50));
            }
        })
    }

    /// Does the same work three times, each within what is kept of it and some pieces. What was kept of it
    /// once is not kept again.
    async fn keeps_within<T, W>(&self, what: &str, info: &StoreInfo, work: impl Fn() -> W) -> Vec<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let allowance = allowance(info) + self.0.held_on_the_way();
        let mut done = Vec::new();
        let mut kept = None;
        for round in 0..3 {
            let before = self.level(u64::MAX).await;
            let (one, peak) = self.peak(work()).await;
            let limit = kept.map_or(u64::MAX, |kept| kept + (1 << 20));
            let after = self.level(limit).await;
            done.push(one);
            let most = before.max(after) + allowance;
            assert!(
                peak <= most,
                "{what} takes {} bytes for {LEN} of which it keeps {}",
                peak - before,
                after.saturating_sub(before)
            );
            let kept = *kept.get_or_insert(after);
            assert!(after <= kept + (1 << 20), "{what}, round {round}: {} bytes are left", after - kept);
        }
        done
    }
}

/// Opens the store, and has it allocate what it needs for anything at all.
async fn opened(factory: &dyn Factory, setup: Setup) -> Subject {
    let store = Subject::open_with(factory, setup).await;
    let small = PutEntry::default().with_stream(BlobName::DATA, None, pieces(4));
    store.put(&key(0), small, PutOptions::default()).await.expect("a put");
    store.read(&key(0), "data").await.expect("a hit");
    store.evict(&key(0)).await.expect("an eviction");
    store
}

/// Has a durable store forget what it keeps in memory.
async fn reopened(factory: &dyn Factory, store: Subject) -> Subject {
    store.flush().await.expect("a flush");
    if !store.info().powers.durable {
        return store;
    }
    store.close(None).await.expect("a close");
    drop(store);
    opened(factory, Setup::default()).await
}

async fn stored(store: &Subject, key: &Key, entry: PutEntry) {
    let outcome = store.put(key, entry, PutOptions::default()).await.expect("a put");
    assert!(outcome.is_stored(), "a large blob is not stored: {outcome:?}");
}

/// Of a blob that streams in, no more is in memory than the store keeps, and some pieces.
pub async fn streamed_put_takes_what_it_keeps(factory: &dyn Factory) {
    let watch = Watch::of(factory);
    let store = opened(factory, Setup::default()).await;
    let info = store.info();
    for promised in [Some(LEN), None] {
        if info.powers.streaming {
            let put = || {
                let store = store.clone();
                async move {
                    // An older value stays until the new one is there.
                    store.evict(&key(1)).await.expect("an eviction");
                    stored(&store, &key(1), large(promised)).await;
                }
            };
            watch.keeps_within("a streamed put", &info, put).await;
        } else {
            stored(&store, &key(1), large(promised)).await;
        }
        let meta = store.meta(&key(1)).await.expect("an answer").expect("an entry");
        assert_eq!(meta.bytes, Some(LEN));
        store.evict(&key(1)).await.expect("an eviction");
    }
}

/// Of a blob that streams out, whole or a range, only some pieces are in memory.
pub async fn streamed_get_takes_some_pieces(factory: &dyn Factory) {
    let watch = Watch::of(factory);
    let store = opened(factory, Setup::default()).await;
    stored(&store, &key(1), large(Some(LEN))).await;
    let store = reopened(factory, store).await;
    let info = store.info();
    let most = ByteRange::new(100_000, Some(LEN - 100_000)).expect("a range");
    let streamed = GetOptions::default().with_stream_above(1 << 20);
    for (options, len) in [(streamed.clone().with_range(most), LEN - 200_000), (streamed, LEN)] {
        let get = || {
            let (store, options) = (store.clone(), options.clone());
            async move {
                let blob =
                    store.get(&key(1), &BlobName::DATA, options).await.expect("an answer").expect("a blob");
                assert!(store.info().powers.streaming || blob.bytes().is_some(), "streams undeclared");
                drained(blob).await
            }
        };
        let lens = if info.powers.streaming {
            watch.keeps_within("a streamed get", &info, get).await
        } else {
            vec![get().await]
        };
        assert!(lens.iter().all(|read| *read == len), "{lens:?} of {len} bytes were read");
    }
}

/// Of an entry of several blobs that stream out one after the other, only some pieces are in memory.
pub async fn streamed_entry_takes_some_pieces(factory: &dyn Factory) {
    let watch = Watch::of(factory);
    let store = opened(factory, Setup::default()).await;
    let half = || pieces(PIECES / 2);
    let entry = PutEntry::default().with_stream(name("a"), None, half()).with_stream(name("b"), None, half());
    stored(&store, &key(1), entry).await;
    let store = reopened(factory, store).await;
    let info = store.info();
    let get = || {
        let store = store.clone();
        async move {
            let streamed = GetOptions::default().with_stream_above(1 << 20);
            let read = store.get_entry(&key(1), streamed).await.expect("an answer").expect("an entry");
            let mut len = 0;
            for (_, blob) in read.blobs {
                assert!(store.info().powers.streaming || blob.bytes().is_some(), "streams undeclared");
                len += drained(blob).await;
            }
            len
        }
    };
    let lens = if info.powers.streaming {
        watch.keeps_within("a streamed entry", &info, get).await
    } else {
        vec![get().await]
    };
    let len = (2 * (PIECES / 2) * PIECE) as u64;
    assert!(lens.iter().all(|read| *read == len), "{lens:?} of {len} bytes were read");
}

/// Streams that fail, are refused or are dropped midway leave no memory behind.
pub async fn ended_streams_leave_no_memory(factory: &dyn Factory) {
    let watch = Watch::of(factory);
    let bounded = Subject::open(factory).await;
    let setup = match bounded.info().powers.bounded {
        true => Setup::default().with_max_bytes(LEN / 2),
        false => Setup::default(),
    };
    bounded.close(None).await.expect("a close");
    drop(bounded);
    let store = opened(factory, setup).await;
    let over_budget = store.info().max_bytes.is_some_and(|max| max < LEN);
    let endless: fn() -> ByteStream = || pieces(PIECES / 4).chain(stream::pending()).boxed();
    let broken: fn() -> ByteStream = || {
        let error = Error::new(ErrorKind::Unavailable, "source", "read");
        pieces(PIECES / 4).chain(stream::iter([Err(error)])).boxed()
    };
    let put = |pieces: ByteStream| {
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
        let store = store.clone();
        async move { store.put(&key(1), entry, PutOptions::default()).await }
    };
    stored(&store, &key(2), PutEntry::default().with_stream(BlobName::DATA, None, pieces(PIECES / 4))).await;
    let before = watch.level(u64::MAX).await;
    for round in 0..3 {
        let failed = put(broken()).await;
        assert_eq!(failed.map_err(|error| error.kind()), Err(ErrorKind::Unavailable));
        let dropped: Result<_, _> = tokio::time::timeout(Duration::from_millis(60), put(endless())).await;
        assert!(dropped.is_err(), "a put has ended whose stream has not");
        if over_budget {
            let refused = put(pieces(PIECES)).await.expect("a put");
            assert!(matches!(refused.status, PutStatus::Refused(_)), "{refused:?}");
        }
        let streamed = GetOptions::default().with_stream_above(1 << 20);
        let read = store.get(&key(2), &BlobName::DATA, streamed).await.expect("an answer");
        // A refused put may have taken it to make room.
        if let Some(blob) = read {
            let mut pieces = blob.into_stream();
            pieces.next().await.expect("a piece").expect("a piece");
        }
        let most = before + (1 << 20);
        let after = watch.level(most).await;
        assert!(after <= most, "round {round}: {} bytes are left of streams that have ended", after - before);
    }
}
