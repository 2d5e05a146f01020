use std::sync::Arc;

use super::*;
use crate::{Digest, ErrorKind, PutEntry, PutOptions, Store, Usage, toy::Toy};

/// Ascending.
fn digests(count: u32) -> Vec<Digest> {
    let mut digests: Vec<_> = (0..count).map(|n| Digest::of(n.to_be_bytes())).collect();
    digests.sort_unstable();
    digests
}

fn cache(toy: &Toy) -> Cache {
    Cache::new(Arc::new(toy.clone()))
}

#[tokio::test]
async fn clear_takes_every_entry_page_by_page() {
    let toy = Toy::holding(digests(2500));
    let cache = cache(&toy);
    let report = cache.clear().await.unwrap();
    assert!(report.is_complete());
    assert_eq!((report.evicted_entries, report.evicted_bytes, report.failed_entries), (2500, 2500, 0));
    assert_eq!(toy.asked(), (4, 2500), "three pages, and one that is empty");
    assert_eq!(cache.usage().await.unwrap(), Usage::default());
    assert_eq!(cache.metrics().removals, 2500);
}

#[tokio::test]
async fn clear_of_nothing_is_fine_and_leaves_the_counters() {
    let cache = cache(&Toy::default());
    assert_eq!(cache.get(Digest::of("absent")).await.unwrap(), None);
    let report = cache.clear().await.unwrap();
    assert_eq!(report.to_string(), "0 entries evicted, 0 B");
    assert_eq!((cache.metrics().misses, cache.metrics().removals), (1, 0));
}

#[tokio::test]
async fn clear_takes_the_namespace_and_all_below_it_and_nothing_beside() {
    let toy = Toy::default();
    let root = cache(&toy);
    let digest = Digest::of("k");
    let inner = root.namespace("a").unwrap();
    let below = inner.namespace("b").unwrap();
    let beside = root.namespace("aa").unwrap();
    for view in [&root, &inner, &below, &beside] {
        view.store().put(&view.key(digest), PutEntry::data("v"), PutOptions::default()).await.unwrap();
    }
    assert_eq!(inner.clear().await.unwrap().evicted_entries, 2);
    assert!(root.contains(digest).await.unwrap() && beside.contains(digest).await.unwrap());
    assert!(!inner.contains(digest).await.unwrap() && !below.contains(digest).await.unwrap());
}

#[tokio::test]
async fn clear_goes_on_past_entries_that_cannot_be_evicted() {
    let digests = digests(1500);
    let mut toy = Toy::holding(digests.clone());
    toy.stuck = vec![digests[3], digests[700], digests[1400]];
    let report = cache(&toy).clear().await.unwrap();
    assert_eq!((report.evicted_entries, report.failed_entries), (1497, 3));
    let first = report.first_error.as_ref().unwrap();
    assert_eq!(first.key().map(|key| key.digest), Some(digests[3]));
    assert_eq!(first.kind(), ErrorKind::Denied);
    assert!(!report.is_complete());
    assert!(report.to_string().contains("; 3 entries failed; toy: evict: access denied"), "{report}");
    assert_eq!(toy.usage(&crate::Namespace::root()).await.unwrap().entries, 3);
}

#[tokio::test]
async fn clear_fails_only_if_nothing_can_be_listed() {
    let digests = digests(1500);
    for readable in [0, 3, 1000, 1200] {
        let mut toy = Toy::holding(digests.clone());
        toy.unreadable = Some(digests[readable]);
        let cleared = cache(&toy).clear().await;
        if readable == 0 {
            assert_eq!(cleared.unwrap_err().kind(), ErrorKind::Unavailable);
            continue;
        }
        let report = cleared.unwrap();
        assert_eq!((report.evicted_entries, report.failed_entries), (readable as u64, 0));
        assert_eq!(report.first_error.unwrap().kind(), ErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn clear_goes_on_behind_an_entry_that_cannot_be_listed() {
    let digests = digests(1500);
    for (unreadable, stuck) in [(0, false), (3, true), (1000, false), (1499, true)] {
        let mut toy = Toy::holding(digests.clone());
        toy.unreadable = Some(digests[unreadable]);
        toy.tells = true;
        toy.stuck = digests[unreadable..].iter().take(usize::from(stuck)).copied().collect();
        let report = cache(&toy).clear().await.unwrap();
        let failed = u64::from(stuck);
        assert_eq!((report.evicted_entries, report.failed_entries), (1500 - failed, failed));
        assert_eq!(report.is_complete(), !stuck);
    }
}

#[test]
fn clear_may_be_awaited_on_any_thread() {
    fn check(_: impl Send) {}
    let cache = cache(&Toy::default());
    check(cache.clear());
}
