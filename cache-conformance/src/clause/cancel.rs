//! Futures and streams that are dropped before their end.

use std::time::{Duration, Instant};

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
};
use futures::{StreamExt, future::BoxFuture};
use tokio::time::{sleep, timeout};

use crate::{
    Factory, Setup,
    ages::Ages,
    pace::{POLLS, Pace},
    run,
    sample::{
        Contents, blobs, bytes, data, endless_stream, entry, key, key_in, name, namespace, size, stream_of,
    },
    subject::Subject,
};

/// What must not wait for something that was dropped.
async fn at_once<F: Future>(what: &str, future: F) -> F::Output {
    let answer = timeout(run::options().limit / 30, future).await;
    answer.unwrap_or_else(|_| panic!("{what} still waits for what was dropped"))
}

fn old() -> Contents {
    blobs([("a", bytes(1, 5000)), ("b", bytes(2, 300_000))])
}

/// A read, a question or a count that is dropped at any point changes nothing.
pub async fn dropped_reads_change_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let (key, name, root) = (key(1), name("b"), Namespace::root());
    store.put_new(&key, &old()).await;
    for polls in 0..POLLS {
        for stream_above in [0, u64::MAX] {
            let options = GetOptions::default().with_stream_above(stream_above);
            pace.poll_and_drop(polls, store.get(&key, &name, options.clone())).await;
            pace.poll_and_drop(polls, store.get_entry(&key, options)).await;
        }
        pace.poll_and_drop(polls, store.contains(&key)).await;
        pace.poll_and_drop(polls, store.meta(&key)).await;
        pace.poll_and_drop(polls, store.usage(&root)).await;
        at_once("a read", store.assert_holds(&key, &old())).await;
        store.assert_usage(&root, 1, size(&old())).await;
    }
}

/// Behind a stream that is dropped half-read, the entry can be read, replaced and evicted at once.
pub async fn dropped_stream_lets_go_of_its_entry(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let streamed = || GetOptions::default().with_stream_above(0);
    for pieces in 0..4 {
        let key = key(pieces);
        for whole_entry in [false, true] {
            store.put_new(&key, &old()).await;
            let mut streams = Vec::new();
            if whole_entry {
                let read = store.get_entry(&key, streamed()).await.expect("a read").expect("a hit");
                streams.extend(read.blobs.into_iter().map(|(_, blob)| blob.into_stream()));
            } else {
                let read = store.get(&key, &name("b"), streamed()).await.expect("a read").expect("a hit");
                streams.push(read.into_stream());
            }
            for stream in &mut streams {
                for _ in 0..pieces {
                    if let Some(piece) = stream.next().await {
                        piece.expect("a piece");
                    }
                }
            }
            drop(streams);
            at_once("a read", store.assert_holds(&key, &old())).await;
            at_once("a put", store.put_new(&key, &data("new"))).await;
            at_once("a read", store.assert_holds(&key, &data("new"))).await;
            at_once("an eviction", store.evict(&key)).await.expect("an eviction");
            store.assert_absent(&key).await;
        }
    }
    store.assert_usage(&Namespace::root(), 0, 0).await;
}

/// Behind a listing that is dropped after any number of entries, entries can come, go and be listed at once.
pub async fn dropped_listing_lets_go_of_the_store(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let keys: Vec<_> =
        ["", "a"].iter().flat_map(|path| (0..4).map(|at| key_in(&namespace(path), at))).collect();
    for key in &keys {
        store.put_new(key, &data("value")).await;
    }
    let mut sorted = keys.clone();
    sorted.sort();
    for listed in 0..=keys.len() {
        let mut listing = store.list(ListOptions::default().recursive());
        for _ in 0..listed {
            listing.next().await.expect("an entry").expect("an entry");
        }
        // The next one is waited for when it is dropped.
        _ = futures::poll!(listing.next());
        drop(listing);
        let key = &keys[listed % keys.len()];
        at_once("an eviction", store.evict(key)).await.expect("an eviction");
        at_once("a put", store.put_new(key, &data("value"))).await;
        let all = at_once("a listing", store.keys(ListOptions::default().recursive())).await;
        assert_eq!(all, sorted, "after a listing that was dropped after {listed} entries");
    }
}

/// An eviction that is dropped at any point leaves the whole entry or nothing of it.
pub async fn dropped_evict_leaves_all_or_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let contents = blobs([("a", bytes(1, 5000)), ("b", bytes(2, 50)), ("c", bytes(3, 70_000))]);
    for polls in 0..POLLS {
        // A namespace each, so that what goes on behind one future shows in no other case.
        let key = key_in(&namespace(&format!("evict {polls}")), 1);
        store.put_new(&key, &contents).await;
        let evicted = pace.poll_and_drop(polls, store.evict(&key)).await;
        let done = evicted.is_some();
        evicted.unwrap_or(Ok(())).expect("an eviction");
        let left = store.settles(&key, &[None, (!done).then_some(&contents)]).await;
        assert!(polls > 0 || left.is_some(), "an eviction that was never polled was carried out");
        at_once("an eviction", store.evict(&key)).await.expect("an eviction");
        store.assert_absent(&key).await;
    }
}

/// A clean that is dropped at any point leaves whole entries and all that it has to keep.
pub async fn dropped_clean_leaves_whole_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let contents = blobs([("a", bytes(1, 5000)), ("b", bytes(2, 50))]);
    let mut ages = Ages::of(&store);
    let scope = |polls| namespace(&format!("clean {polls}"));
    for (hours, numbers) in [(5, 0..4), (0, 4..6)] {
        let made = ages.made(hours).await;
        for polls in 0..POLLS {
            for number in numbers.clone() {
                store.put_as(&key_in(&scope(polls), number), &contents, made.clone()).await;
            }
        }
    }
    for polls in 0..POLLS {
        let scope = scope(polls);
        let report = pace.poll_and_drop(polls, store.clean(&scope, &ages.up_to(0))).await;
        let done = report.is_some_and(|report| report.expect("a clean").evicted_entries == 4);
        for number in 0..4 {
            let found = store.contents(&key_in(&scope, number)).await;
            assert!(
                found.is_none() || !done && found.as_ref() == Some(&contents),
                "a part of an entry is left"
            );
        }
        let rest = at_once("a clean", store.clean(&scope, &ages.up_to(0))).await.expect("a clean");
        assert_eq!(rest.kept_entries, 2, "{rest:?}");
        for number in 0..6 {
            match number {
                0..4 => store.assert_absent(&key_in(&scope, number)).await,
                _ => store.assert_holds(&key_in(&scope, number), &contents).await,
            }
        }
        store.assert_usage(&scope, 2, 2 * size(&contents)).await;
    }
}

/// A flush that is dropped at any point forgets nothing: the next one covers the same entries.
pub async fn dropped_flush_forgets_nothing(factory: &dyn Factory) {
    let mut store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let durable = store.info().powers.durable;
    let contents = |number| blobs([("a", bytes(number, 5000)), ("b", bytes(number + 100, 50))]);
    for polls in 0..POLLS {
        store.put_new(&key(polls), &contents(polls)).await;
        let flushed = pace.poll_and_drop(polls, store.flush()).await;
        let done = flushed.is_some();
        flushed.map(|report| report.expect("a flush"));
        let report = at_once("a flush", store.flush()).await.expect("a flush");
        assert_eq!(report.durable, durable, "{report:?}");
        store.assert_holds(&key(polls), &contents(polls)).await;
        if durable {
            // What was flushed survives the harshest end that there is.
            match factory.crash() {
                Some(crash) => crash.crash().await.expect("a crash"),
                None => _ = store.close(None).await.expect("a close"),
            }
            drop(store);
            store = Subject::open(factory).await;
        }
        for number in 0..=polls {
            store.assert_holds(&key(number), &contents(number)).await;
        }
        if done {
            return;
        }
    }
}

/// A store whose `close` was polled once is closed, and can be closed again.
pub async fn dropped_close_has_closed(factory: &dyn Factory) {
    for polls in 1..4 {
        let store = Subject::open(factory).await;
        store.put_new(&key(polls), &data("value")).await;
        let pace = Pace::of(&store).await;
        if let Some(report) = pace.poll_and_drop(polls, store.close(None)).await {
            report.expect("a close");
        }
        let read = at_once("a read", store.get(&key(polls), &BlobName::DATA, GetOptions::default())).await;
        assert_eq!(read.err().map(|error| error.kind()), Some(ErrorKind::Closed), "get after {polls} polls");
        let put = store.put(&key(polls), PutEntry::data("new"), PutOptions::default()).await;
        assert_eq!(put.err().map(|error| error.kind()), Some(ErrorKind::Closed), "put after {polls} polls");
        assert_eq!(store.get_now(key(polls).view(), &BlobName::DATA), None, "get_now after {polls} polls");
        at_once("a close", store.close(None)).await.expect("a second close");
    }
}

/// A fill that is dropped at any point leaves the old entry or the filled one.
pub async fn dropped_fill_leaves_old_or_new(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let old = blobs([("a", bytes(1, 5000)), ("b", bytes(2, 50))]);
    let new = blobs([("b", bytes(3, 500)), ("c", bytes(4, 70_000)), ("d", bytes(5, 70))]);
    let mut filled = new.clone();
    filled.append(&mut old.clone());
    let fill = || PutOptions::mode(PutMode::Fill);
    for polls in 0..POLLS {
        for (case, before, after) in
            [("over", Some(&old), &filled), ("absent", None, &new), ("streamed", Some(&old), &filled)]
        {
            let key = key_in(&namespace(&format!("{case} {polls}")), 1);
            if let Some(before) = before {
                store.put_new(&key, before).await;
            }
            let mut put = entry(&new);
            if case == "streamed" {
                put = new.iter().fold(PutEntry::default(), |put, (text, bytes)| {
                    put.with_stream(name(text), None, stream_of(bytes))
                });
            }
            let outcome = pace.poll_and_drop(polls, store.put(&key, put, fill())).await;
            let done = outcome.map(|outcome| assert!(outcome.expect("a put").is_stored())).is_some();
            store.settles(&key, &[if done { Some(after) } else { before }, Some(after)]).await;
        }
        let key = key_in(&namespace(&format!("endless {polls}")), 1);
        store.put_new(&key, &old).await;
        let endless = PutEntry::default().with(name("c"), "new").with_stream(
            name("d"),
            None,
            endless_stream(&bytes(6, 200_000)),
        );
        assert!(
            pace.poll_and_drop(polls, store.put(&key, endless, fill())).await.is_none(),
            "it has not ended"
        );
        store.settles(&key, &[Some(&old)]).await;
    }
}

/// However many puts are dropped under a budget, all of it can be used afterwards.
pub async fn dropped_puts_leak_no_budget(factory: &dyn Factory) {
    const BUDGET: usize = 64 << 10;
    let setup = Setup::default().with_max_bytes(BUDGET as u64);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    let pace = Pace::of(&store).await;
    let (root, part) = (Namespace::root(), BUDGET / 3);
    let added = usize::try_from(store.added_bytes(&["data"]).await).expect("a small number");
    for polls in 0..POLLS {
        for (number, mode) in (0..).zip([PutMode::Replace, PutMode::Merge, PutMode::Fill]) {
            let whole = bytes(polls, part);
            let entries = [
                PutEntry::data(whole.clone()),
                PutEntry::default().with_stream(BlobName::DATA, Some(part as u64), stream_of(&whole)),
                PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&whole)),
                PutEntry::default().with_stream(BlobName::DATA, Some(part as u64), endless_stream(&whole)),
                PutEntry::default().with_stream(BlobName::DATA, None, endless_stream(&whole)),
            ];
            for put in entries {
                let outcome =
                    pace.poll_and_drop(polls, store.put(&key(number), put, PutOptions::mode(mode))).await;
                outcome.map(|outcome| outcome.expect("a put"));
            }
        }
    }
    // What goes on behind dropped futures may hold its room until it has ended.
    let full = data(bytes(99, BUDGET - added));
    let began = Instant::now();
    while !store.write(&key(99), &full, PutMode::Replace).await.expect("a put").is_stored() {
        assert!(began.elapsed() < run::options().limit / 30, "dropped puts keep their room");
        sleep(Duration::from_millis(5)).await;
    }
    store.assert_holds(&key(99), &full).await;
    // Those that were not dropped may be as recent as this one.
    for number in 0..3 {
        store.evict(&key(number)).await.expect("an eviction");
    }
    store.flush().await.expect("a flush");
    let usage = store.usage_below(&root).await;
    assert!(usage.bytes <= store.info().max_bytes.expect("a budget"), "{usage}");
    store.assert_usage(&root, 1, size(&full)).await;
}

/// After an operation that is dropped at any point, its key can be used at once.
pub async fn dropped_operations_leave_no_lock(factory: &dyn Factory) {
    type Operation = for<'a> fn(&'a Subject, &'a Key) -> BoxFuture<'a, ()>;

    let store = Subject::open(factory).await;
    let pace = Pace::of(&store).await;
    let operations: [(&str, Operation); 9] = [
        ("put", |store, key| Box::pin(async { _ = store.write(key, &old(), PutMode::Replace).await })),
        ("merge", |store, key| Box::pin(async { _ = store.write(key, &old(), PutMode::Merge).await })),
        ("fill", |store, key| Box::pin(async { _ = store.write(key, &old(), PutMode::Fill).await })),
        ("streamed put", |store, key| {
            Box::pin(async {
                let endless = endless_stream(&bytes(5, 200_000));
                let put = PutEntry::default().with_stream(name("c"), None, endless);
                _ = store.put(key, put, PutOptions::mode(PutMode::Merge)).await;
            })
        }),
        ("get", |store, key| Box::pin(async { _ = store.get(key, &name("b"), GetOptions::default()).await })),
        ("get_entry", |store, key| Box::pin(async { _ = store.get_entry(key, GetOptions::default()).await })),
        ("evict", |store, key| Box::pin(async { _ = store.evict(key).await })),
        ("clean", |store, key| {
            Box::pin(async {
                _ = store.clean(&key.namespace, &CleanPolicy::default().with_max_bytes(0)).await;
            })
        }),
        ("flush", |store, _| Box::pin(async { _ = store.flush().await })),
    ];
    for (operation, begin) in operations {
        for polls in 1..6 {
            let key = key_in(&namespace(operation), polls);
            store.put_new(&key, &old()).await;
            pace.poll_and_drop(polls, begin(&store, &key)).await;
            let after = |what: &str| format!("{what} after a dropped {operation}");
            let put = at_once(&after("a put"), store.write(&key, &data("new"), PutMode::Replace)).await;
            assert!(put.is_ok_and(|put| put.is_stored()), "{}", after("a put"));
            let read =
                at_once(&after("a read"), store.get(&key, &BlobName::DATA, GetOptions::default())).await;
            read.unwrap_or_else(|error| panic!("{} fails: {error}", after("a read")));
            let evicted = at_once(&after("an eviction"), store.evict(&key)).await;
            evicted.unwrap_or_else(|error| panic!("{} fails: {error}", after("an eviction")));
        }
    }
}
