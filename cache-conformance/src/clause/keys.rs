//! Existence and eviction by key.

use cache_core::{Key, ListOptions, Namespace, PutMode, PutOptions};

use crate::{
    Factory, Setup,
    sample::{blobs, bytes, data, digest_starting, key, key_in, namespace, pause},
    subject::Subject,
};

/// `contains` is true exactly while the entry has a blob.
pub async fn contains_tells_presence(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let asked = async |number| store.contains(&key(number)).await.expect("an answer");
    assert!(!asked(1).await, "before the put");
    store.put_new(&key(1), &blobs([("not_data", "")])).await;
    assert!(asked(1).await, "after the put");
    assert!(!asked(2).await, "another digest");
    assert!(!store.contains(&key_in(&namespace("a"), 1)).await.expect("an answer"), "another namespace");
    store.put_new(&key(1), &data("replaced")).await;
    assert!(asked(1).await, "after a replacement");
    store.evict(&key(1)).await.expect("an eviction");
    assert!(!asked(1).await, "after the eviction");
    store.put_as(&key(1), &data("merged"), PutOptions::mode(PutMode::Merge)).await;
    assert!(asked(1).await, "after a merge");
}

/// The digests of zeros and of ones are digests like others.
pub async fn outermost_digests_are_digests(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let [first, last] = ["0", "f"].map(|digit| digest_starting(&digit.repeat(64)));
    for place in ["", "a"].map(namespace) {
        let [first, last] = [first, last].map(|digest| Key::new(place.clone(), digest));
        let between = key_in(&place, 1);
        let all = [&first, &between, &last];
        for (number, key) in (0..).zip(all) {
            store.put_new(key, &data(bytes(number, 100))).await;
        }
        for (number, key) in (0..).zip(all) {
            store.assert_holds(key, &data(bytes(number, 100))).await;
        }
        let listing = || ListOptions::of(&place);
        assert_eq!(store.keys(listing()).await, all.map(Clone::clone));
        let after = |key: &Key| listing().with_start_after(key.clone());
        assert_eq!(store.keys(after(&first)).await, [between.clone(), last.clone()]);
        assert_eq!(store.keys(after(&last)).await, []);
        for key in [&first, &last] {
            for digits in [1, 2, 63, 64] {
                let prefix = listing().with_prefix(key.digest.prefix(digits));
                let others = between.digest.prefix(digits) == key.digest.prefix(digits);
                let found = store.keys(prefix).await;
                assert!(found.contains(key) && (others || found.len() == 1), "{digits} digits: {found:?}");
            }
            store.evict(key).await.expect("an eviction");
            store.assert_absent(key).await;
        }
        store.assert_holds(&between, &data(bytes(1, 100))).await;
    }
}

/// Asking does not protect an entry from eviction.
pub async fn contains_keeps_no_entry_alive(factory: &dyn Factory) {
    const ENTRY: usize = 8 << 10;
    const ASKED: u64 = 8;
    let budget = ASKED * ENTRY as u64;
    let setup = Setup::default().with_max_bytes(budget);
    let Some(store) = Subject::open_bounded(factory, setup).await else { return };
    store.put_new(&key(0), &data(bytes(0, ENTRY))).await;
    let before = store.meta(&key(0)).await.expect("an answer").expect("an entry");
    pause().await;
    assert!(store.contains(&key(0)).await.expect("an answer"));
    let after = store.meta(&key(0)).await.expect("an answer").expect("an entry");
    assert_eq!(after.last_accessed, before.last_accessed, "asking counts as an access");
    assert_eq!(after.access_count, before.access_count, "asking counts as an access");

    for number in 1..ASKED {
        store.put_new(&key(number), &data(bytes(number, ENTRY))).await;
    }
    let max = store.info().max_bytes.expect("a budget");
    for number in 0..8 * max / ENTRY as u64 {
        store.put_new(&key(1000 + number), &data(bytes(number, ENTRY))).await;
        for asked in 0..ASKED {
            store.contains(&key(asked)).await.expect("an answer");
        }
    }
    store.flush().await.expect("a flush");
    let mut alive = 0;
    for asked in 0..ASKED {
        alive += u64::from(store.contains(&key(asked)).await.expect("an answer"));
    }
    // Even a store that evicts at random keeps few of them.
    assert!(alive <= ASKED / 2, "{alive} of {ASKED} entries are kept alive by asking for them");
}

/// All blobs of the key go together.
pub async fn evict_removes_the_whole_entry(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store
        .put_new(&key(1), &blobs([("a", bytes(1, 70_000)), ("b", bytes(2, 10)), ("data", bytes(3, 0))]))
        .await;
    store.put_as(&key(1), &blobs([("c", "merged")]), PutOptions::mode(PutMode::Merge)).await;
    store.contents(&key(1)).await.expect("a hit");
    store.evict(&key(1)).await.expect("an eviction");
    store.assert_absent(&key(1)).await;
    for blob in ["a", "b", "c"] {
        assert_eq!(store.read(&key(1), blob).await, None, "{blob} of an evicted entry");
    }
    store.assert_usage(&Namespace::root(), 0, 0).await;
}

/// Evicting an absent entry succeeds.
pub async fn evict_is_idempotent(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.evict(&key(1)).await.expect("an eviction of what never was");
    store.evict(&key_in(&namespace("never/was"), 1)).await.expect("an eviction where nothing ever was");
    store.put_new(&key(1), &data("value")).await;
    for _ in 0..3 {
        store.evict(&key(1)).await.expect("an eviction");
        store.assert_absent(&key(1)).await;
    }
}

/// Others stay, also the same digest in other namespaces.
pub async fn evict_leaves_other_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let paths = ["", "a", "a/b", "b"];
    for path in paths {
        for number in 0..20 {
            store.put_new(&key_in(&namespace(path), number), &data(format!("{path} {number}"))).await;
        }
    }
    store.evict(&key_in(&namespace("a"), 7)).await.expect("an eviction");
    store.evict(&key(8)).await.expect("an eviction");
    store.assert_absent(&key_in(&namespace("a"), 7)).await;
    store.assert_absent(&key(8)).await;
    for path in paths {
        for number in 0..20 {
            if !matches!((path, number), ("a", 7) | ("", 8)) {
                let other = key_in(&namespace(path), number);
                store.assert_holds(&other, &data(format!("{path} {number}"))).await;
            }
        }
    }
    assert_eq!(store.keys(ListOptions::default().recursive()).await.len(), 78);
}

/// Nothing of an evicted entry comes back with the next put.
pub async fn put_after_evict_is_visible(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for round in 0..5 {
        store.put_new(&key(1), &blobs([("a", bytes(round, 1000)), ("b", bytes(round, 10))])).await;
        store.contents(&key(1)).await.expect("a hit");
        store.evict(&key(1)).await.expect("an eviction");
        let mode = if round % 2 == 0 { PutMode::Merge } else { PutMode::Fill };
        store.put_as(&key(1), &blobs([("b", bytes(round + 50, 20))]), PutOptions::mode(mode)).await;
        store.assert_holds(&key(1), &blobs([("b", bytes(round + 50, 20))])).await;
        assert_eq!(store.read(&key(1), "a").await, None, "a blob of the evicted entry is back");
        store.assert_usage(&Namespace::root(), 1, 20).await;
    }
}
