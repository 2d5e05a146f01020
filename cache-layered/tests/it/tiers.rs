//! The read path: which tier is asked, what is promoted, and what is counted.

use std::sync::Arc;

use bytes::Bytes;
use cache_conformance::fault::{Flaky, Full, When};
use cache_core::{
    BlobName, ByteRange, Digest, Error, ErrorKind, GetOptions, Key, KeyManagement, KeyRef, Namespace,
    PutEntry, PutOptions, Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use cache_memory::{MemoryOptions, MemoryStore};

/// A memory store that fails as a test asks it to.
pub(crate) type Tier = Flaky<Full<MemoryStore>>;

pub(crate) struct Stack {
    pub(crate) fast: Tier,
    pub(crate) slow: Tier,
    pub(crate) store: LayeredStore,
}

pub(crate) fn memory(options: MemoryOptions) -> MemoryStore {
    MemoryStore::open(options).unwrap()
}

pub(crate) fn unlimited() -> MemoryStore {
    memory(MemoryOptions::unlimited())
}

/// Every call of the tier fails like this from now on.
pub(crate) fn fail(tier: &Tier, kind: ErrorKind) {
    tier.set_kind(kind);
    tier.arm(When::Every(1));
}

pub(crate) fn layered(fast: impl Store, slow: impl Store) -> LayeredStore {
    LayeredStore::builder().tier("fast", Arc::new(fast)).tier("slow", Arc::new(slow)).build().unwrap()
}

pub(crate) fn stack_with(fast: MemoryOptions, slow: MemoryOptions) -> Stack {
    let tier = |options| Flaky::new(Full::new(memory(options)));
    let (fast, slow) = (tier(fast), tier(slow));
    Stack { store: layered(fast.clone(), slow.clone()), fast, slow }
}

pub(crate) fn stack() -> Stack {
    stack_with(MemoryOptions::unlimited(), MemoryOptions::unlimited())
}

pub(crate) fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

async fn get(store: &LayeredStore, key: &Key) -> Result<Option<Bytes>, ErrorKind> {
    store.get_bytes(key, &BlobName::DATA).await.map_err(|error: Error| error.kind())
}

#[tokio::test]
async fn a_hit_in_the_fast_tier_never_asks_the_slow_one() {
    let Stack { slow, store, .. } = stack();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let before = slow.calls();
    assert!(get(&store, &key("a")).await.unwrap().is_some());
    assert!(store.contains(&key("a")).await.unwrap());
    assert_eq!(slow.calls(), before);
}

#[tokio::test]
async fn a_hit_in_the_slow_tier_is_promoted_whole_and_keeps_its_time() {
    let Stack { fast, slow, store } = stack();
    let entry = PutEntry::data("out").with(BlobName::new("stdout").unwrap(), "text");
    let made = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    slow.put(&key("a"), entry, PutOptions::default().with_created(made)).await.unwrap();
    assert_eq!(get(&store, &key("a")).await.unwrap().unwrap(), "out");
    let promoted = fast.meta(&key("a")).await.unwrap().unwrap();
    assert_eq!((promoted.blobs.len(), promoted.created), (2, Some(made)));
    let before = slow.calls();
    assert_eq!(get(&store, &key("a")).await.unwrap().unwrap(), "out");
    assert_eq!((slow.calls(), store.metrics().promotions), (before, 1));
}

#[tokio::test]
async fn one_lookup_of_the_stack_is_one_lookup() {
    let Stack { slow, store, .. } = stack();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    for _ in 0..4 {
        get(&store, &key("a")).await.unwrap();
    }
    get(&store, &key("absent")).await.unwrap();
    store.contains(&key("a")).await.unwrap();
    store.contains(&key("absent")).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.hits, metrics.misses), (4, 1));
    assert_eq!((metrics.contains_hits, metrics.contains_misses), (1, 1));
    assert!((metrics.hit_rate() - 0.8).abs() < 1e-9);
    let tiers: Vec<_> = metrics.tiers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(tiers, ["fast", "slow"]);
}

#[tokio::test]
async fn questions_promote_nothing() {
    let Stack { fast, slow, store } = stack();
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert!(store.contains(&key("a")).await.unwrap());
    assert!(store.meta(&key("a")).await.unwrap().is_some());
    assert!(!fast.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn an_entry_evicted_from_the_fast_tier_is_found_in_the_slow_one() {
    let Stack { fast, store, .. } =
        stack_with(MemoryOptions::unlimited().with_max_bytes(100), MemoryOptions::unlimited());
    for n in 0..10 {
        store.put_bytes(&key(&n.to_string()), vec![n; 60].into()).await.unwrap();
    }
    for n in 0..10 {
        assert_eq!(get(&store, &key(&n.to_string())).await.unwrap().unwrap(), vec![n; 60]);
    }
    assert!(fast.usage(&Namespace::root()).await.unwrap().bytes <= 100);
}

#[tokio::test]
async fn a_part_is_read_without_promoting_the_whole() {
    let Stack { fast, slow, store } = stack();
    slow.put_bytes(&key("a"), "0123456789".into()).await.unwrap();
    let range = ByteRange::new(2, Some(5)).unwrap();
    assert_eq!(store.get_range(&key("a"), &BlobName::DATA, range).await.unwrap().unwrap(), "234");
    assert!(!fast.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn an_entry_that_the_fast_tier_cannot_hold_is_answered_without_it() {
    let Stack { fast, slow, store } =
        stack_with(MemoryOptions::unlimited().with_max_bytes(5), MemoryOptions::unlimited());
    slow.put_bytes(&key("a"), "0123456789".into()).await.unwrap();
    assert_eq!(get(&store, &key("a")).await.unwrap().unwrap(), "0123456789");
    assert!(!fast.contains(&key("a")).await.unwrap());
    assert_eq!(store.metrics().promotion_errors, 0);
}

#[tokio::test]
async fn a_large_entry_on_disk_is_streamed_into_memory_and_answered_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    let large = Bytes::from(vec![7; 20_000_000]);
    disk.put_bytes(&key("a"), large.clone()).await.unwrap();
    let fast = unlimited();
    let store = layered(fast.clone(), disk);
    let blob = store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(blob.collect(u64::MAX).await.unwrap(), large);
    assert!(fast.contains(&key("a")).await.unwrap());
    assert_eq!(store.metrics().promotions, 1);
}

#[tokio::test]
async fn the_same_digest_in_two_tiers_is_one_candidate_and_two_are_ambiguous() {
    let Stack { fast, slow, store } = stack();
    let digest = |end: &str| format!("abcd{end:0>60}").parse::<Digest>().unwrap();
    let short: KeyRef = "abcd".parse().unwrap();
    fast.put_bytes(&Key::from(digest("1")), "v".into()).await.unwrap();
    slow.put_bytes(&Key::from(digest("1")), "v".into()).await.unwrap();
    assert_eq!(store.expand(&Namespace::root(), short).await.unwrap(), digest("1"));
    slow.put_bytes(&Key::from(digest("11")), "v".into()).await.unwrap();
    let error = store.expand(&Namespace::root(), short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    // Alone in the fast tier 4 digits would do; across the tiers it takes 63.
    assert_eq!(store.shrink(&Key::from(digest("1"))).await.unwrap().len(), 63);
    assert_eq!(fast.shrink(&Key::from(digest("1"))).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_listed_entry_names_every_tier_that_holds_it() {
    let Stack { slow, store, .. } = stack();
    store.put_bytes(&key("both"), "v".into()).await.unwrap();
    slow.put_bytes(&key("one"), "v".into()).await.unwrap();
    let places = |meta: cache_core::EntryMeta| {
        meta.places.iter().map(|place| place.tier.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(places(store.meta(&key("both")).await.unwrap().unwrap()), ["fast", "slow"]);
    assert_eq!(places(store.meta(&key("one")).await.unwrap().unwrap()), ["slow"]);
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 2);
}

#[test]
fn tiers_without_a_name_or_twice_the_same_are_refused() {
    let tier = || Arc::new(unlimited());
    let refused = [
        LayeredStore::builder(),
        LayeredStore::builder().tier("", tier()),
        LayeredStore::builder().tier("a", tier()).tier("a", tier()),
    ];
    let twice = tier();
    let same = LayeredStore::builder().tier("a", twice.clone()).tier("b", twice);
    for builder in refused.into_iter().chain([same]) {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_removal_is_counted_by_the_stack_and_by_each_tier() {
    let Stack { store, .. } = stack();
    store.evict(&key("k")).await.unwrap();
    let metrics = store.metrics();
    let tiers: Vec<_> = metrics.tiers.iter().map(|(_, tier)| tier.removals).collect();
    assert_eq!((metrics.removals, tiers), (1, vec![1, 1]));
}

/// Merges go to the slowest tier that has the entry: if that is memory, they end with the process.
#[tokio::test]
async fn slowest_tier_outlives_the_process_if_any_does() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Store> = Arc::new(DiskStore::open(DiskOptions::new(dir.path())).await.unwrap());
    let memory: Arc<dyn Store> = Arc::new(unlimited());
    let stack = |fast: &Arc<dyn Store>, slow: &Arc<dyn Store>| {
        LayeredStore::builder().tier("fast", fast.clone()).tier("slow", slow.clone()).build()
    };
    let powers = stack(&memory, &disk).unwrap().info().powers;
    assert_eq!((powers.durable, powers.shared, powers.cross_process_merge), (true, true, true));
    let refused = stack(&disk, &memory).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("fastest first"), "{refused}");
}
