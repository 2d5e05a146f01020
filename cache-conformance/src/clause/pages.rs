//! Listings in pages, and with everything that narrows them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cache_core::{Key, ListOptions, Namespace};
use futures::{TryStreamExt, future::join_all};
use tokio::task::JoinSet;

use crate::{
    Factory,
    sample::{data, digest, digest_starting, key, key_in, namespace},
    subject::Subject,
};

/// Puts one entry under each key, several at a time.
async fn fill(store: &Subject, keys: &[Key]) {
    for some in keys.chunks(32) {
        join_all(some.iter().map(|key| store.put_new(key, &DATA))).await;
    }
}

static DATA: std::sync::LazyLock<crate::sample::Contents> = std::sync::LazyLock::new(|| data("listed"));

/// All pages of so many entries, joined.
async fn paged(store: &Subject, options: &ListOptions, page: usize) -> Vec<Key> {
    let mut listed: Vec<Key> = Vec::new();
    loop {
        let mut next = options.clone().with_limit(page);
        next.start_after = listed.last().cloned().or(next.start_after);
        let next = store.keys(next).await;
        let goes_on = next.first().is_none_or(|first| listed.last().is_none_or(|last| last < first));
        assert!(goes_on, "a page of {page} does not begin after the last one");
        listed.extend(next.iter().cloned());
        if next.len() < page {
            return listed;
        }
    }
}

/// Scope, `recursive`, prefix, `start_after` and limit narrow a listing together as each of them does alone.
pub async fn list_options_combine(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let digests: Vec<_> = ["a", "ab1", "ab2", "abc", "b"].map(digest_starting).into();
    let places = ["", "a", "a/b", "ab"].map(namespace);
    let mut all: Vec<_> = places
        .iter()
        .flat_map(|place| digests.iter().map(|digest| Key::new(place.clone(), *digest)))
        .collect();
    fill(&store, &all).await;
    all.sort();
    let prefixes = [None, Some("ab"), Some("abc"), Some("f")];
    let starts = [
        None,
        Some(Key::new(Namespace::root(), digests[1])),
        Some(Key::new(namespace("a"), digest_starting("ab15"))),
        Some(Key::new(namespace("a/b"), digests[4])),
    ];
    let narrowed = places[..3].iter().flat_map(|scope| {
        let of_both = prefixes.iter().flat_map(|prefix| starts.iter().map(move |start| (prefix, start)));
        of_both.map(move |(prefix, start)| (scope, prefix, start))
    });
    for (scope, prefix, start) in narrowed.collect::<Vec<_>>() {
        for (recursive, limit) in [(false, None), (true, None), (false, Some(2)), (true, Some(3))] {
            let mut options = ListOptions::of(scope);
            options.recursive = recursive;
            options.prefix = prefix.map(|digits| digits.parse().expect("a prefix"));
            options.start_after.clone_from(start);
            options.limit = limit;
            let admitted = all.iter().filter(|key| options.admits(key)).cloned();
            let expected: Vec<_> = admitted.take(limit.unwrap_or(usize::MAX)).collect();
            assert_eq!(store.keys(options.clone()).await, expected, "{options:?}");
        }
    }
}

/// More entries than a server answers at once are listed whole and in order, also by a limit beyond that.
pub async fn list_of_many_entries_is_whole(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let scope = namespace("many");
    let mut keys: Vec<_> = (0..1200).map(|number| key_in(&scope, number)).collect();
    keys.push(key_in(&namespace("many/more"), 1));
    keys.push(key(1));
    fill(&store, &keys).await;
    keys.truncate(1200);
    keys.sort();
    assert!(store.keys(ListOptions::of(&scope)).await == keys, "a listing of 1200 entries");
    let limited = ListOptions::of(&scope).with_limit(1100);
    assert!(store.keys(limited).await == keys[..1100], "a listing of 1100 out of 1200 entries");
    assert!(paged(&store, &ListOptions::of(&scope), 1000).await == keys, "pages of 1000 entries");
    assert_eq!(store.usage_below(&Namespace::root()).await.entries, 1202);
}

/// Pages joined while other entries come and go have every entry that stays, once.
pub async fn pages_survive_changes(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let scopes = ["", "in"].map(namespace);
    let mut stable: Vec<_> =
        scopes.iter().flat_map(|scope| (0..40).map(|number| key_in(scope, number))).collect();
    fill(&store, &stable).await;
    stable.sort();
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for (task, scope) in (0..).zip(scopes) {
        let (store, stop) = (store.clone(), stop.clone());
        tasks.spawn(async move {
            for number in (0..30).cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
                let passing = key_in(&scope, 1000 + task * 100 + number);
                store.put_new(&passing, &DATA).await;
                tokio::task::yield_now().await;
                store.evict(&passing).await.expect("an eviction");
            }
        });
    }
    for page in [1, 3, 10, 45] {
        let listed = paged(&store, &ListOptions::default().recursive(), page).await;
        assert!(listed.is_sorted_by(|one, next| one < next), "not ascending, or an entry twice");
        let staying: Vec<_> = listed.into_iter().filter(|key| stable.binary_search(key).is_ok()).collect();
        assert!(staying == stable, "pages of {page} have {} of {}", staying.len(), stable.len());
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task.expect("a writer");
    }
}

/// Listings that are read side by side, or not to their end, disturb neither each other nor writes.
pub async fn listings_run_side_by_side(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut keys: Vec<_> = (0..30).map(|number| key_in(&namespace("a"), number)).collect();
    fill(&store, &keys).await;
    keys.sort();
    let mut one = store.list(ListOptions::default().recursive());
    let mut other = store.list(ListOptions::of(&namespace("a")));
    let mut unread = store.list(ListOptions::default().recursive());
    unread.try_next().await.expect("an entry").expect("an entry");
    for (number, key) in keys.iter().enumerate() {
        for listing in [&mut one, &mut other] {
            let entry = listing.try_next().await.expect("an entry");
            assert_eq!(entry.map(|entry| entry.key).as_ref(), Some(key), "entry {number}");
        }
    }
    let passing = Key::new(Namespace::root(), digest(1));
    store.put_new(&passing, &DATA).await;
    store.evict(&keys[0]).await.expect("an eviction");
    store.flush().await.expect("a flush");
    drop(unread);
    assert_eq!(one.try_next().await.expect("the end"), None);
    store.assert_absent(&keys[0]).await;
    keys[0] = passing;
    assert_eq!(store.keys(ListOptions::default().recursive()).await, keys);
}
