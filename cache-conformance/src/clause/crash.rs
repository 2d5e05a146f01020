//! The death of the process.

use std::{pin::Pin, task::Poll, time::Duration};

use cache_core::{
    CleanPolicy, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions, PutOutcome, Result,
};
use futures::{FutureExt, future::BoxFuture};

use crate::{
    Factory, Setup,
    sample::{self, Contents, blobs, bytes, data, endless_stream, hours_ago, key, key_in, name, namespace},
    subject::Subject,
};

/// Kills the store and opens it again. The dead one is held until the clause ends.
async fn kill(factory: &dyn Factory, setup: &Setup) -> Subject {
    factory.crash().expect("a handle that kills the store").crash().await.expect("a crash");
    Subject::open_with(factory, setup.clone()).await
}

/// Whether the entry is one of these, as a whole.
async fn assert_one_of(store: &Subject, key: &Key, versions: &[Option<&Contents>]) {
    let found = store.contents(key).await;
    let whole = versions.contains(&found.as_ref());
    let names: Option<Vec<_>> = found.as_ref().map(|found| found.keys().collect());
    assert!(whole, "after a kill, {key} is none of its versions: blobs {names:?}");
    match found {
        Some(found) => store.assert_holds(key, &found).await,
        None => store.assert_absent(key).await,
    }
}

/// What was flushed is there after a kill: entries, merges, evictions, and when entries were made.
pub async fn flushed_entries_survive_a_kill(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let (old, new) = (hours_ago(3), hours_ago(2));
    let (first, second) = (blobs([("a", bytes(1, 3000)), ("data", bytes(2, 10))]), data(bytes(3, 70_000)));
    let more = blobs([("log", bytes(4, 500))]);
    let keys: Vec<_> =
        (0..8).map(|number| key_in(&namespace(["", "a", "a/b"][number % 3]), number as u64)).collect();
    for key in &keys {
        store.put_as(key, &first, PutOptions::default().with_created(old)).await;
    }
    let kept = key_in(&namespace("kept"), 9);
    store.put_as(&kept, &first, PutOptions::default().with_created(old)).await;
    store.flush().await.expect("a flush");
    // Each is changed in another way after it was durable once.
    store.put_as(&keys[1], &second, PutOptions::default().with_created(new)).await;
    store.put_as(&keys[2], &more, PutOptions::mode(PutMode::Merge).with_created(new)).await;
    store.evict(&keys[3]).await.expect("an eviction");
    store.put_as(&kept, &more, PutOptions::mode(PutMode::Merge).with_created(new)).await;
    let everything = CleanPolicy::default().with_max_bytes(0);
    store.clean(&namespace("a/b"), &everything).await.expect("a clean");
    let streamed = PutEntry::default().with_stream(name("data"), None, sample::stream_of(&second["data"]));
    store.put(&keys[4], streamed, PutOptions::default().with_created(new)).await.expect("a put");
    store.flush().await.expect("a flush");

    let mut merged = first.clone();
    merged.extend(more);
    let mut expected = vec![Some((&first, old)); keys.len()];
    (expected[1], expected[3], expected[4]) = (Some((&second, new)), None, Some((&second, new)));
    // Those in `a/b` were cleaned away.
    (expected[2], expected[5]) = (None, None);
    // Twice, as what one life has found the next may lose.
    for life in 0..2 {
        let store = kill(factory, &Setup::default()).await;
        for (key, expected) in keys.iter().zip(&expected) {
            let Some((contents, created)) = expected.filter(|_| durable) else {
                store.assert_absent(key).await;
                continue;
            };
            store.assert_holds(key, contents).await;
            let meta = store.meta(key).await.expect("an answer").expect("an entry");
            assert_eq!(meta.created, Some(created), "life {life}: when {key} was made");
        }
        if durable {
            store.assert_holds(&kept, &merged).await;
            let meta = store.meta(&kept).await.expect("an answer").expect("an entry");
            assert_eq!((meta.created, meta.modified), (Some(old), Some(new)), "the times of a merged entry");
        }
        let left = expected.iter().flatten().count() as u64 + 1;
        let entries = store.usage_below(&Namespace::root()).await.entries;
        assert_eq!(entries, if durable { left } else { 0 }, "life {life}");
    }
}

/// What was not flushed is after a kill as it was or as it was to be.
pub async fn kill_without_flush_leaves_whole_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let old = blobs([("a", bytes(1, 2000)), ("data", bytes(2, 20))]);
    let new = blobs([("a", bytes(3, 30_000)), ("c", bytes(4, 10)), ("data", bytes(5, 100))]);
    let more = blobs([("d", bytes(6, 10)), ("e", bytes(7, 100))]);
    let mut merged = old.clone();
    merged.extend(more.clone());
    for number in 0..12 {
        store.put_new(&key(number), &old).await;
    }
    store.flush().await.expect("a flush");
    for number in 0..3 {
        store.put_new(&key(number), &new).await;
        store.put_as(&key(number + 3), &more, PutOptions::mode(PutMode::Merge)).await;
        store.evict(&key(number + 6)).await.expect("an eviction");
        store.put_new(&key(number + 12), &new).await;
        store.put_as(&key(number + 15), &more, PutOptions::mode(PutMode::Merge)).await;
    }
    let durable = store.info().powers.durable;
    let store = kill(factory, &Setup::default()).await;
    let old = Some(&old).filter(|_| durable);
    for number in 0..3 {
        assert_one_of(&store, &key(number), &[old, Some(&new)]).await;
        assert_one_of(&store, &key(number + 3), &[old, Some(&merged)]).await;
        assert_one_of(&store, &key(number + 6), &[old, None]).await;
        assert_one_of(&store, &key(number + 9), &[old]).await;
        assert_one_of(&store, &key(number + 12), &[None, Some(&new)]).await;
        assert_one_of(&store, &key(number + 15), &[None, Some(&more)]).await;
    }
}

type Put<'a> = BoxFuture<'a, Result<PutOutcome>>;

/// Polls a put so often at most, and leaves it there. A put that is done has to be stored.
async fn left_after<'a>(mut put: Put<'a>, polls: u64) -> Option<Put<'a>> {
    for _ in 0..polls {
        if let Poll::Ready(outcome) = futures::poll!(Pin::new(&mut put)) {
            assert!(outcome.expect("a put").is_stored());
            return None;
        }
        tokio::task::yield_now().await;
    }
    Some(put)
}

/// A kill in the middle of puts leaves each entry as it was or as it was to be.
pub async fn kill_during_puts_leaves_old_or_new(factory: &dyn Factory) {
    let setup = Setup::default();
    let old = blobs([("a", bytes(1, 3000)), ("b", bytes(2, 30))]);
    let new = blobs([("a", bytes(3, 30_000)), ("b", bytes(4, 10)), ("c", bytes(5, 500))]);
    let mut store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    for round in 0..2 {
        let place = |number: u64| key(round * 100 + number);
        for number in 0..8 {
            store.put_new(&place(number), &old).await;
            store.put_new(&place(number + 20), &old).await;
        }
        store.flush().await.expect("a flush");
        let mut under_way = Vec::new();
        for polls in 1..8 {
            for number in [polls, polls + 10] {
                let (subject, key, entry) = (store.clone(), place(number), sample::entry(&new));
                let put = async move { subject.put(&key, entry, PutOptions::default()).await }.boxed();
                under_way.extend(left_after(put, polls).await);
            }
            let endless = PutEntry::default().with(name("b"), "new").with_stream(
                name("a"),
                None,
                endless_stream(&bytes(6, 200_000)),
            );
            let (subject, key) = (store.clone(), place(polls + 20));
            let put = async move { subject.put(&key, endless, PutOptions::default()).await }.boxed();
            under_way.push(left_after(put, 4 * polls).await.expect("a put whose stream has not ended"));
        }
        store = kill(factory, &setup).await;
        let old = Some(&old).filter(|_| durable);
        for polls in 1..8 {
            assert_one_of(&store, &place(polls), &[old, Some(&new)]).await;
            assert_one_of(&store, &place(polls + 10), &[None, Some(&new)]).await;
            assert_one_of(&store, &place(polls + 20), &[old]).await;
        }
        drop(under_way);
    }
}

/// What a kill leaves behind counts for nothing, and the store works on within its budget.
pub async fn killed_store_counts_truly_and_works_on(factory: &dyn Factory) {
    const ENTRY: usize = 4 << 10;
    let root = Namespace::root();
    let bounded = Subject::open(factory).await;
    let setup = match bounded.info().powers.bounded {
        true => Setup::default().with_max_bytes(16 * ENTRY as u64),
        false => Setup::default(),
    };
    bounded.close(None).await.expect("a close");
    drop(bounded);
    let mut store = Subject::open_with(factory, setup.clone()).await;
    for life in 0..3_u64 {
        for number in 0..24 {
            let key = key_in(&namespace("a/b"), life * 50 + number);
            store.put_new(&key, &data(bytes(number, ENTRY))).await;
        }
        let entry =
            || PutEntry::default().with_stream(name("data"), None, endless_stream(&bytes(1, 3 * ENTRY)));
        let endless = [1, 2].map(|number| {
            let (subject, key) = (store.clone(), key(life * 10 + number));
            async move { subject.put(&key, entry(), PutOptions::default()).await }.boxed()
        });
        let mut under_way = Vec::new();
        for put in endless {
            under_way.push(left_after(put, 20).await.expect("a put whose stream has not ended"));
        }
        store = kill(factory, &setup).await;
        let listed = store.keys(ListOptions::below(&root)).await;
        let mut total = 0;
        for key in &listed {
            let contents = store.contents(key).await.unwrap_or_else(|| panic!("{key} is listed only"));
            store.assert_holds(key, &contents).await;
            total += sample::size(&contents);
        }
        store.assert_usage(&root, listed.len() as u64, total).await;
        drop(under_way);
        let (fresh, contents) = (key_in(&namespace("new"), life), data(bytes(life, ENTRY)));
        store.put_new(&fresh, &contents).await;
        store.assert_holds(&fresh, &contents).await;
        store.flush().await.expect("a flush");
        let usage = store.usage_below(&root).await;
        let max = store.info().max_bytes.unwrap_or(u64::MAX);
        assert!(usage.bytes <= max, "life {life}: {usage} under a budget of {max} bytes");
    }
    store.clean(&root, &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
    store.assert_usage(&root, 0, 0).await;
}

/// A flush that was dropped forgets nothing: the next one covers the same entries.
pub async fn flush_after_a_dropped_one_survives_a_kill(factory: &dyn Factory) {
    let mut store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let contents = |number: u64| blobs([("data", bytes(number, 3000)), ("log", bytes(number + 50, 10))]);
    for polls in 1..6 {
        let (written, evicted) = (key(polls), key(polls + 20));
        store.put_new(&evicted, &contents(polls + 20)).await;
        store.flush().await.expect("a flush");
        store.put_new(&written, &contents(polls)).await;
        store.evict(&evicted).await.expect("an eviction");
        let (subject, mut left) = (store.clone(), polls);
        let mut flush = async move { subject.flush().await }.boxed();
        while left > 0 && futures::poll!(Pin::new(&mut flush)).is_pending() {
            left -= 1;
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        drop(flush);
        store.flush().await.expect("a flush after one that was dropped");
        store = kill(factory, &Setup::default()).await;
        for number in 1..=polls {
            match durable {
                true => store.assert_holds(&key(number), &contents(number)).await,
                false => store.assert_absent(&key(number)).await,
            }
            store.assert_absent(&key(number + 20)).await;
        }
    }
}
