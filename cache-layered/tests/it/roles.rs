//! What each role of a tier means for reads, writes and questions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::fault::{Call, Flaky, Hanging};
use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry, PutMode,
    PutOptions, PutStatus, Refusal, Store, StoreExt, VerifyOptions,
};
use cache_layered::{BreakerOptions, LayeredBuilder, LayeredStore, Quorum, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, TryStreamExt, stream};

use crate::tiers::{key, memory, unlimited};

type Tier = Flaky<MemoryStore>;

fn tier() -> Tier {
    Flaky::new(unlimited())
}

fn with(fast: &Tier, slow: &Tier, options: TierOptions) -> LayeredStore {
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone()));
    builder.tier("slow", Arc::new(slow.clone())).options(options).build().unwrap()
}

async fn read(store: &impl Store, name: &str) -> Option<Bytes> {
    store.get_bytes(&key(name), &BlobName::DATA).await.unwrap()
}

fn data(text: &'static str) -> PutEntry {
    let stream = stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).boxed();
    PutEntry::default().with_stream(BlobName::DATA, None, stream)
}

#[tokio::test]
async fn a_tier_that_is_not_read_is_written_and_asked_for_nothing() {
    let (fast, slow) = (tier(), tier());
    let store = with(&fast, &slow, TierOptions::default().with_read(false));
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    assert_eq!(read(&slow, "a").await.unwrap(), "v");
    fast.evict(&key("a")).await.unwrap();
    let before = slow.calls();
    assert!(read(&store, "a").await.is_none());
    assert!(store.get_entry(&key("a"), GetOptions::default()).await.unwrap().is_none());
    assert!(!store.contains(&key("a")).await.unwrap());
    assert!(store.meta(&key("a")).await.unwrap().is_none());
    assert_eq!(store.list(ListOptions::default()).count().await, 0);
    assert_eq!(slow.calls(), before, "it was asked");
    store.evict(&key("a")).await.unwrap();
    assert!(!slow.contains(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_merge_reaches_a_tier_that_is_not_read_as_a_whole_entry() {
    let (fast, slow) = (tier(), tier());
    let store = with(&fast, &slow, TierOptions::default().with_read(false));
    let log = BlobName::new("log").unwrap();
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    let merge = PutEntry::default().with(log.clone(), "text");
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    for tier in [&fast, &slow] {
        assert_eq!(read(tier, "a").await.unwrap(), "v");
        assert_eq!(tier.get_bytes(&key("a"), &log).await.unwrap().unwrap(), "text");
    }
}

#[tokio::test]
async fn existence_is_answered_only_by_tiers_that_are_allowed_to() {
    let (fast, slow) = (tier(), tier());
    let store = with(&fast, &slow, TierOptions::default().with_existence(false));
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let before = slow.calls();
    assert!(!store.contains(&key("a")).await.unwrap());
    assert!(store.meta(&key("a")).await.unwrap().is_none());
    assert_eq!(slow.calls(), before, "it was asked");
    assert_eq!(read(&store, "a").await.unwrap(), "v", "a read finds it all the same");
    assert!(store.contains(&key("a")).await.unwrap(), "and now it is in a tier that answers");
}

#[tokio::test]
async fn a_tier_that_is_never_written_is_read_and_left_alone() {
    let (fast, slow) = (tier(), tier());
    slow.put_bytes(&key("theirs"), "v".into()).await.unwrap();
    let puts = slow.metrics().puts;
    let store = with(&fast, &slow, TierOptions::default().with_write(WritePolicy::Never));
    assert_eq!(read(&store, "theirs").await.unwrap(), "v");
    assert!(fast.contains(&key("theirs")).await.unwrap(), "promoted");
    let outcome = store.put_bytes(&key("ours"), "w".into()).await.unwrap();
    assert_eq!(outcome.tiers.len(), 1, "{outcome:?}");
    store.put(&key("ours"), data("x"), PutOptions::default()).await.unwrap();
    store.evict(&key("theirs")).await.unwrap();
    assert!(!fast.contains(&key("theirs")).await.unwrap());
    assert_eq!(read(&store, "theirs").await.unwrap(), "v", "it is others' to remove");
    let report = store.flush().await.unwrap();
    assert_eq!(report.tiers.len(), 1, "{report:?}");
    assert_eq!((slow.metrics().puts, slow.metrics().removals), (puts, 0));
    assert!(!slow.contains(&key("ours")).await.unwrap());
}

#[tokio::test]
async fn a_merge_over_what_a_tier_has_that_is_never_written_keeps_its_blobs() {
    let (fast, slow) = (tier(), tier());
    slow.put_bytes(&key("a"), "v".into()).await.unwrap();
    let store = with(&fast, &slow, TierOptions::default().with_write(WritePolicy::Never));
    let log = BlobName::new("log").unwrap();
    let merge = PutEntry::default().with(log.clone(), "text");
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(read(&fast, "a").await.unwrap(), "v");
    assert_eq!(fast.get_bytes(&key("a"), &log).await.unwrap().unwrap(), "text");
    assert!(slow.get_bytes(&key("a"), &log).await.unwrap().is_none());
    let fill = PutEntry::data("other");
    store.put(&key("a"), fill, PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), "v");
}

#[tokio::test]
async fn a_clean_goes_by_what_is_this_stacks_to_remove() {
    let (fast, slow) = (tier(), tier());
    for n in 0..10 {
        slow.put_bytes(&key(&format!("theirs {n}")), vec![0; 1000].into()).await.unwrap();
    }
    let store = with(&fast, &slow, TierOptions::default().with_write(WritePolicy::Never));
    for n in 0..4 {
        store.put_bytes(&key(&format!("ours {n}")), vec![0; 1000].into()).await.unwrap();
    }
    let policy = CleanPolicy::default().with_max_bytes(2000);
    let report = store.clean(&Namespace::root(), &policy).await.unwrap();
    assert_eq!((report.evicted_entries, report.kept_entries), (2, 2), "{report:?}");
    assert_eq!(slow.list(ListOptions::default()).count().await, 10);
}

#[tokio::test]
async fn a_scrub_writes_nothing_into_a_tier_that_is_never_written() {
    let (fast, slow) = (tier(), tier());
    let store = with(&fast, &slow, TierOptions::default().with_write(WritePolicy::Never));
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!(slow.metrics().puts, 0);
}

#[tokio::test]
async fn an_entry_over_a_tiers_admission_passes_it_over_and_drops_the_older_value() {
    for streams in [false, true] {
        let (fast, slow) = (tier(), tier());
        let admission = TierOptions::default().with_max_entry_bytes(10);
        let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone())).options(admission);
        let store = builder.tier("slow", Arc::new(slow.clone())).build().unwrap();
        store.put_bytes(&key("a"), "ten bytes.".into()).await.unwrap();
        assert_eq!(read(&fast, "a").await.unwrap(), "ten bytes.");
        let larger = if streams { data("eleven byte") } else { PutEntry::data("eleven byte") };
        let outcome = store.put(&key("a"), larger, PutOptions::default()).await.unwrap();
        let passed_over = PutStatus::Refused(Refusal::PassedOver);
        let statuses: Vec<_> = outcome.tiers.iter().map(|(_, status)| *status).collect();
        assert_eq!(statuses, [passed_over, PutStatus::Stored], "streams: {streams}");
        assert!(!fast.contains(&key("a")).await.unwrap(), "streams: {streams}");
        assert_eq!(read(&store, "a").await.unwrap(), "eleven byte");
        assert!(!fast.contains(&key("a")).await.unwrap(), "it was promoted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_passes_a_stream_over_lets_none_below_end_before_its_turn() {
    let small = MemoryOptions::unlimited().with_max_blob_bytes(5);
    let fast = Hanging::new(memory(small)).with_only(&[Call::Put]);
    let slow = tier();
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone()));
    let store = builder.tier("slow", Arc::new(slow.clone())).build().unwrap();
    fast.hang();
    let a = key("a");
    let first = store.put_bytes(&a, "first".into());
    let second = async {
        fast.until_waiting(1).await;
        let stream = stream::iter([Ok(Bytes::from_static(b"second, and large"))]).boxed();
        let entry = PutEntry::default().with_stream(BlobName::DATA, Some(17), stream);
        store.put(&a, entry, PutOptions::default()).await
    };
    let looks = async {
        fast.until_waiting(1).await;
        // Time passes only once nobody can go on.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!slow.contains(&key("a")).await.unwrap(), "the second was written before its turn");
        fast.release();
    };
    let (first, second, ()) = futures::join!(first, second, looks);
    first.unwrap();
    second.unwrap();
    assert!(!fast.contains(&key("a")).await.unwrap());
    assert_eq!(read(&slow, "a").await.unwrap(), "second, and large");
}

#[tokio::test]
async fn a_stream_that_its_source_fails_takes_nothing_from_a_tier_that_passes_it_over() {
    let fast = memory(MemoryOptions::unlimited().with_max_blob_bytes(5));
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone()));
    let store = builder.tier("slow", Arc::new(unlimited())).build().unwrap();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    let broken = cache_core::Error::new(ErrorKind::Unavailable, "", "").with_detail("the source broke");
    let stream = stream::iter([Ok(Bytes::from_static(b"sec")), Err(broken)]).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, Some(17), stream);
    let error = store.put(&key("a"), entry, PutOptions::default()).await.unwrap_err();
    assert!(error.to_line().contains("the source broke"), "{}", error.to_line());
    assert_eq!(read(&fast, "a").await.unwrap(), "old");
    assert_eq!(read(&store, "a").await.unwrap(), "old");
}

#[tokio::test]
async fn all_tiers_of_a_put_have_it_from_the_same_moment() {
    let (fast, slow) = (tier(), tier());
    let store = with(&fast, &slow, TierOptions::default());
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.put(&key("b"), data("w"), PutOptions::default()).await.unwrap();
    for name in ["a", "b"] {
        let made = [fast.meta(&key(name)).await, slow.meta(&key(name)).await];
        let [fast, slow] = made.map(|meta| meta.unwrap().unwrap().modified.unwrap());
        assert_eq!(fast, slow);
    }
}

fn refused(builder: LayeredBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Invalid, "layered"));
    error.detail().unwrap().to_owned()
}

#[tokio::test]
async fn roles_that_contradict_each_other_are_refused() {
    let two = |first: TierOptions, second: TierOptions| {
        let builder = LayeredStore::builder().tier("first", Arc::new(unlimited())).options(first);
        builder.tier("second", Arc::new(unlimited())).options(second)
    };
    let role = TierOptions::default;
    let never = role().with_write(WritePolicy::Never);
    let unread = role().with_read(false);
    assert!(refused(two(never.clone(), role())).contains("has to be the slowest"));
    assert!(refused(two(unread.clone(), role())).contains("stands behind \"first\", which is not"));
    assert!(refused(two(unread.clone(), unread.clone())).contains("no tier is read"));
    assert!(refused(two(role(), never.clone().with_read(false))).contains("for nothing"));
    assert!(refused(two(role(), role().with_deadline(Duration::ZERO))).contains("a millisecond"));
    assert!(refused(two(role(), role().with_queue_bytes(1))).contains("64 KiB"));
    let breaker = BreakerOptions::default().with_failures(0);
    assert!(refused(two(role(), role().with_breaker(breaker))).contains("at least one failure"));
    for least in [0, 3] {
        let builder = two(role(), role()).quorum(Quorum::AtLeast(least));
        assert!(refused(builder).contains("2 tiers are written through"));
    }
    let alone = LayeredStore::builder().tier("only", Arc::new(unlimited())).options(never);
    assert!(refused(alone).contains("no tier is written"));
    let misplaced = LayeredStore::builder().options(role()).tier("only", Arc::new(unlimited()));
    assert!(refused(misplaced).contains("before there is a tier"));
    assert!(two(role(), unread).build().is_ok());
}

#[tokio::test]
async fn a_listing_is_of_all_tiers_that_are_read() {
    let (fast, slow) = (tier(), tier());
    slow.put_bytes(&key("theirs"), "v".into()).await.unwrap();
    let store = with(&fast, &slow, TierOptions::default().with_write(WritePolicy::Never));
    store.put_bytes(&key("ours"), "w".into()).await.unwrap();
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
}
