mod hooks;

use super::*;
use crate::toy::{Fault, Toy};

#[tokio::test]
async fn removals_are_counted_once_they_were_made() {
    let cache = Cache::new(Arc::new(Toy::holding([Digest::of("a")])));
    cache.evict(Digest::of("a")).await.unwrap();
    cache.evict(Digest::of("a").prefix(8)).await.unwrap();
    assert_eq!(cache.metrics().removals, 1, "a short digest without match removes nothing");
    let failing = Cache::new(Arc::new(Toy::default().with_fault(Fault::Corrupt)));
    failing.evict(Digest::of("a")).await.unwrap_err();
    assert_eq!(failing.metrics().removals, 0);
}

#[tokio::test]
async fn views_share_the_counters_and_not_the_address() {
    let cache = Cache::new(Arc::new(Toy::default()));
    let view = cache.namespace("ns").unwrap();
    view.put(Digest::of("a"), "v").await.unwrap();
    assert_eq!(cache.metrics().puts, 1);
    assert_eq!(cache.get(Digest::of("a")).await.unwrap(), None);
    assert!(view.get(Digest::of("a")).await.unwrap().is_some());
}
