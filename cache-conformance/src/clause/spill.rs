//! What a store hands on when it has to evict.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use cache_core::{
    BlobName, CleanPolicy, GetOptions, Handover, Key, ListOptions, Namespace, PutMode, PutStatus, Refusal,
};
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

use crate::{
    Factory,
    sample::{Contents, bytes, data, hours_ago, key, pause, size},
    source::{FIT, Source, Taking, at_once, ends},
};

/// What has to go is handed to the sink, whole and as it was put, and once.
pub async fn victims_are_handed_on_whole_and_once(factory: &dyn Factory) {
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Source::open(factory, &sink).await;
    let total = 4 * FIT;
    for number in 0..total {
        source.put(number).await;
        source.assert_in_budget().await;
    }
    let resident: BTreeSet<_> = source.store.keys(ListOptions::default()).await.into_iter().collect();
    let taken = sink.keys();
    assert!(!taken.is_empty(), "nothing was handed on");
    let distinct: BTreeSet<_> = taken.iter().cloned().collect();
    assert_eq!(distinct.len(), taken.len(), "a victim was handed on twice");
    for number in 0..total {
        let (key, contents) = (key(number), source.contents(number));
        assert_ne!(
            resident.contains(&key),
            distinct.contains(&key),
            "entry {number} is in both or in neither"
        );
        if resident.contains(&key) {
            source.store.assert_holds(&key, &contents).await;
            continue;
        }
        source.store.assert_absent(&key).await;
        sink.look(|victims| {
            let victim = victims.iter().find(|victim| victim.key == key).expect("a victim");
            assert!(victim.contents == contents, "entry {number} was not handed on whole");
            assert_eq!(victim.meta.bytes, Some(size(&contents)), "the bytes of a victim");
            let created = Some(hours_ago(number % 7));
            let same_hour = |time: Option<SystemTime>| {
                time.zip(created).and_then(|(one, other)| {
                    one.duration_since(other).or_else(|_| other.duration_since(one)).ok()
                })
            };
            let off = same_hour(victim.meta.modified);
            assert!(off.is_some_and(|off| off < Duration::from_secs(120)), "when a victim was made");
        });
    }
}

/// A victim is read as before until it was taken.
pub async fn victims_stay_readable_until_taken(factory: &dyn Factory) {
    let sink = Taking::closed();
    let source = Source::open(factory, &sink).await;
    let put = source.waiting_put(&sink).await;
    source.assert_in_budget().await;
    for number in 0..FIT {
        at_once("a read", source.store.assert_holds(&key(number), &source.contents(number))).await;
    }
    sink.let_go();
    ends(put).await;
    source.store.assert_holds(&key(FIT), &source.contents(FIT)).await;
    for victim in sink.keys() {
        source.store.assert_absent(&victim).await;
    }
    source.assert_in_budget().await;
}

/// As long as everything fits, nothing is handed on.
pub async fn nothing_is_handed_on_under_the_budget(factory: &dyn Factory) {
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Source::open(factory, &sink).await;
    source.fill().await;
    for number in 0..FIT {
        source.store.read(&key(number), "a").await.expect("a hit");
        source.put(number).await;
    }
    source.store.flush().await.expect("a flush");
    assert_eq!(sink.keys(), Vec::new(), "what fits was handed on");
    for number in 0..FIT {
        source.store.assert_holds(&key(number), &source.contents(number)).await;
    }
}

/// What callers remove, replace or are refused is not handed on, and neither is what is there at the close.
pub async fn only_evictions_for_room_are_handed_on(factory: &dyn Factory) {
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Source::open(factory, &sink).await;
    let store = &source.store;
    source.fill().await;
    store.put_new(&key(0), &source.contents(50)).await;
    store.put_new(&key(1), &data("replaced")).await;
    store.evict(&key(2)).await.expect("an eviction");
    let large = data(bytes(3, usize::try_from(source.max).expect("a small budget") + 1));
    let refused = store.write(&key(3), &large, PutMode::Replace).await.expect("a put");
    assert!(!refused.is_stored(), "an entry over the budget is stored");
    let half = CleanPolicy::default().with_max_bytes(source.max / 2);
    let report = store.clean(&Namespace::root(), &half).await.expect("a clean");
    assert!(report.evicted_entries > 0, "{report:?}");
    store.close(None).await.expect("a close");
    assert_eq!(sink.keys(), Vec::new(), "what nobody evicted for its room was handed on");
}

/// A slow sink holds up the put that needs room, and no read, listing or removal, nor a put that needs none.
pub async fn slow_sinks_hold_up_puts_only(factory: &dyn Factory) {
    let sink = Taking::closed();
    let source = Source::open(factory, &sink).await;
    let mut put = source.waiting_put(&sink).await;
    let store = &source.store;
    let victims = sink.keys();
    let others: Vec<_> = (0..FIT).filter(|number| !victims.contains(&key(*number))).collect();
    for number in &others {
        at_once("a read", store.read(&key(*number), "a")).await.expect("a hit");
        at_once("an entry", store.contents(&key(*number))).await.expect("a hit");
    }
    assert_eq!(at_once("a listing", store.keys(ListOptions::default())).await.len() as u64, FIT);
    sleep(Duration::from_millis(20)).await;
    assert!(put.try_join_next().is_none(), "the put did not wait for the sink");
    if let [first, second, ..] = others.as_slice() {
        at_once("a put that needs no room", store.put_new(&key(*first), &data("small"))).await;
        at_once("an eviction", store.evict(&key(*second))).await.expect("an eviction");
    }
    sink.let_go();
    ends(put).await;
    source.assert_in_budget().await;
}

/// A put that is dropped while it waits for the sink leaves its victims, and they can be handed on again.
pub async fn dropped_puts_keep_their_victims(factory: &dyn Factory) {
    let sink = Taking::closed();
    let source = Source::open(factory, &sink).await;
    source.fill().await;
    for number in [FIT, FIT + 1] {
        let (key, contents) = (key(number), source.contents(number));
        let put = source.store.put_new(&key, &contents);
        let waits = timeout(Duration::from_millis(50), put).await.is_err();
        assert!(waits, "the put did not wait for the sink");
        source.store.assert_absent(&key).await;
    }
    assert!(!sink.keys().is_empty(), "nothing was handed on");
    for number in 0..FIT {
        at_once("a read", source.store.assert_holds(&key(number), &source.contents(number))).await;
    }
    let before = sink.keys().len();
    sink.let_go();
    for number in FIT..3 * FIT {
        at_once("a put", source.put(number)).await;
        source.assert_in_budget().await;
    }
    let taken: BTreeSet<_> = sink.keys().split_off(before).into_iter().collect();
    for number in 0..3 * FIT {
        let there = source.store.contains(&key(number)).await.expect("an answer");
        assert_ne!(there, taken.contains(&key(number)), "entry {number} is in both or in neither");
    }
}

/// A victim that the sink has no hands for stays, another one goes; if none can, the put is refused.
pub async fn busy_victims_stay(factory: &dyn Factory) {
    let kept: Vec<_> = (0..FIT / 2).map(key).collect();
    let all = Arc::new(AtomicBool::new(false));
    let (busy, none) = (kept.clone(), Arc::clone(&all));
    let sink = Taking::answering(move |key| {
        let no = none.load(Ordering::SeqCst) || busy.contains(key);
        if no { Handover::Busy } else { Handover::Taken }
    });
    let source = Source::open(factory, &sink).await;
    for number in 0..3 * FIT {
        source.put(number).await;
        source.assert_in_budget().await;
    }
    for number in 0..FIT / 2 {
        source.store.assert_holds(&key(number), &source.contents(number)).await;
    }
    all.store(true, Ordering::SeqCst);
    let before = source.store.keys(ListOptions::default()).await;
    let evictions = source.store.metrics().evictions;
    let contents = source.contents(500);
    let put = at_once("a put", source.store.write(&key(500), &contents, PutMode::Replace)).await;
    assert_eq!(put.expect("a put").status, PutStatus::Refused(Refusal::NoRoom), "nobody could go");
    assert_eq!(source.store.keys(ListOptions::default()).await, before, "who stays after a refusal");
    assert_eq!(source.store.metrics().evictions, evictions, "who stays is no eviction");
    all.store(false, Ordering::SeqCst);
    source.put(500).await;
    source.store.assert_holds(&key(500), &contents).await;
}

/// Victims that go are evictions, those that were taken spills, those that were lost are counted apart.
pub async fn handovers_are_counted(factory: &dyn Factory) {
    fn answer(key: &Key) -> Handover {
        let number = (0..4 * FIT).find(|number| self::key(*number) == *key).expect("a sample");
        match number % 4 {
            0 => Handover::Taken,
            1 => Handover::Known,
            2 => Handover::Lost,
            _ => Handover::Taken,
        }
    }
    let sink = Taking::answering(answer);
    let source = Source::open(factory, &sink).await;
    for number in 0..4 * FIT {
        source.put(number).await;
        // Also with what was lost.
        source.assert_in_budget().await;
    }
    let victims = sink.keys();
    for victim in &victims {
        source.store.assert_absent(victim).await;
    }
    let count = |wanted| victims.iter().filter(|key| answer(key) == wanted).count() as u64;
    let metrics = source.store.metrics();
    assert_eq!(metrics.evictions, victims.len() as u64, "evictions");
    assert_eq!(metrics.evicted_bytes, victims.len() as u64 * (source.each / 2 * 2) as u64, "their bytes");
    assert_eq!(metrics.spills, count(Handover::Taken), "spills");
    assert_eq!(metrics.spill_errors, count(Handover::Lost), "lost ones");
    assert!(count(Handover::Taken) > 0 && count(Handover::Known) > 0 && count(Handover::Lost) > 0);
}

/// What is put over a victim while it is taken stays, and what is evicted meanwhile stays away.
pub async fn what_replaces_a_victim_stays(factory: &dyn Factory) {
    for evicts in [false, true] {
        let sink = Taking::closed();
        let source = Source::open(factory, &sink).await;
        // A durable one has the entries of the round before.
        let none = CleanPolicy::default().with_max_bytes(0);
        source.store.clean(&Namespace::root(), &none).await.expect("a clean");
        let put = source.waiting_put(&sink).await;
        let victim = sink.keys().first().cloned().expect("a victim");
        if evicts {
            at_once("an eviction", source.store.evict(&victim)).await.expect("an eviction");
        } else {
            at_once("a put that needs no room", source.store.put_new(&victim, &data("new"))).await;
        }
        sink.let_go();
        ends(put).await;
        if evicts {
            source.store.assert_absent(&victim).await;
        } else {
            source.store.assert_holds(&victim, &data("new")).await;
        }
        source.store.assert_holds(&key(FIT), &source.contents(FIT)).await;
        source.assert_in_budget().await;
    }
}

/// Many puts at the same time hand on each victim once, and stay within the budget.
pub async fn concurrent_puts_hand_on_each_victim_once(factory: &dyn Factory) {
    const TASKS: u64 = 8;
    const ROUNDS: u64 = 12;
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Arc::new(Source::open(factory, &sink).await);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let source = Arc::clone(&source);
        tasks.spawn(async move {
            let mut stored = Vec::new();
            for round in 0..ROUNDS {
                let number = task * ROUNDS + round;
                let contents = source.contents(number);
                let put = source.store.write(&key(number), &contents, PutMode::Replace).await;
                match put.expect("a put").status {
                    PutStatus::Stored => stored.push(number),
                    // All the room is that of other puts.
                    status => assert_eq!(status, PutStatus::Refused(Refusal::NoRoom)),
                }
                source.assert_in_budget().await;
                yield_now().await;
            }
            stored
        });
    }
    let mut stored = Vec::new();
    while let Some(task) = tasks.join_next().await {
        stored.extend(task.unwrap_or_else(|error| panic!("{error}")));
    }
    let taken = sink.keys();
    let distinct: BTreeSet<_> = taken.iter().cloned().collect();
    assert_eq!(distinct.len(), taken.len(), "a victim was handed on twice");
    for number in stored {
        let there = source.store.contents(&key(number)).await;
        assert_ne!(
            there.is_some(),
            distinct.contains(&key(number)),
            "entry {number} is in both or in neither"
        );
        assert!(there.is_none_or(|there| there == source.contents(number)), "entry {number} is another");
    }
    let metrics = source.store.metrics();
    assert_eq!((metrics.evictions, metrics.spills), (taken.len() as u64, taken.len() as u64));
}

/// Without a sink, what has to go is gone, as from any store.
pub async fn without_a_sink_nothing_is_handed_on(factory: &dyn Factory) {
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Source::open(factory, &sink).await;
    let old = source.source.set_sink(None).expect("the sink that was set");
    assert!(std::ptr::addr_eq(Arc::as_ptr(&old), Arc::as_ptr(&sink)), "another sink comes back");
    for number in 0..2 * FIT {
        source.put(number).await;
        source.assert_in_budget().await;
    }
    let metrics = source.store.metrics();
    assert_eq!(sink.keys(), Vec::new(), "a sink that was taken away is asked");
    assert!(metrics.evictions > 0 && metrics.spills == 0, "{metrics:?}");
    assert!(source.source.set_sink(Some(old)).is_none(), "no sink was set");
    source.put(3 * FIT).await;
    assert_eq!(sink.keys().len() as u64, source.store.metrics().spills);
    assert!(!sink.keys().is_empty(), "nothing was handed on to a sink that was set again");
}

/// A peek is the whole entry, is no read, and keeps no entry alive.
pub async fn peeking_is_no_read(factory: &dyn Factory) {
    let sink = Taking::answering(|_| Handover::Taken);
    let source = Source::open(factory, &sink).await;
    source.fill().await;
    let before = source.store.meta(&key(1)).await.expect("an answer").expect("an entry");
    let counted = source.store.metrics();
    pause().await;
    let found = source.source.peek(&key(1)).expect("an entry");
    assert_eq!(found.meta.bytes, before.bytes, "the bytes that a peek tells");
    assert_eq!(found.meta.modified, before.modified, "the time that a peek tells");
    let mut contents = Contents::new();
    for (name, blob) in found.blobs {
        contents.insert(name.to_string(), blob.collect(u64::MAX).await.expect("a blob"));
    }
    assert!(contents == source.contents(1), "a peek has other blobs");
    assert!(source.source.peek(&key(999)).is_none(), "a peek finds what is not there");
    let after = source.store.meta(&key(1)).await.expect("an answer").expect("an entry");
    assert_eq!(
        (after.last_accessed, after.access_count),
        (before.last_accessed, before.access_count),
        "a peek is a read"
    );
    let metrics = source.store.metrics();
    assert_eq!((metrics.hits, metrics.misses), (counted.hits, counted.misses), "a peek is counted");
    let read = source.store.get(&key(1), &BlobName::DATA, GetOptions::default()).await;
    assert!(read.expect("an answer").is_none());
    source.store.close(None).await.expect("a close");
    assert!(source.source.peek(&key(1)).is_none(), "a closed store is peeked into");
}
