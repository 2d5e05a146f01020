//! Puts that stream, hand on and are dropped at any await, beside all else.

use std::time::Instant;

use async_trait::async_trait;
use cache_core::{CleanPolicy, EntryRead, EvictionSink, GetOptions, KeyManagement, SpillSource};
use futures::{StreamExt, poll, stream};
use tokio::task::yield_now;

use super::*;

const MAX: u64 = 1_000;

/// Answers anything, sooner or later; now and then too little.
#[derive(Debug)]
struct Moody;

#[async_trait]
impl EvictionSink for Moody {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        for _ in 0..fastrand::u8(0..4) {
            yield_now().await;
        }
        let answers = [Handover::Taken, Handover::Known, Handover::Lost, Handover::Busy];
        let answered = victims.len() - usize::from(fastrand::u8(0..10) == 0);
        (0..answered).map(|_| answers[fastrand::usize(0..4)]).collect()
    }
}

fn entry(bytes: usize) -> PutEntry {
    let blob = BlobName::new(["data", "stdout"][fastrand::usize(0..2)]).unwrap();
    if fastrand::bool() {
        return PutEntry::default().with(blob, vec![7; bytes]);
    }
    let pieces = stream::iter((0..4).map(move |_| Ok(vec![7; bytes / 4].into())));
    let slow = pieces.then(|piece| async {
        yield_now().await;
        piece
    });
    PutEntry::default().with_stream(blob, None, slow.boxed())
}

async fn step(store: &MemoryStore) {
    let key = Key::new(space(fastrand::u8(0..5)), Digest::of([fastrand::u8(0..12)]));
    match fastrand::u8(0..12) {
        0 => store.evict(&key).await.unwrap(),
        1 => _ = store.get_now(key.view(), &BlobName::DATA),
        2 => _ = store.get_entry(&key, GetOptions::default()).await.unwrap(),
        3 => {
            let sink: Option<Arc<dyn EvictionSink>> =
                if fastrand::u8(0..4) == 0 { None } else { Some(Arc::new(Moody)) };
            store.set_sink(sink);
        }
        4 if fastrand::u8(0..8) == 0 => {
            let policy = CleanPolicy::default().with_max_bytes(MAX / 2);
            store.clean(&key.namespace, &policy).await.unwrap();
        }
        5 => _ = store.list(ListOptions::default().recursive()).collect::<Vec<_>>().await,
        _ => {
            let modes = [PutMode::Replace, PutMode::Merge, PutMode::Fill];
            let options = PutOptions::mode(modes[fastrand::usize(0..3)]);
            let mut put = store.put(&key, entry(fastrand::usize(0..400)), options);
            if fastrand::bool() {
                put.await.unwrap();
                return;
            }
            for _ in 0..fastrand::u8(0..6) {
                if poll!(&mut put).is_ready() {
                    return;
                }
                yield_now().await;
            }
        }
    }
}

fn run(policy: Policy, rounds: u64) {
    let options = MemoryOptions::unlimited().with_policy(policy).with_max_bytes(MAX).with_max_entries(20);
    let store = MemoryStore::open(options).unwrap();
    let engine = &store.0.engine;
    let (ended, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let tasks = (0..4).map(|_| async {
                    for _ in 0..500 * rounds {
                        step(&store).await;
                        yield_now().await;
                    }
                });
                let all = futures::future::join_all(tasks);
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(all);
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let begun = Instant::now();
            while ended.load(Ordering::Relaxed) < 4 {
                assert!(begun.elapsed() < Duration::from_secs(60), "puts wait for each other");
                let total = engine.total();
                if total.bytes() + total.reserved() > MAX || total.entries() > 20 {
                    stop.store(true, Ordering::Relaxed);
                }
                thread::yield_now();
            }
        });
    });
    assert!(!stop.load(Ordering::Relaxed), "over the budget");
    assert_eq!(engine.total().reserved(), 0);
    assert!(!engine.is_handing_over());
    check_accounts(engine);
    // Each entry can go, and the whole budget can be used. One without bytes may stay beside it.
    store.set_sink(None);
    let last = key(77);
    let put = store.put(&last, PutEntry::data(vec![7; 1_000]), PutOptions::default());
    assert!(put.now_or_never().unwrap().unwrap().is_stored());
    for other in engine.scope(&Namespace::root()).iter().filter(|other| other.key != last) {
        assert_eq!(other.bytes, Some(0), "{other:?}");
        store.evict(&other.key).now_or_never().unwrap().unwrap();
    }
    assert_eq!((engine.total().entries(), engine.spaces.len()), (1, 0));
}

#[test]
fn nothing_is_lost_track_of() {
    for policy in [Policy::TinyLfu, Policy::Lru, Policy::Lfu] {
        run(policy, 1);
    }
}
