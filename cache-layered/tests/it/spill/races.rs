//! Puts, reads and evictions of what is being handed on.
#![expect(clippy::indexing_slicing, reason = "a test may fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{
    Reference, ReferenceStore,
    fault::{Call, Hanging, Slow},
};
use cache_core::{
    BlobName, EntryRead, EvictionSink, GetOptions, Handover, Key, KeyManagement, Namespace, PutEntry,
    PutMode, PutOptions, Store, StoreExt,
};
use cache_layered::LayeredStore;
use futures::TryStreamExt;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{OpenSource, limited, sources, stack, tests};
use crate::tiers::key;

sources! {
    a_put_over_a_key_that_is_taken_wins
    an_eviction_of_a_key_that_is_taken_wins
    a_victim_is_read_while_it_is_taken
    a_dropped_put_loses_no_victim
    what_is_replaced_or_evicted_before_its_turn_is_not_written_below
    tasks_that_evict_each_others_keys_never_wait_for_each_other
    versions_never_go_back
    listings_beside_spilling_miss_nothing
}

type Below = Hanging<ReferenceStore>;

fn name(number: u64) -> Key {
    key(&number.to_string())
}

/// Memory with three entries of 100 bytes, and a tier below whose puts can be made to hang.
async fn full(open: OpenSource) -> (LayeredStore, Below) {
    let source = open(&limited(300)).unwrap();
    let below = Hanging::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
    let below = below.with_only(&[Call::Put]);
    let store = stack(&source, below.clone());
    for number in 0..3 {
        store.put_bytes(&name(number), vec![1; 100].into()).await.unwrap();
    }
    (store, below)
}

/// Begins a put that needs the room of another entry, and waits until that one is on its way.
async fn begin(store: &LayeredStore, below: &Below, tasks: &mut JoinSet<()>) {
    below.hang();
    let putting = store.clone();
    tasks.spawn(async move {
        putting.put_bytes(&name(3), vec![3; 100].into()).await.unwrap();
    });
    while below.waiting() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

async fn end(tasks: JoinSet<()>) {
    let ended = timeout(Duration::from_secs(50), tasks.join_all()).await;
    assert!(ended.is_ok(), "tasks wait for each other");
}

async fn get(store: &LayeredStore, key: &Key) -> Option<Bytes> {
    timeout(Duration::from_secs(20), store.get_bytes(key, &BlobName::DATA)).await.unwrap().unwrap()
}

async fn a_put_over_a_key_that_is_taken_wins(open: OpenSource) {
    let (store, below) = full(open).await;
    let mut tasks = JoinSet::new();
    begin(&store, &below, &mut tasks).await;
    for number in 0..3 {
        let store = store.clone();
        tasks.spawn(async move {
            store.put_bytes(&name(number), vec![9; 50].into()).await.unwrap();
        });
    }
    sleep(Duration::from_millis(20)).await;
    below.release();
    end(tasks).await;
    // Through memory and out of it again.
    for _ in 0..2 {
        for number in 0..3 {
            assert_eq!(get(&store, &name(number)).await.unwrap(), vec![9; 50]);
        }
        for number in 10..16 {
            store.put_bytes(&name(number), vec![1; 100].into()).await.unwrap();
        }
    }
    assert_eq!(store.metrics().spill_errors, 0);
}

async fn an_eviction_of_a_key_that_is_taken_wins(open: OpenSource) {
    let (store, below) = full(open).await;
    let mut tasks = JoinSet::new();
    begin(&store, &below, &mut tasks).await;
    for number in 0..3 {
        let store = store.clone();
        tasks.spawn(async move { store.evict(&name(number)).await.unwrap() });
    }
    sleep(Duration::from_millis(20)).await;
    below.release();
    end(tasks).await;
    for number in 0..3 {
        assert_eq!(get(&store, &name(number)).await, None, "an evicted entry came back");
    }
    assert_eq!(below.usage(&Namespace::root()).await.unwrap().entries, 0, "an orphan");
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
}

async fn a_victim_is_read_while_it_is_taken(open: OpenSource) {
    let (store, below) = full(open).await;
    let mut tasks = JoinSet::new();
    begin(&store, &below, &mut tasks).await;
    for number in 0..3 {
        assert_eq!(get(&store, &name(number)).await.unwrap(), vec![1; 100]);
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 3);
    below.release();
    end(tasks).await;
    for number in 0..3 {
        assert_eq!(get(&store, &name(number)).await.unwrap(), vec![1; 100]);
    }
}

async fn a_dropped_put_loses_no_victim(open: OpenSource) {
    let (store, below) = full(open).await;
    below.hang();
    for number in 3..6 {
        let key = name(number);
        let put = store.put_bytes(&key, vec![3; 100].into());
        assert!(timeout(Duration::from_millis(20), put).await.is_err(), "the put did not wait");
    }
    for number in 0..3 {
        assert_eq!(get(&store, &name(number)).await.unwrap(), vec![1; 100]);
    }
    below.release();
    for number in 6..9 {
        let key = name(number);
        let put = store.put_bytes(&key, vec![3; 100].into());
        timeout(Duration::from_secs(20), put).await.unwrap().unwrap();
    }
    for number in (0..3).chain(6..9) {
        assert!(get(&store, &name(number)).await.is_some(), "entry {number} is gone");
    }
    assert_eq!(store.metrics().spill_errors, 0);
}

/// Replaces or evicts the first victims just before they are taken.
#[derive(Debug)]
struct Before {
    sink: Arc<dyn EvictionSink>,
    store: LayeredStore,
    evicts: bool,
    did: AtomicBool,
}

#[async_trait]
impl EvictionSink for Before {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        if !self.did.swap(true, Ordering::SeqCst) {
            let keys: Vec<_> = victims.iter().map(|victim| victim.meta.key.clone()).collect();
            for key in keys {
                if self.evicts {
                    self.store.evict(&key).await.unwrap();
                } else {
                    self.store.put_bytes(&key, "newer".into()).await.unwrap();
                }
            }
        }
        self.sink.take(victims).await
    }
}

async fn what_is_replaced_or_evicted_before_its_turn_is_not_written_below(open: OpenSource) {
    for evicts in [false, true] {
        // Room for the newer version of one and the whole of three.
        let source = open(&limited(305)).unwrap();
        let below = Reference::volatile().store(&limited(1 << 20)).unwrap();
        let store = stack(&source, below.clone());
        let sink = source.set_sink(None).unwrap();
        let before = Before { sink, store: store.clone(), evicts, did: AtomicBool::new(false) };
        source.set_sink(Some(Arc::new(before)));
        for number in 0..4 {
            assert!(store.put_bytes(&name(number), vec![1; 100].into()).await.unwrap().is_stored());
        }
        assert_eq!(
            below.usage(&Namespace::root()).await.unwrap().entries,
            0,
            "an older version, or an orphan"
        );
        assert_eq!((store.metrics().spills, source.metrics().spills), (0, 0));
        let mut others = Vec::new();
        for number in 0..4 {
            others.extend(get(&store, &name(number)).await.filter(|bytes| bytes.len() != 100));
        }
        assert_eq!(others, if evicts { vec![] } else { vec!["newer"] });
        source.set_sink(None);
    }
}

fn slow(bytes: u64) -> Slow<ReferenceStore> {
    let below = Slow::new(Reference::volatile().store(&limited(bytes)).unwrap());
    below.with_delay(Duration::from_micros(200)).with_jitter(Duration::from_micros(200))
}

async fn tasks_that_evict_each_others_keys_never_wait_for_each_other(open: OpenSource) {
    let store = stack(&open(&limited(300)).unwrap(), slow(1 << 20));
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..60 {
                let key = name((task * 7 + round * 3) % 12);
                let len = usize::try_from(50 + (task * 31 + round * 17) % 200).unwrap();
                match (task + round) % 8 {
                    0 => store.evict(&key).await.unwrap(),
                    1 => {
                        let more = PutEntry::default().with(BlobName::new("b").unwrap(), vec![1; 20]);
                        store.put(&key, more, PutOptions::mode(PutMode::Merge)).await.unwrap();
                    }
                    2 | 3 => _ = store.get_entry(&key, GetOptions::default()).await.unwrap(),
                    4 if round % 16 == 0 => _ = store.flush().await.unwrap(),
                    _ => {
                        let bytes = vec![u8::try_from(task).unwrap(); len];
                        store.put_bytes(&key, bytes.into()).await.unwrap();
                    }
                }
            }
        });
    }
    end(tasks).await;
    assert_eq!(store.metrics().spill_errors, 0);
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert!(usage.entries <= 12, "{usage}");
}

/// One task writes a key, others read it and push it in and out of memory.
async fn versions_never_go_back(open: OpenSource) {
    const WRITERS: u64 = 3;
    let store = stack(&open(&limited(300)).unwrap(), slow(1 << 20));
    let written: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, written) = (store.clone(), Arc::clone(&written));
        tasks.spawn(async move {
            for version in 1..=100_u64 {
                let len = usize::try_from(30 + (version * 37) % 250).unwrap();
                let mut bytes = version.to_le_bytes().to_vec();
                bytes.resize(len.max(8), 0);
                let outcome = store.put_bytes(&name(writer), bytes.into()).await.unwrap();
                assert!(outcome.is_stored(), "{outcome:?}");
                written[usize::try_from(writer).unwrap()].store(version, Ordering::SeqCst);
            }
        });
    }
    for reader in 0..5_u64 {
        let (store, written) = (store.clone(), Arc::clone(&written));
        tasks.spawn(async move {
            for round in 0..200 {
                let writer = (reader + round) % WRITERS;
                let at_least = written[usize::try_from(writer).unwrap()].load(Ordering::SeqCst);
                let found = store.get_bytes(&name(writer), &BlobName::DATA).await.unwrap();
                let version = found.map_or(0, |bytes| u64::from_le_bytes(bytes[..8].try_into().unwrap()));
                assert!(version >= at_least, "read version {version} after {at_least} was written");
                if round % 5 == 0 {
                    store.put_bytes(&name(100 + reader), vec![1; 90].into()).await.unwrap();
                }
            }
        });
    }
    end(tasks).await;
    assert_eq!(store.metrics().spill_errors, 0);
}

async fn listings_beside_spilling_miss_nothing(open: OpenSource) {
    let store =
        stack(&open(&limited(2000)).unwrap(), Reference::volatile().store(&limited(1 << 20)).unwrap());
    let mut keys: Vec<_> = (0..100).map(name).collect();
    for key in &keys {
        store.put_bytes(key, vec![1; 50].into()).await.unwrap();
    }
    keys.sort();
    let mut tasks = JoinSet::new();
    for task in 0..4_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..300 {
                store
                    .get_bytes(&name((task * 25 + round * 7) % 100), &BlobName::DATA)
                    .await
                    .unwrap()
                    .unwrap();
            }
        });
    }
    while !tasks.is_empty() {
        let listed = store.list(cache_core::ListOptions::default()).map_ok(|meta| meta.key);
        assert_eq!(listed.try_collect::<Vec<_>>().await.unwrap(), keys);
        while let Some(task) = tasks.try_join_next() {
            task.unwrap();
        }
    }
}

/// Those that leave are counted by groups of keys, and here all are of one group.
#[tokio::test(start_paused = true)]
async fn a_miss_ends_although_other_keys_are_replaced_all_the_time() {
    let below = Slow::new(Reference::volatile().store(&limited(1 << 20)).unwrap())
        .with_only(&[Call::Get, Call::GetEntry])
        .with_delay(Duration::from_millis(50));
    let source = super::memory(&limited(1 << 20)).unwrap();
    let store = stack(&source, below);
    let missing = key("missing");
    let group = |key: &Key| key.digest.as_bytes()[0] % 64;
    let other = (0..).map(name).find(|other| group(other) == group(&missing)).unwrap();
    let replacing = async {
        loop {
            store.put_bytes(&other, "v".into()).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    };
    let reading = async {
        assert!(store.get_bytes(&missing, &BlobName::DATA).await.unwrap().is_none());
        assert!(store.get_entry(&missing, GetOptions::default()).await.unwrap().is_none());
        assert!(!store.contains(&missing).await.unwrap());
        assert!(store.meta(&missing).await.unwrap().is_none());
    };
    tokio::select! {
        () = reading => {}
        () = replacing => unreachable!(),
        () = sleep(Duration::from_secs(60)) => panic!("a miss of a key that nobody writes did not end"),
    }
}
