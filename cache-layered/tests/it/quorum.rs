//! Puts that succeed although a tier fails, and what that tier is owed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::fault::{Flaky, When};
use cache_core::{
    BlobName, ErrorKind, KeyManagement, PutEntry, PutMode, PutOptions, PutStatus, Store, StoreExt,
};
use cache_layered::{LayeredStore, Quorum, TierOptions};
use cache_memory::MemoryStore;
use futures::{StreamExt, stream};

use crate::tiers::{key, unlimited};

type Tier = Flaky<MemoryStore>;

struct Stack {
    tiers: [Tier; 3],
    store: LayeredStore,
}

fn stack(least: usize) -> Stack {
    let tiers = [(); 3].map(|()| Flaky::new(unlimited()));
    let mut builder = LayeredStore::builder().quorum(Quorum::AtLeast(least));
    for (name, tier) in ["fast", "mid", "slow"].into_iter().zip(&tiers) {
        let options = TierOptions::default().with_breaker(None).with_queue_bytes(64 << 10);
        builder = builder.tier(name, Arc::new(tier.clone())).options(options);
    }
    Stack { store: builder.build().unwrap(), tiers }
}

fn break_down(tier: &Tier) {
    tier.set_kind(ErrorKind::Unavailable);
    tier.arm(When::Every(1));
}

async fn put(store: &LayeredStore, value: &'static str) -> Vec<PutStatus> {
    let outcome = store.put_bytes(&key("a"), value.into()).await.unwrap();
    assert!(outcome.is_stored());
    outcome.tiers.iter().map(|(_, status)| *status).collect()
}

async fn read(store: &impl Store) -> Option<Bytes> {
    store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap()
}

const FAILED: PutStatus = PutStatus::Failed(ErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn a_put_that_enough_tiers_took_succeeds_and_says_who_failed() {
    let Stack { tiers: [fast, mid, slow], store } = stack(2);
    put(&store, "old").await;
    break_down(&slow);
    assert_eq!(put(&store, "new").await, [PutStatus::Stored, PutStatus::Stored, FAILED]);
    assert_eq!((store.metrics().puts, store.metrics().put_errors), (2, 0));
    // Whoever has the older value does not answer with it, also when nobody else has any.
    for tier in [&fast, &mid] {
        tier.evict(&key("a")).await.unwrap();
    }
    assert_eq!(read(&store).await.unwrap(), "new", "it waits for the tier that failed");
}

#[tokio::test(start_paused = true)]
async fn a_tier_gets_what_it_is_owed_when_it_is_well_again() {
    let Stack { tiers: [.., slow], store } = stack(2);
    put(&store, "old").await;
    break_down(&slow);
    put(&store, "new").await;
    let queued = store.metrics().tiers[2].1.as_tier.unwrap();
    assert_eq!(queued.queued_entries, 1, "{queued:?}");
    slow.arm(When::Never);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(read(&slow).await.unwrap(), "new");
    assert_eq!(store.metrics().tiers[2].1.as_tier.unwrap().queued_entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_says_what_a_tier_is_owed_and_cannot_take() {
    let Stack { tiers: [.., slow], store } = stack(2);
    break_down(&slow);
    put(&store, "new").await;
    let error = store.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Unavailable, "layered/slow"));
    slow.arm(When::Never);
    store.flush().await.unwrap();
    assert_eq!(read(&slow).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_too_few_tiers_took_fails_and_leaves_the_older_value() {
    let Stack { tiers: [_, mid, slow], store } = stack(2);
    put(&store, "old").await;
    break_down(&mid);
    break_down(&slow);
    let error = store.put_bytes(&key("a"), "new".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    mid.arm(When::Never);
    slow.arm(When::Never);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(read(&store).await.unwrap(), "old");
    for tier in [&mid, &slow] {
        assert_eq!(read(tier).await.unwrap(), "old");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_needs_every_tier() {
    let Stack { tiers: [.., slow], store } = stack(1);
    put(&store, "old").await;
    break_down(&slow);
    let stream = stream::iter([Ok(Bytes::from_static(b"new"))]).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, stream);
    let error = store.put(&key("a"), entry, PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Unavailable, "layered/slow"));
    slow.arm(When::Never);
    assert_eq!(read(&store).await.unwrap(), "old");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_cannot_be_owed_fails() {
    let Stack { tiers: [fast, _, slow], store } = stack(2);
    put(&store, "old").await;
    break_down(&slow);
    let large = Bytes::from(vec![1; 65 << 10]);
    let error = store.put_bytes(&key("a"), large).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Unavailable, "layered/slow"));
    assert!(!fast.contains(&key("a")).await.unwrap());
    slow.arm(When::Never);
    assert_eq!(read(&store).await.unwrap(), "old");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_enough_tiers_made_succeeds_and_what_the_other_has_is_not_read() {
    let Stack { tiers: [.., slow], store } = stack(2);
    put(&store, "old").await;
    break_down(&slow);
    store.evict(&key("a")).await.unwrap();
    slow.arm(When::Never);
    assert!(slow.inner().contains(&key("a")).await.unwrap(), "it could not be reached");
    assert!(read(&store).await.is_none());
    assert!(!store.contains(&key("a")).await.unwrap());
    store.flush().await.unwrap();
    assert!(!slow.contains(&key("a")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_merge_owes_a_slower_tier_the_whole_entry() {
    let Stack { tiers: [_, mid, slow], store } = stack(2);
    put(&store, "v").await;
    slow.evict(&key("a")).await.unwrap();
    // It answers that it has nothing, and takes nothing.
    slow.set_kind(ErrorKind::Unavailable);
    slow.arm(When::Nth(2));
    let log = BlobName::new("log").unwrap();
    let merge = PutEntry::default().with(log.clone(), "text");
    let outcome = store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(outcome.tiers.last().unwrap().1, FAILED, "{outcome:?}");
    store.flush().await.unwrap();
    for tier in [&mid, &slow] {
        assert_eq!(read(tier).await.unwrap(), "v");
        assert_eq!(tier.get_bytes(&key("a"), &log).await.unwrap().unwrap(), "text");
    }
}
