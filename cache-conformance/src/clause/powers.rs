//! What a store declares, it does; what it does not declare is refused or visibly absent.

use cache_core::{
    Blob, CleanPolicy, ErrorKind, GetOptions, ListOptions, Namespace, PutMode, PutOptions, StoreInfo,
};
use tokio::task::JoinSet;

use crate::{
    Factory, Setup,
    sample::{Contents, blobs, bytes, data, key, key_in, name, namespace},
    subject::Subject,
};

/// A second store of the same place, beside the first. `None` if the first does not declare that there can
/// be one: then it is refused, or of another place.
async fn beside(factory: &dyn Factory, first: &Subject, setup: Setup) -> Option<Subject> {
    let powers = first.info().powers;
    if powers.shared {
        return Some(Subject::open_with(factory, setup).await);
    }
    assert!(!powers.cross_process_merge, "merges by several processes need a store that they share");
    if powers.durable {
        match factory.open(&setup).await {
            Ok(_) => panic!("a store that is not shared is open twice"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Locked, "a second open fails with {error}"),
        }
        return None;
    }
    let (key, contents) = (key(999), data("of the first"));
    first.put_new(&key, &contents).await;
    let second = Subject::open_with(factory, setup).await;
    second.assert_absent(&key).await;
    second.put_new(&key, &data("of the second")).await;
    first.assert_holds(&key, &contents).await;
    first.evict(&key).await.expect("an eviction");
    second.assert_holds(&key, &data("of the second")).await;
    None
}

/// Whether all that it holds is shared. A tier that is not goes on answering what it took once.
fn holds_nothing_of_its_own(info: &StoreInfo) -> bool {
    info.tiers.iter().all(|(_, tier)| tier.powers.shared && holds_nothing_of_its_own(tier))
}

/// A durable store that is not shared is `Locked` while it is open, and no longer.
pub async fn only_shared_stores_open_twice(factory: &dyn Factory) {
    let first = Subject::open(factory).await;
    let powers = first.info().powers;
    first.put_new(&key(1), &data("value")).await;
    first.flush().await.expect("a flush");
    let second = beside(factory, &first, Setup::default()).await;
    assert_eq!(second.is_some(), powers.shared);
    // It was refused without harm to the first.
    first.assert_holds(&key(1), &data("value")).await;
    first.put_new(&key(2), &data("more")).await;
    first.flush().await.expect("a flush");
    first.close(None).await.expect("a close");
    drop(first);
    let third = Subject::open(factory).await;
    for (number, value) in [(1, "value"), (2, "more")] {
        if powers.durable {
            third.assert_holds(&key(number), &data(value)).await;
        } else if !powers.shared {
            third.assert_absent(&key(number)).await;
        }
    }
}

/// Where sharing is declared, what others put, evict and clean is seen at once.
pub async fn shared_stores_see_each_other(factory: &dyn Factory) {
    let first = Subject::open(factory).await;
    let Some(second) = beside(factory, &first, Setup::default()).await else { return };
    let place = |path: &str, number| key_in(&namespace(path), number);
    for (round, (writer, reader)) in (0..).zip([(&first, &second), (&second, &first)]) {
        let path = ["x", "y"][round];
        let scope = namespace(path);
        let contents = |number: u64| blobs([("data", bytes(number, 3000)), ("log", bytes(number + 50, 10))]);
        // That it was a miss before is not remembered.
        reader.assert_absent(&place(path, 0)).await;
        for number in 0..4 {
            writer.put_new(&place(path, number), &contents(number)).await;
        }
        reader.assert_usage(&scope, 4, 4 * 3010).await;
        assert_eq!(reader.keys(ListOptions::of(&scope)).await.len(), 4, "a listing of what another put");
        reader.assert_holds(&place(path, 0), &contents(0)).await;
        let mut merged = contents(1);
        merged.extend(data("merged"));
        writer.put_as(&place(path, 1), &data("merged"), PutOptions::mode(PutMode::Merge)).await;
        reader.assert_holds(&place(path, 1), &merged).await;
        writer.put_new(&place(path, 2), &data("replaced")).await;
        writer.evict(&place(path, 3)).await.expect("an eviction");
        reader.assert_absent(&place(path, 3)).await;
        reader.assert_holds(&place(path, 2), &data("replaced")).await;
        // What one store removes is removed from what both share, whoever put it.
        reader.evict(&place(path, 2)).await.expect("an eviction");
        reader.assert_absent(&place(path, 2)).await;
        let below = namespace("z");
        writer.put_new(&place("z", 1), &contents(1)).await;
        writer.clean(&below, &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
        reader.assert_absent(&place("z", 1)).await;
    }
}

/// Of what a store has read, others may have written since: it answers an old whole entry or the new one.
pub async fn shared_stores_answer_whole_versions(factory: &dyn Factory) {
    let first = Subject::open(factory).await;
    let Some(second) = beside(factory, &first, Setup::default()).await else { return };
    let exact = holds_nothing_of_its_own(&second.info());
    let version = |number: u64| {
        let names = [
            ("a", number),
            ("b", number + 100),
            (if number.is_multiple_of(2) { "c" } else { "d" }, number + 200),
        ];
        blobs(names.map(|(name, seed)| (name, bytes(seed, 2000))))
    };
    let key = key(1);
    for number in 0..8 {
        first.put_new(&key, &version(number)).await;
        match second.contents(&key).await {
            Some(found) if exact => assert!(found == version(number), "version {number} is not seen"),
            Some(found) => assert!((0..=number).any(|old| found == version(old)), "a mixture of versions"),
            None => panic!("version {number} has vanished"),
        }
        let read = second.read(&key, "b").await;
        let of = |number: u64| read.as_ref() == version(number).get("b");
        assert!(if exact { of(number) } else { (0..=number).any(of) }, "version {number}");
    }
    // What it writes itself it sees, and so do those that hold nothing else.
    second.put_new(&key, &version(8)).await;
    second.assert_holds(&key, &version(8)).await;
    first.evict(&key).await.expect("an eviction");
    first.assert_absent(&key).await;
    let left = second.contents(&key).await;
    assert!(left.is_none() || (!exact && left == Some(version(8))), "an evicted entry is there in part");
    second.evict(&key).await.expect("an eviction");
    second.assert_absent(&key).await;
}

/// Merges through several stores of one place leave whole blobs, and where it is declared all of them.
pub async fn merges_of_several_stores_lose_nothing_where_declared(factory: &dyn Factory) {
    const MERGES: u64 = 12;
    let first = Subject::open(factory).await;
    let Some(second) = beside(factory, &first, Setup::default()).await else { return };
    let declared = first.info().powers.cross_process_merge;
    let blob = |number: u64| blobs([(&*format!("blob-{number}"), bytes(number, 300))]);
    let merge = || PutOptions::mode(PutMode::Merge);
    // One after the other, none is lost anywhere.
    let mut in_turn = Contents::new();
    for (number, store) in (0..4).zip([&first, &second].into_iter().cycle()) {
        store.put_as(&key(1), &blob(number), merge()).await;
        in_turn.extend(blob(number));
    }
    let mut tasks = JoinSet::new();
    for number in 0..MERGES {
        let store = if number.is_multiple_of(2) { first.clone() } else { second.clone() };
        let blob = blob(number);
        tasks.spawn(async move { store.put_as(&key(2), &blob, merge()).await });
    }
    while let Some(merged) = tasks.join_next().await {
        merged.expect("a merge");
    }
    let all: Contents = (0..MERGES).flat_map(blob).collect();
    let third = Subject::open(factory).await;
    for store in [&first, &second, &third] {
        store.assert_holds(&key(1), &in_turn).await;
        let found = store.contents(&key(2)).await.expect("an entry that was merged into");
        assert!(found.iter().all(|(name, bytes)| all.get(name) == Some(bytes)), "a blob nobody wrote");
        if declared {
            assert!(found == all, "{} of {MERGES} merged blobs are left", found.len());
        }
    }
}

/// Closing one store leaves the others of the same place open.
pub async fn closing_one_store_leaves_the_others(factory: &dyn Factory) {
    let first = Subject::open(factory).await;
    let Some(second) = beside(factory, &first, Setup::default()).await else { return };
    first.put_new(&key(1), &data("first")).await;
    second.put_new(&key(2), &data("second")).await;
    first.close(None).await.expect("a close");
    drop(first);
    for (number, value) in [(1, "first"), (2, "second")] {
        second.assert_holds(&key(number), &data(value)).await;
    }
    second.put_new(&key(3), &data("third")).await;
    second.flush().await.expect("a flush");
    let again = Subject::open(factory).await;
    again.assert_holds(&key(3), &data("third")).await;
    again.evict(&key(3)).await.expect("an eviction");
    again.assert_absent(&key(3)).await;
}

/// What others have put counts for the budget: it is kept when each has flushed.
pub async fn budget_counts_what_others_put(factory: &dyn Factory) {
    const ENTRY: usize = 4 << 10;
    let setup = Setup::default().with_max_bytes(16 * ENTRY as u64);
    let Some(first) = Subject::open_bounded(factory, setup.clone()).await else { return };
    let Some(second) = beside(factory, &first, setup).await else { return };
    let max = first.info().max_bytes.expect("a budget");
    // Each alone stays within it.
    let each = max * 3 / 4 / ENTRY as u64;
    for number in 0..each {
        first.put_new(&key(number), &data(bytes(number, ENTRY))).await;
        second.put_new(&key(number + each), &data(bytes(number, ENTRY))).await;
    }
    first.flush().await.expect("a flush");
    second.flush().await.expect("a flush");
    for store in [&first, &second] {
        let usage = store.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes");
        assert!(usage.entries > 0, "the budget is not used at all");
    }
}

/// Where streaming is not declared, and below `stream_above`, blobs are in hand.
pub async fn blobs_stream_only_where_declared(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let declared = store.info().powers.streaming;
    let contents = blobs([("data", bytes(1, 300_000)), ("log", bytes(2, 0)), ("small", bytes(3, 1000))]);
    store.put_new(&key(1), &contents).await;
    let reopened = if store.info().powers.durable {
        store.flush().await.expect("a flush");
        store.close(None).await.expect("a close");
        drop(store);
        Subject::open(factory).await
    } else {
        store
    };
    let store = reopened;
    for stream_above in [0, 999, 1000, 299_999, 300_000, u64::MAX] {
        let options = GetOptions::default().with_stream_above(stream_above);
        let in_hand = |name: &str, blob: &Blob| {
            let may_stream = declared && blob.len() > stream_above;
            assert!(may_stream || blob.bytes().is_some(), "{name} streams above {stream_above}");
        };
        for text in contents.keys() {
            let found = store.get(&key(1), &name(text), options.clone()).await;
            in_hand(text, &found.expect("an answer").expect("a blob"));
        }
        let read = store.get_entry(&key(1), options).await.expect("an answer").expect("an entry");
        read.blobs.iter().for_each(|(name, blob)| in_hand(name.as_str(), blob));
    }
    store.assert_holds(&key(1), &contents).await;
}

/// A store that does not declare it hands on nothing: nothing is counted, and there is no way to.
pub async fn spills_only_where_declared(factory: &dyn Factory) {
    fn declares(info: &StoreInfo) -> bool {
        info.powers.spills || info.tiers.iter().any(|(_, tier)| declares(tier))
    }
    let store = Subject::open(factory).await;
    let info = store.info();
    if factory.spill().is_some() {
        assert!(info.powers.spills, "a source does not declare that it spills: {info:?}");
    }
    if declares(&info) {
        return;
    }
    store.close(None).await.expect("a close");
    drop(store);
    let setup = Setup::default().with_max_bytes(64 << 10);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    for number in 0..32 {
        store.put_new(&key(number), &data(bytes(number, 8 << 10))).await;
    }
    store.flush().await.expect("a flush");
    let metrics = store.metrics();
    assert_eq!((metrics.spills, metrics.spill_errors), (0, 0), "something was handed on");
}
