//! Listings.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cache_core::{Digest, Key, ListOptions, Namespace, PutMode, PutOptions};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use crate::{
    Factory,
    sample::{blobs, bytes, data, digest, digest_starting, key, key_in, namespace, size},
    subject::Subject,
};

/// Puts entries in a namespace; their keys as they have to be listed.
async fn fill(store: &Subject, path: &str, digests: impl IntoIterator<Item = Digest>) -> Vec<Key> {
    let mut keys: Vec<_> = digests.into_iter().map(|digest| Key::new(namespace(path), digest)).collect();
    for key in &keys {
        store.put_new(key, &data(key.to_string())).await;
    }
    keys.sort();
    keys
}

/// A namespace that nobody wrote to is empty, not an error.
pub async fn list_of_an_empty_store_is_empty(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let empty = async |path: &str| {
        let options = ListOptions::of(&namespace(path));
        assert_eq!(store.keys(options.clone()).await, []);
        assert_eq!(store.keys(options.clone().recursive()).await, []);
        let narrow =
            options.recursive().with_prefix(digest(1).prefix(4)).with_start_after(key(1)).with_limit(9);
        assert_eq!(store.keys(narrow).await, []);
    };
    empty("").await;
    empty("a/b").await;
    fill(&store, "a", [digest(1)]).await;
    empty("a/b").await;
    empty("ab").await;
    store.evict(&key_in(&namespace("a"), 1)).await.expect("an eviction");
    empty("a").await;
    empty("").await;
}

/// Listings go by encoded namespace, then digest, with every entry once.
pub async fn list_is_ascending(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let root = fill(&store, "", (0..300).map(digest)).await;
    assert_eq!(store.keys(ListOptions::default()).await, root);
    // Written twice, and in two blobs: still one entry each.
    for key in root.iter().take(20) {
        store.put_new(key, &blobs([("a", "1"), ("b", "2")])).await;
    }
    assert_eq!(store.keys(ListOptions::default()).await, root);
    let inner = fill(&store, "in", (100..150).map(digest)).await;
    let all: Vec<_> = root.into_iter().chain(inner).collect();
    assert_eq!(store.keys(ListOptions::default().recursive()).await, all);
}

/// Only digests with the prefix are listed, also of an odd number of digits.
pub async fn list_honours_the_prefix(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let near = ["a", "ab", "abc", "abcd", "abcde", "abcdf", "abd", "ac", "b", "0", "f"].map(digest_starting);
    let keys = fill(&store, "", near.into_iter().chain((0..100).map(digest))).await;
    fill(&store, "elsewhere", near).await;
    for digits in 1..=6 {
        for wanted in near.iter().chain(&[digest(0), digest(1)]) {
            let prefix = wanted.prefix(digits);
            let expected: Vec<_> = keys.iter().filter(|key| prefix.matches(&key.digest)).cloned().collect();
            assert_eq!(store.keys(ListOptions::default().with_prefix(prefix)).await, expected, "{prefix}");
        }
    }
    let whole = ListOptions::default().with_prefix(digest(3).prefix(64));
    assert_eq!(store.keys(whole).await, [key(3)]);
    let nearly = ListOptions::default().with_prefix(digest(3).prefix(63));
    assert_eq!(store.keys(nearly).await, [key(3)]);
    let absent = ListOptions::default().with_prefix(digest(500).prefix(40));
    assert_eq!(store.keys(absent).await, []);
    let both = ListOptions::default().recursive().with_prefix("abc".parse().expect("a prefix"));
    let listed = store.keys(both).await;
    assert_eq!(listed.len(), 8, "in both namespaces: {listed:?}");
    assert!(listed.is_sorted());
}

/// A listing starts after a key, which need not exist.
pub async fn list_starts_after_a_key(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut keys = fill(&store, "m", (0..50).map(digest)).await;
    keys.extend(fill(&store, "m/n", (0..50).map(digest)).await);
    let middle = namespace("m");
    let present = [keys[0].clone(), keys[24].clone(), keys[49].clone(), keys[50].clone(), keys[99].clone()];
    let absent = (1000..1010)
        .flat_map(|number| ["", "a", "m", "m/n", "z"].map(|path| key_in(&namespace(path), number)));
    let edges = ["0", "ffffffff"].map(|digits| Key::new(middle.clone(), digest_starting(digits)));
    for after in present.into_iter().chain(absent).chain(edges) {
        let options = ListOptions::of(&middle).with_start_after(after.clone());
        for options in [options.clone(), options.recursive()] {
            let expected: Vec<_> = keys.iter().filter(|key| options.admits(key)).cloned().collect();
            assert_eq!(store.keys(options.clone()).await, expected, "after {after}");
        }
    }
}

/// No more than the limit is listed; a limit of 0 lists nothing.
pub async fn list_honours_the_limit(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut keys = fill(&store, "", (0..20).map(digest)).await;
    keys.extend(fill(&store, "a", (0..20).map(digest)).await);
    for limit in [0, 1, 2, 19, 20, 21, 39, 40, 41, usize::MAX] {
        let listed = store.keys(ListOptions::default().recursive().with_limit(limit)).await;
        assert_eq!(listed, keys[..limit.min(40)], "a limit of {limit}");
        let listed = store.keys(ListOptions::default().with_limit(limit)).await;
        assert_eq!(listed, keys[..limit.min(20)], "a limit of {limit} in one namespace");
    }
    // The limit counts what is listed, not what is passed over.
    let prefix = keys[10].digest.prefix(8);
    let options = ListOptions::default().with_prefix(prefix).with_limit(1);
    assert_eq!(store.keys(options).await, keys[10..11]);
    let options = ListOptions::default().with_start_after(keys[14].clone()).with_limit(3);
    assert_eq!(store.keys(options).await, keys[15..18]);
}

/// Pages joined by `start_after` are the whole listing.
pub async fn list_pages_cover_everything(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut keys = Vec::new();
    for path in ["", "a b", "a", "a/z", "ab"] {
        keys.extend(fill(&store, path, (0..23).map(digest)).await);
    }
    keys.sort();
    for page in [1, 7, 23, 200] {
        let mut listed: Vec<Key> = Vec::new();
        loop {
            let mut options = ListOptions::default().recursive().with_limit(page);
            if let Some(last) = listed.last() {
                options = options.with_start_after(last.clone());
            }
            let next = store.keys(options).await;
            assert!(next.len() <= page, "a page of {page} has {} entries", next.len());
            listed.extend(next.iter().cloned());
            if next.len() < page {
                break;
            }
            assert!(listed.len() <= keys.len(), "pages of {page} do not end");
        }
        assert_eq!(listed, keys, "pages of {page}");
    }
}

/// Every listed entry has a stored size.
pub async fn list_knows_stored_bytes(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let contents = |number: u64| {
        let large = bytes(number, 1 + 1000 * usize::try_from(number).expect("a small number"));
        blobs([("a", large), ("b", bytes(number, 7))])
    };
    for number in 0..10 {
        store.put_new(&key(number), &contents(number)).await;
    }
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.expect("a listing");
    assert_eq!(listed.len(), 10);
    for number in 0..10 {
        let entry = listed.iter().find(|entry| entry.key == key(number)).expect("an entry");
        assert!(entry.stored_bytes > 0, "{entry:?}");
        if let Some(bytes) = entry.bytes {
            assert_eq!(bytes, size(&contents(number)), "{entry:?}");
            let blobs: u64 = entry.blobs.iter().map(|blob| blob.bytes).sum();
            assert_eq!(blobs, bytes, "{entry:?}");
        }
    }
    // It knows those of now.
    store.put_as(&key(0), &blobs([("c", bytes(1, 500))]), PutOptions::mode(PutMode::Merge)).await;
    store.put_new(&key(1), &data(bytes(1, 5))).await;
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.expect("a listing");
    for (number, expected) in [(0, 508), (1, 5)] {
        let entry = listed.iter().find(|entry| entry.key == key(number)).expect("an entry");
        assert!(entry.bytes.is_none_or(|bytes| bytes == expected), "of {expected} bytes now: {entry:?}");
    }
}

/// Entries present all along are listed although others come and go.
pub async fn list_survives_changes(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut present = fill(&store, "", (0..100).map(digest)).await;
    present.extend(fill(&store, "in", (0..100).map(digest)).await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..4_u64 {
        let (store, stop) = (store.clone(), stop.clone());
        tasks.spawn(async move {
            let paths = ["", "in", "in/to", "on"].map(namespace);
            while !stop.load(Ordering::Relaxed) {
                for number in 0..20 {
                    for path in &paths {
                        store.put_new(&key_in(path, 1000 + task * 20 + number), &data("passing")).await;
                        tokio::task::yield_now().await;
                    }
                }
                for number in 0..20 {
                    for path in &paths {
                        let key = key_in(path, 1000 + task * 20 + number);
                        store.evict(&key).await.expect("an eviction");
                    }
                }
            }
        });
    }
    let wanted: BTreeSet<_> = present.into_iter().collect();
    for _ in 0..10 {
        let mut listed = Vec::new();
        let mut listing = store.list(ListOptions::below(&Namespace::root()));
        while let Some(entry) = listing.try_next().await.expect("an entry") {
            listed.push(entry.key);
            tokio::task::yield_now().await;
        }
        assert!(listed.is_sorted_by(|one, next| one < next), "not ascending, or an entry twice");
        let listed: BTreeSet<_> = listed.into_iter().collect();
        let missing: Vec<_> = wanted.difference(&listed).collect();
        assert!(missing.is_empty(), "{} entries are not listed, such as {}", missing.len(), missing[0]);
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task.expect("a writer");
    }
    assert_eq!(store.keys(ListOptions::default().recursive()).await, wanted.into_iter().collect::<Vec<_>>());
}

/// Without `recursive`, entries below are not listed.
pub async fn list_is_scoped_to_its_namespace(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let paths = ["", "a", "a/b", "a/b/c", "ab", "b"];
    for (start, path) in (0..).step_by(5).zip(paths) {
        fill(&store, path, (start..start + 5).map(digest)).await;
    }
    for (start, path) in (0..).step_by(5).zip(paths) {
        let mut expected: Vec<_> =
            (start..start + 5).map(|number| key_in(&namespace(path), number)).collect();
        expected.sort();
        assert_eq!(store.keys(ListOptions::of(&namespace(path))).await, expected, "in {path:?}");
    }
}

/// Entries below come in the order of the encoded paths.
pub async fn recursive_list_covers_namespaces_below(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    // Encoded, `%` and `-` come before the separator, letters after it: "a b" < "a-b" < "a/z" < "ab".
    let inside = ["a", "a/z", "a/B", "a/b", "a/b/c", "a/b c", "a/b-c", "a/bc", "a/é"];
    let outside = ["", "a b", "a-b", "ab", "b", "B"];
    let mut below = Vec::new();
    for path in inside {
        below.extend(fill(&store, path, (0..5).map(digest)).await);
    }
    let mut all = below.clone();
    for path in outside {
        all.extend(fill(&store, path, (0..5).map(digest)).await);
    }
    below.sort();
    all.sort();
    assert_eq!(store.keys(ListOptions::below(&namespace("a"))).await, below);
    assert_eq!(store.keys(ListOptions::below(&Namespace::root())).await, all);
    assert_eq!(store.keys(ListOptions::below(&namespace("b"))).await.len(), 5);
}
