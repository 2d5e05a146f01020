//! Many tasks at the same time.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache_core::{BlobName, GetOptions, ListOptions, Namespace, PutMode, PutOptions};
use futures::StreamExt;
use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
    time::sleep,
};

use crate::{
    Factory, Setup,
    ages::Ages,
    sample::{Contents, blobs, bytes, data, key, key_in, name, namespace, size},
    subject::Subject,
};

const TASKS: u64 = 8;

/// Runs a future for each number in a task of its own; all of them begin together. What they answer, in
/// no order.
async fn together<F>(tasks: u64, work: impl Fn(u64) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let start = Arc::new(Barrier::new(usize::try_from(tasks).expect("few tasks")));
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (start, work) = (Arc::clone(&start), work(task));
        running.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = running.join_next().await {
        answers.push(answer.unwrap_or_else(|error| panic!("{error}")));
    }
    answers
}

/// One of a few, in turns.
fn nth<T: Copy, const N: usize>(few: [T; N], number: u64) -> T {
    few[usize::try_from(number).expect("a small number") % N]
}

/// Blobs that all tell which version they are of.
fn version(number: u64, len: usize) -> Contents {
    blobs([("a", bytes(number, len)), ("b", bytes(number + 1000, 300)), ("c", bytes(number + 2000, 300))])
}

/// While an entry is replaced, all blobs and all pieces that one read hands out are of one version.
pub async fn reads_beside_writers_are_never_torn(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    // Small ones are replaced often, large ones come in several pieces.
    let entries = [(1, 300, 40), (2, 150_000, 4)].map(|(number, len, reads)| {
        let versions: Vec<_> = (0..12).map(|number| version(number, len)).collect();
        (key(number), Arc::new(versions), reads)
    });
    for (key, versions, _) in &entries {
        store.put_new(key, &versions[0]).await;
    }
    let reading = Arc::new(AtomicU64::new(4));
    together(6, |task| {
        let (store, reading) = (store.clone(), Arc::clone(&reading));
        let (key, versions, reads) = entries[usize::from(task >= 3)].clone();
        async move {
            if task % 3 == 0 {
                for version in versions.iter().cycle() {
                    if reading.load(Ordering::SeqCst) == 0 {
                        return;
                    }
                    store.put_new(&key, version).await;
                    yield_now().await;
                }
            }
            let options = GetOptions::default().with_stream_above(if task == 1 { u64::MAX } else { 0 });
            for _ in 0..reads {
                if task == 4 {
                    let read = store.get(&key, &name("a"), options.clone()).await.expect("a read");
                    let bytes = slowly(read.expect("a blob that is replaced is never absent")).await;
                    let whole =
                        bytes.is_none_or(|bytes| versions.iter().any(|version| version["a"] == bytes));
                    assert!(whole, "a stream mixes versions");
                    continue;
                }
                let read = store.get_entry(&key, options.clone()).await.expect("a read");
                let mut found = Some(Contents::new());
                for (name, blob) in read.expect("an entry that is replaced is never absent").blobs {
                    let bytes = slowly(blob).await;
                    found = found.zip(bytes).map(|(mut found, bytes)| {
                        found.insert(name.as_str().to_owned(), bytes);
                        found
                    });
                }
                assert!(found.is_none_or(|found| versions.contains(&found)), "get_entry mixes versions");
            }
            reading.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    for (key, versions, _) in &entries {
        let last = store.contents(key).await.expect("an entry");
        assert!(versions.contains(&last), "blobs of two versions are left");
        store.assert_holds(key, &last).await;
    }
}

/// All pieces, with time for others between them; `None` if the stream ends in an error, as it may when its
/// version is gone.
async fn slowly(blob: cache_core::Blob) -> Option<Bytes> {
    let (len, mut stream, mut bytes) = (blob.len(), blob.into_stream(), Vec::new());
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.ok()?);
        if bytes.len() as u64 != len {
            sleep(Duration::from_millis(1)).await;
        }
    }
    Some(bytes.into())
}

/// What many tasks put under many keys is there, and is seen by each as soon as its put returns.
pub async fn acknowledged_puts_are_never_lost(factory: &dyn Factory) {
    const EACH: u64 = 12;
    let store = Subject::open(factory).await;
    let place = |number: u64| key_in(&namespace(nth(["", "a", "a/b"], number)), number);
    let contents = |number: u64| blobs([("data", bytes(number, 500)), ("log", bytes(number + 1000, 20))]);
    together(TASKS, |task| {
        let store = store.clone();
        async move {
            for number in task * EACH..(task + 1) * EACH {
                store.put_new(&place(number), &contents(number)).await;
                let seen = store.contents(&place(number)).await;
                assert!(seen == Some(contents(number)), "a put is acknowledged before it is visible");
            }
        }
    })
    .await;
    let total = TASKS * EACH;
    let mut keys: Vec<_> = (0..total).map(place).collect();
    for (number, key) in (0..).zip(&keys) {
        assert!(store.contents(key).await == Some(contents(number)), "an acknowledged put is lost: {key}");
    }
    keys.sort();
    assert_eq!(store.keys(ListOptions::default().recursive()).await, keys, "listing");
    store.assert_usage(&Namespace::root(), total, total * 520).await;
}

/// Identical puts at the same time are all stored and leave one entry, which counts once.
pub async fn identical_puts_leave_one_entry(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for round in 0..10 {
        let contents = blobs([("data", bytes(round, 3000)), ("log", bytes(round + 100, 50))]);
        let mode = nth([PutMode::Replace, PutMode::Merge, PutMode::Fill], round);
        together(TASKS, |_| {
            let (store, contents) = (store.clone(), contents.clone());
            async move { store.put_as(&key(round), &contents, PutOptions::mode(mode)).await }
        })
        .await;
        store.assert_holds(&key(round), &contents).await;
        store.assert_usage(&Namespace::root(), round + 1, (round + 1) * size(&contents)).await;
    }
    for round in 0..10 {
        store.evict(&key(round)).await.expect("an eviction");
    }
    store.assert_usage(&Namespace::root(), 0, 0).await;
}

/// A put that races an eviction leaves a whole entry or none, and neither of them fails.
pub async fn puts_that_race_evictions_leave_all_or_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let contents = |number: u64| blobs(["a", "b", "c"].map(|name| (name, bytes(number, 2000))));
    let whole = move |found: &Contents| (0..4).any(|number| *found == contents(number));
    for round in 0..10 {
        together(TASKS, |task| {
            let store = store.clone();
            async move {
                for turn in 0..4 {
                    match task {
                        0..=2 => store.put_new(&key(round), &contents(turn)).await,
                        3..=5 => store.evict(&key(round)).await.expect("an eviction"),
                        _ => {
                            let found = store.contents(&key(round)).await;
                            assert!(found.as_ref().is_none_or(whole), "a part of an entry: {found:?}");
                        }
                    }
                    yield_now().await;
                }
            }
        })
        .await;
        let left = store.contents(&key(round)).await;
        match &left {
            Some(left) if whole(left) => store.assert_holds(&key(round), left).await,
            Some(left) => panic!("a part of an entry is left: {:?}", left.keys()),
            None => store.assert_absent(&key(round)).await,
        }
        store
            .assert_usage(&Namespace::root(), u64::from(left.is_some()), left.as_ref().map_or(0, size))
            .await;
        store.evict(&key(round)).await.expect("an eviction");
        store.assert_absent(&key(round)).await;
    }
}

/// Evictions of one entry by many tasks all succeed and take nothing else.
pub async fn concurrent_evictions_all_succeed(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let contents = blobs([("data", bytes(1, 2000)), ("log", bytes(2, 50))]);
    store.put_new(&key(100), &contents).await;
    for round in 0..10 {
        store.put_new(&key(round), &contents).await;
        let answers = together(TASKS, |_| {
            let store = store.clone();
            async move { store.evict(&key(round)).await }
        });
        for answer in answers.await {
            answer.unwrap_or_else(|error| panic!("an eviction beside others fails: {error}"));
        }
        store.assert_absent(&key(round)).await;
    }
    store.assert_holds(&key(100), &contents).await;
    store.assert_usage(&Namespace::root(), 1, size(&contents)).await;
}

/// After many tasks have worked, every lookup, question and put was counted once.
pub async fn counts_are_true_after_concurrent_work(factory: &dyn Factory) {
    const EACH: u64 = 20;
    let store = Subject::open(factory).await;
    let contents = data(bytes(1, 1000));
    store.put_new(&key(0), &contents).await;
    let before = store.metrics();
    let inline = Arc::new(AtomicU64::new(0));
    together(TASKS, |task| {
        let (store, contents, inline) = (store.clone(), contents.clone(), Arc::clone(&inline));
        async move {
            for turn in 0..EACH {
                store.read(&key(0), "data").await.expect("a hit");
                store.contents(&key(0)).await.expect("a hit");
                assert_eq!(store.read(&key(1), "data").await, None);
                assert!(store.contains(&key(0)).await.expect("an answer"));
                assert!(!store.contains(&key(1)).await.expect("an answer"));
                let hit = store.get_now(key(0).view(), &BlobName::DATA).is_some();
                inline.fetch_add(u64::from(hit), Ordering::SeqCst);
                store.put_new(&key(1000 + task * EACH + turn), &contents).await;
                yield_now().await;
            }
        }
    })
    .await;
    let counted = store.metrics().since(&before);
    let (turns, inline) = (TASKS * EACH, inline.load(Ordering::SeqCst));
    assert_eq!((counted.hits, counted.misses), (2 * turns + inline, turns), "lookups: {counted:?}");
    assert_eq!(counted.bytes_out, (2 * turns + inline) * 1000, "{counted:?}");
    assert_eq!((counted.contains_hits, counted.contains_misses), (turns, turns), "questions: {counted:?}");
    assert_eq!((counted.puts, counted.refused_puts, counted.put_errors), (turns, 0, 0), "{counted:?}");
    assert_eq!((counted.bytes_in, counted.errors), (turns * 1000, 0), "{counted:?}");
    store.assert_usage(&Namespace::root(), turns + 1, (turns + 1) * 1000).await;
}

/// A store is within its budget after a flush although many tasks have put, and can use all of it.
pub async fn budget_is_kept_beside_concurrent_puts(factory: &dyn Factory) {
    const BUDGET: usize = 64 << 10;
    const ENTRY: usize = 8 << 10;
    let setup = Setup::default().with_max_bytes(BUDGET as u64);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let max = store.info().max_bytes.expect("a budget");
    let root = Namespace::root();
    let added = usize::try_from(store.added_bytes(&["data"]).await).expect("a small number");
    let contents =
        |number: u64| blobs([("a", bytes(number, ENTRY / 2)), ("b", bytes(number + 1000, ENTRY / 2))]);
    for round in 0..3 {
        let numbers = move |task: u64| (0..6).map(move |turn| (round * TASKS + task) * 6 + turn);
        let stored = together(TASKS, |task| {
            let store = store.clone();
            async move {
                let mut stored = 0;
                for number in numbers(task) {
                    // While others are under way, there may be no room.
                    let put = store.write(&key(number), &contents(number), PutMode::Replace).await;
                    stored += u64::from(put.expect("a put").is_stored());
                    yield_now().await;
                }
                stored
            }
        });
        assert!(stored.await.into_iter().sum::<u64>() > 0, "every put was refused");
        store.flush().await.expect("a flush");
        let usage = store.usage_below(&root).await;
        assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes");
        for number in (0..TASKS).flat_map(numbers) {
            let found = store.contents(&key(number)).await;
            assert!(found.is_none_or(|found| found == contents(number)), "half an entry");
        }
        let full = data(bytes(round, BUDGET - added));
        store.put_new(&key(9000 + round), &full).await;
        store.assert_holds(&key(9000 + round), &full).await;
    }
}

/// Beside writers a listing has no entry twice, none out of place, and none that nobody has put.
pub async fn listing_beside_writers_has_no_strangers(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let inside = namespace("a");
    let stay: BTreeSet<_> = (0..10).map(|number| key_in(&inside, number)).collect();
    let come_and_go: Vec<_> = (10..20).map(|number| key_in(&inside, number)).collect();
    let known: BTreeSet<_> = stay.iter().chain(&come_and_go).cloned().collect();
    for key in &stay {
        store.put_new(key, &data("stays")).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    together(3, |task| {
        let (store, done, come_and_go) = (store.clone(), Arc::clone(&done), come_and_go.clone());
        let (inside, stay, known) = (inside.clone(), stay.clone(), known.clone());
        async move {
            // One writes in the namespace, one around it, and one looks.
            for (round, inside) in (0..).zip(come_and_go.iter().cycle()) {
                if task == 2 || done.load(Ordering::SeqCst) {
                    break;
                }
                let outside = key_in(&namespace(nth(["", "a/b", "aa"], round)), round % 10);
                let key = if task == 0 { inside } else { &outside };
                if (round / 10 + round) % 3 == 0 {
                    store.evict(key).await.expect("an eviction");
                } else {
                    store.put_new(key, &data(bytes(round, 100))).await;
                }
                yield_now().await;
            }
            for _ in 0..if task == 2 { 30 } else { 0 } {
                let listing = store.list(ListOptions::of(&inside)).map(|entry| entry.expect("an entry").key);
                let listed: Vec<_> = listing.collect().await;
                assert!(listed.windows(2).all(|pair| pair[0] < pair[1]), "twice or out of place: {listed:?}");
                let listed: BTreeSet<_> = listed.into_iter().collect();
                assert!(listed.is_subset(&known), "strangers: {:?}", listed.difference(&known));
                assert!(stay.is_subset(&listed), "missing: {:?}", stay.difference(&listed));
                yield_now().await;
            }
            done.store(true, Ordering::SeqCst);
        }
    })
    .await;
}

/// A clean by age takes the old entries, and none that is put meanwhile and was never old.
pub async fn clean_beside_puts_leaves_what_is_new(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let root = Namespace::root();
    // Where ages are not told, what one round leaves is old in the next one.
    let rounds = if Ages::of(&store).are_told() { 3 } else { 1 };
    for round in 0..rounds {
        let mut ages = Ages::of(&store);
        let old = ages.made(5).await;
        for number in 0..8 {
            store.put_as(&key(number), &data("old"), old.clone()).await;
        }
        ages.made(0).await;
        together(3, |task| {
            let (store, root, ages) = (store.clone(), root.clone(), ages.clone());
            async move {
                for number in 0..12 {
                    if task > 0 {
                        let number = 1000 + (round * 3 + task) * 12 + number;
                        store.put_new(&key(number), &data(bytes(number, 100))).await;
                    } else if number % 4 == 0 {
                        store.clean(&root, &ages.up_to(0)).await.expect("a clean");
                    }
                    yield_now().await;
                }
            }
        })
        .await;
        for number in 0..8 {
            store.assert_absent(&key(number)).await;
        }
        for number in (1..3).flat_map(|task| (0..12).map(move |at| 1000 + (round * 3 + task) * 12 + at)) {
            let found = store.contents(&key(number)).await;
            assert!(found == Some(data(bytes(number, 100))), "a clean has taken what was put beside it");
        }
    }
    store.assert_usage(&root, 24 * rounds, 2400 * rounds).await;
}
