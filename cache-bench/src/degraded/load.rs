//! Tasks that read and write at a steady pace, and remember how long it took.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache_core::{Cache, Digest};
use fastrand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

/// What memory holds.
pub(crate) const HOT: Range<u64> = 0..200;
/// What the disk holds, and memory only a part of.
pub(crate) const WARM: Range<u64> = 1_000..3_000;
/// What lies in the bucket alone, from here on.
pub(crate) const COLD: u64 = 100_000;
/// What nobody has put before, from here on.
const NEW: u64 = 1_000_000;

const VALUE_BYTES: usize = 4096;
/// How long a computation takes.
const COMPUTE: Duration = Duration::from_millis(2);
/// Each task does something so often.
const PACE: Duration = Duration::from_millis(10);

pub(crate) fn name(number: u64) -> Digest {
    Digest::of(number.to_string())
}

/// There is one value for each name: any other is wrong.
pub(crate) fn value(number: u64) -> Bytes {
    let mut value = vec![0; VALUE_BYTES];
    Rng::with_seed(number).fill(&mut value);
    value.into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of what memory, the disk or the bucket holds.
    Get,
    /// A `get_or_compute` of what nobody has.
    Compute,
    Put,
}

/// What one call took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) kind: Kind,
    /// Of what lies in the bucket alone, and was not found.
    pub(crate) missed: bool,
}

/// All that was done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) calls: Vec<Call>,
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) errors: Vec<String>,
    pub(crate) wrong: u64,
}

#[derive(Debug)]
struct Shared {
    cache: Cache,
    begun: Instant,
    end: AtomicBool,
    cold: AtomicU64,
    new: AtomicU64,
    done: Mutex<Done>,
}

#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Load {
    pub(crate) fn begin(cache: &Cache, tasks: u64) -> Self {
        let shared = Arc::new(Shared {
            cache: cache.clone(),
            begun: Instant::now(),
            end: AtomicBool::new(false),
            cold: AtomicU64::new(COLD),
            new: AtomicU64::new(NEW),
            done: Mutex::default(),
        });
        let mut running = JoinSet::new();
        for seed in 0..tasks {
            running.spawn(work(Arc::clone(&shared), Rng::with_seed(seed)));
        }
        Self { shared, tasks: running }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.shared.begun
    }

    /// What lies in the bucket alone and was not asked for yet begins here.
    pub(crate) fn next_cold(&self) -> u64 {
        self.shared.cold.load(Ordering::Relaxed)
    }

    pub(crate) async fn end(self) -> Done {
        self.shared.end.store(true, Ordering::Release);
        self.tasks.join_all().await;
        let mut done = std::mem::take(&mut *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner));
        done.calls.sort_by_key(|call| call.at);
        done
    }
}

async fn work(shared: Arc<Shared>, mut rng: Rng) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut done = Done::default();
    while !shared.end.load(Ordering::Acquire) {
        pace.tick().await;
        match rng.u32(..100) {
            0..50 => shared.get(rng.u64(HOT), &mut done).await,
            50..75 => shared.get(rng.u64(WARM), &mut done).await,
            75..80 => shared.get(shared.cold.fetch_add(1, Ordering::Relaxed), &mut done).await,
            80..88 => shared.compute(shared.new.fetch_add(1, Ordering::Relaxed), &mut done).await,
            _ => shared.put(shared.new.fetch_add(1, Ordering::Relaxed), &mut done).await,
        }
    }
    let mut all = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
    all.calls.append(&mut done.calls);
    all.acknowledged.append(&mut done.acknowledged);
    all.errors.append(&mut done.errors);
    all.wrong += done.wrong;
}

impl Shared {
    fn call(&self, kind: Kind, begun: Instant) -> Call {
        Call { at: begun - self.begun, took: begun.elapsed(), kind, missed: false }
    }

    async fn get(&self, number: u64, done: &mut Done) {
        let digest = name(number);
        let begun = Instant::now();
        let read = self.cache.get(digest).await;
        let mut call = self.call(Kind::Get, begun);
        match read {
            Ok(Some(read)) => done.wrong += u64::from(read != value(number)),
            Ok(None) => call.missed = true,
            Err(error) => done.errors.push(error.to_line()),
        }
        done.calls.push(call);
    }

    async fn compute(&self, number: u64, done: &mut Done) {
        let (digest, right) = (name(number), value(number));
        let computed = right.clone();
        let begun = Instant::now();
        let read = self.cache.get_or_compute(digest, || async {
            tokio::time::sleep(COMPUTE).await;
            Ok::<_, std::io::Error>(computed)
        });
        let read = read.await;
        done.calls.push(self.call(Kind::Compute, begun));
        match read {
            Ok(read) => done.wrong += u64::from(read != right),
            Err(error) => done.errors.push(error.to_line()),
        }
    }

    async fn put(&self, number: u64, done: &mut Done) {
        let (digest, value) = (name(number), value(number));
        let begun = Instant::now();
        let put = self.cache.put(digest, value).await;
        done.calls.push(self.call(Kind::Put, begun));
        match put {
            Ok(outcome) if outcome.is_stored() => done.acknowledged.push(number),
            Ok(_) => {}
            Err(error) => done.errors.push(error.to_line()),
        }
    }
}
