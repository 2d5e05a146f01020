//! What was put last stays, also where tiers are out of step, late, or not read.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_conformance::{
    Reference,
    fault::{Call, Flaky, Hanging, When},
};
use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry, PutMode,
    PutOptions, Store, StoreExt, VerifyOptions,
};
use cache_disk::DiskStore;
use cache_layered::{LayeredStore, TierOptions, WritePolicy};
use cache_memory::MemoryStore;
use futures::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use crate::{
    spill::{durable, limited},
    tiers::{key, layered, unlimited},
    verify::{damage, disk, file},
};

const EVER: Duration = Duration::from_secs(600);

type Tier = Flaky<MemoryStore>;

fn tier() -> Tier {
    Flaky::new(unlimited())
}

fn log() -> BlobName {
    BlobName::new("log").unwrap()
}

fn at(seconds: u64) -> PutOptions {
    PutOptions::default().with_created(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds))
}

fn with(fast: impl Store, slow: impl Store, options: TierOptions) -> LayeredStore {
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast));
    builder.tier("slow", Arc::new(slow)).options(options).build().unwrap()
}

fn never() -> TierOptions {
    TierOptions::default().with_write(WritePolicy::Never)
}

async fn read(store: &impl Store) -> Option<Bytes> {
    store.get_bytes(&key("a"), &BlobName::DATA).await.unwrap()
}

#[tokio::test]
async fn a_blob_that_others_keep_does_not_bring_their_older_entry() {
    let (fast, theirs) = (tier(), tier());
    let old = || PutEntry::data("old").with(log(), "text");
    // Their clock is ahead.
    theirs.put(&key("a"), old(), at(2)).await.unwrap();
    let store = with(fast, theirs, never());
    store.put(&key("a"), PutEntry::data("new"), at(1)).await.unwrap();
    assert_eq!(store.get_bytes(&key("a"), &log()).await.unwrap().unwrap(), "text");
    assert_eq!(read(&store).await.unwrap(), "new");
}

#[tokio::test]
async fn a_large_entry_that_others_keep_does_not_come_over_a_newer_one() {
    let theirs = Reference::volatile().store(&limited(1 << 30)).unwrap();
    let old = PutEntry::data(vec![1; 9_000_000]).with(log(), "text");
    theirs.put(&key("a"), old, at(2)).await.unwrap();
    let store = with(tier(), theirs, never());
    store.put(&key("a"), PutEntry::data("new"), at(1)).await.unwrap();
    assert_eq!(store.get_bytes(&key("a"), &log()).await.unwrap().unwrap(), "text");
    store.flush().await.unwrap();
    assert_eq!(read(&store).await.unwrap(), "new");
    let metrics = store.metrics();
    assert_eq!((metrics.promotions, metrics.promotion_errors), (0, 0), "it was not to be copied");
    // What the stack has nothing of is copied as before.
    store.evict(&key("a")).await.unwrap();
    assert_eq!(read(&store).await.unwrap().len(), 9_000_000);
    store.flush().await.unwrap();
    assert_eq!(store.metrics().promotions, 1);
}

#[tokio::test]
async fn a_read_that_fails_once_does_not_bring_what_others_keep() {
    let fast = tier().with_only(&[Call::Get, Call::GetEntry]);
    let (mid, theirs) = (fast.also(unlimited()), tier());
    theirs.put_bytes(&key("a"), "old".into()).await.unwrap();
    let builder =
        LayeredStore::builder().tier("fast", Arc::new(fast.clone())).tier("mid", Arc::new(mid.clone()));
    let store = builder.tier("theirs", Arc::new(theirs)).options(never()).build().unwrap();
    store.put_bytes(&key("a"), "new".into()).await.unwrap();
    fast.evict(&key("a")).await.unwrap();
    // Who can answer answers, and the answer is counted as one of a sick stack.
    fast.arm(When::Every(1));
    assert_eq!((read(&store).await.unwrap(), store.metrics().degraded), ("old".into(), 1));
    fast.arm(When::Never);
    assert_eq!(read(&store).await.unwrap(), "new");
}

#[tokio::test]
async fn a_read_that_fails_once_does_not_bring_an_older_version() {
    let (fast, slow) = (tier().with_only(&[Call::Get, Call::GetEntry]), tier());
    fast.put(&key("a"), PutEntry::data("new"), at(2)).await.unwrap();
    slow.put(&key("a"), PutEntry::data("old"), at(1)).await.unwrap();
    let store = layered(fast.clone(), slow);
    fast.arm(When::Every(1));
    assert_eq!(read(&store).await.unwrap(), "old");
    fast.arm(When::Never);
    assert_eq!(read(&store).await.unwrap(), "new");
}

#[tokio::test]
async fn a_scrub_repairs_from_what_the_stack_has_and_not_from_what_others_keep() {
    let dir = tempfile::tempdir().unwrap();
    let (fast, disk, theirs): (_, DiskStore, _) = (tier(), disk(dir.path()).await, tier());
    theirs.put_bytes(&key("a"), "old".into()).await.unwrap();
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone())).tier("disk", Arc::new(disk));
    let store = builder.tier("theirs", Arc::new(theirs)).options(never()).build().unwrap();
    let new = Bytes::from(vec![2; 1000]);
    store.put_bytes(&key("a"), new.clone()).await.unwrap();
    damage(&file(dir.path(), &key("a"), "data"));
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.damaged, report.repaired), (1, 1));
    fast.evict(&key("a")).await.unwrap();
    assert_eq!(read(&store).await.unwrap(), new);
    // Nor if what the stack has cannot be read just then.
    damage(&file(dir.path(), &key("a"), "data"));
    fast.put_bytes(&key("a"), new.clone()).await.unwrap();
    fast.arm(When::Every(1));
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.damaged, report.repaired), (1, 0));
    fast.arm(When::Never);
    assert_eq!(read(&store).await.unwrap(), new);
}

#[tokio::test(start_paused = true)]
async fn a_clean_leaves_what_was_put_since_it_listed() {
    let fast = Hanging::new(unlimited()).with_only(&[Call::Evict]);
    let store = layered(fast.clone(), unlimited());
    let keys = [key("a"), key("b")];
    for key in &keys {
        store.put(key, PutEntry::data("old"), at(0)).await.unwrap();
    }
    fast.hang();
    let policy = CleanPolicy::default().with_max_age(Duration::from_secs(3600));
    let cleaning = {
        let store = store.clone();
        async move { store.clean(&Namespace::root(), &policy).await.unwrap() }
    };
    let putting = async {
        fast.until_waiting(1).await;
        let mut renewed = None;
        for key in &keys {
            // That of the entry that goes now waits.
            let put = store.put_bytes(key, "new".into());
            if timeout(Duration::from_secs(1), put).await.is_ok() {
                renewed = Some(key);
            }
        }
        store.flush().await.unwrap();
        fast.release();
        renewed.unwrap()
    };
    let (report, renewed) = futures::join!(cleaning, putting);
    assert_eq!((report.evicted_entries, report.kept_entries), (1, 1));
    assert_eq!(store.get_bytes(renewed, &BlobName::DATA).await.unwrap().unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_clean_that_is_dropped_leaves_what_was_put_since_it_listed() {
    let fast = Hanging::new(unlimited()).with_only(&[Call::Put]);
    let store = layered(fast.clone(), unlimited());
    store.put(&key("a"), PutEntry::data("old"), at(0)).await.unwrap();
    let policy = CleanPolicy::default().with_max_age(Duration::from_secs(3600));
    let put = {
        let store = store.clone();
        async move { store.put_bytes(&key("a"), "new".into()).await.unwrap() }
    };
    let dropped = async {
        fast.until_waiting(1).await;
        // It has listed, and waits for the turn that the put has.
        let root = Namespace::root();
        let clean = timeout(Duration::from_secs(1), store.clean(&root, &policy));
        assert!(clean.await.is_err());
        fast.release();
    };
    fast.hang();
    futures::join!(put, dropped);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(read(&store).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_comes_late_below_is_older_than_what_is_put_there() {
    let below = Hanging::new(durable().store(&limited(1 << 20)).unwrap()).with_only(&[Call::Put]);
    let role = TierOptions::default()
        .with_write(WritePolicy::Spill)
        .with_deadline(Duration::from_secs(1))
        .with_breaker(None);
    let source = crate::spill::memory(&limited(1 << 20)).unwrap();
    let store = LayeredStore::builder().spilling_tier("memory", source);
    let store = store.tier("below", Arc::new(below.clone())).options(role).build().unwrap();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    below.hang();
    assert_eq!(store.flush().await.unwrap_err().kind(), ErrorKind::Timeout);
    let released = async {
        sleep(Duration::from_millis(500)).await;
        below.release();
    };
    let a = key("a");
    let (put, ()) = futures::join!(store.put_bytes(&a, "new".into()), released);
    put.unwrap();
    sleep(Duration::from_secs(10)).await;
    let merge = PutEntry::default().with(log(), "text");
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(read(&store).await.unwrap(), "new");
}

#[tokio::test]
async fn a_put_that_fails_where_nobody_reads_leaves_a_value_to_read() {
    let (fast, copy) = (tier(), tier().with_only(&[Call::Put, Call::PutStream]));
    let store = with(fast, copy.clone(), TierOptions::default().with_read(false));
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    copy.arm(When::Every(1));
    let error = store.put_bytes(&key("a"), "new".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.store()), (ErrorKind::Unavailable, "layered/slow"));
    assert_eq!(read(&store).await.unwrap(), "new");
    store.put(&key("a"), streamed("newest"), PutOptions::default()).await.unwrap_err();
    assert_eq!(read(&store).await.unwrap(), "newest");
}

/// As a stream of unknown length.
fn streamed(text: &'static str) -> PutEntry {
    let pieces = stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).boxed();
    PutEntry::default().with_stream(BlobName::DATA, None, pieces)
}

#[tokio::test]
async fn a_stream_that_fails_where_nobody_reads_leaves_no_older_value_in_a_tier_that_is_too_small() {
    let (fast, slow, copy) = (tier(), tier(), tier().with_only(&[Call::PutStream]));
    let builder = LayeredStore::builder().tier("fast", Arc::new(fast.clone()));
    let builder =
        builder.options(TierOptions::default().with_max_entry_bytes(10)).tier("slow", Arc::new(slow));
    let builder =
        builder.tier("copy", Arc::new(copy.clone())).options(TierOptions::default().with_read(false));
    let store = builder.build().unwrap();
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    copy.arm(When::Every(1));
    store.put(&key("a"), streamed("more than ten bytes"), PutOptions::default()).await.unwrap_err();
    assert!(!fast.contains(&key("a")).await.unwrap());
    assert_eq!(read(&store).await.unwrap(), "more than ten bytes");
}

#[tokio::test]
async fn a_stream_that_is_too_large_where_nobody_reads_leaves_a_value_to_read() {
    let (fast, copy) = (tier(), tier().with_only(&[Call::Evict]));
    let unread = TierOptions::default().with_read(false).with_max_entry_bytes(10);
    let store = with(fast, copy.clone(), unread);
    store.put_bytes(&key("a"), "old".into()).await.unwrap();
    copy.arm(When::Every(1));
    let put = store.put(&key("a"), streamed("more than ten bytes"), PutOptions::default()).await;
    assert_eq!(put.unwrap_err().store(), "layered/slow");
    assert_eq!(read(&store).await.unwrap(), "more than ten bytes");
}

#[tokio::test]
async fn a_put_that_fails_where_nobody_reads_is_written_down_by_the_next_flush() {
    let below = durable().store(&limited(1 << 20)).unwrap();
    let copy = Flaky::new(durable().store(&limited(1 << 20)).unwrap()).with_only(&[Call::Put]);
    let source = crate::spill::memory(&limited(1 << 20)).unwrap();
    let store = LayeredStore::builder().spilling_tier("memory", source);
    let store = store.tier("below", Arc::new(below.clone())).write(WritePolicy::Spill);
    let store = store.tier("copy", Arc::new(copy.clone())).options(TierOptions::default().with_read(false));
    let store = store.build().unwrap();
    copy.arm(When::Every(1));
    store.put_bytes(&key("a"), "new".into()).await.unwrap_err();
    let merge = PutEntry::default().with(log(), "text");
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap_err();
    copy.arm(When::Never);
    assert!(store.flush().await.unwrap().durable);
    let there = below.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(there.blobs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_merge_finds_the_entry_whose_queued_put_is_lost() {
    let slow = tier().with_only(&[Call::Put]);
    let role = TierOptions::default().with_write(WritePolicy::Behind).with_breaker(None);
    let store = with(unlimited(), slow.clone(), role);
    slow.arm(When::Every(1));
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    slow.set_kind(ErrorKind::NoSpace);
    slow.arm(When::Nth(1));
    let merge = PutEntry::default().with(log(), "text");
    store.put(&key("a"), merge, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(read(&store).await.unwrap(), "v");
    assert_eq!(store.get_bytes(&key("a"), &log()).await.unwrap().unwrap(), "text");
    assert_eq!(store.flush().await.unwrap_err().kind(), ErrorKind::NoSpace, "the loss is told");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_nobody_polls_holds_up_no_write() {
    let below = Hanging::new(durable().store(&limited(1 << 20)).unwrap()).with_only(&[Call::Put]);
    let source = crate::spill::memory(&limited(300)).unwrap();
    let store = LayeredStore::builder().spilling_tier("memory", source);
    let store = store.tier("below", Arc::new(below.clone())).write(WritePolicy::Spill).build().unwrap();
    let (a, b) = (key("a"), key("b"));
    for key in [&a, &b] {
        store.put_bytes(key, vec![1; 100].into()).await.unwrap();
    }
    below.hang();
    let flushing = tokio::task::JoinSet::from_iter([{
        let store = store.clone();
        async move { _ = store.flush().await }
    }]);
    below.until_waiting(1).await;
    // One of the keys is being written down, so that it cannot make room for the other one, which nobody has until
    // it is below.
    let puts = [&a, &b].map(|key| {
        let (store, key) = (store.clone(), key.clone());
        async move { store.put_bytes(&key, vec![2; 250].into()).await.unwrap() }
    });
    let puts = tokio::task::JoinSet::from_iter(puts);
    below.until_waiting(2).await;
    let mut waiting = Vec::new();
    for key in [&a, &b] {
        let mut read = Box::pin(store.get_bytes(key, &BlobName::DATA));
        if timeout(Duration::from_secs(1), &mut read).await.is_err() {
            waiting.push(read);
        }
    }
    assert!(!waiting.is_empty(), "no key is in between");
    // Neither is it missing where all are listed.
    let listed: Vec<_> = store.list(ListOptions::default()).map(|meta| meta.unwrap().key).collect().await;
    assert!(listed.contains(&a) && listed.contains(&b) && listed.len() == 2, "{listed:?}");
    below.release();
    timeout(EVER, puts.join_all()).await.expect("a put waits for ever");
    timeout(EVER, flushing.join_all()).await.expect("a flush waits for ever");
    for key in [&a, &b] {
        let put = timeout(EVER, store.put_bytes(key, "v".into())).await.expect("a put waits for ever");
        put.unwrap();
    }
    for read in waiting {
        assert!(timeout(EVER, read).await.expect("a read waits for ever").unwrap().is_some());
    }
}
