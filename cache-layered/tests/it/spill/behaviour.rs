//! What becomes of entries that memory has no room for, one after the other.
#![expect(clippy::indexing_slicing, reason = "a test may fail")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_conformance::{
    Reference,
    fault::{Call, Flaky, When},
};
use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, Key, KeyManagement, ListOptions, Namespace, PutBlob,
    PutEntry, PutMode, PutOptions, PutStatus, Store, StoreExt,
};
use cache_layered::{BreakerOptions, LayeredStore, TierOptions, WritePolicy};
use futures::{StreamExt, TryStreamExt, stream};

use super::{OpenSource, builder, durable, limited, sources, stack, tests};
use crate::tiers::key;

sources! {
    twenty_small_puts_over_a_tiny_memory_are_all_found
    an_evicted_entry_is_below_and_counted
    a_read_brings_a_spilled_entry_back_and_others_make_room
    what_is_below_is_not_written_again
    a_put_over_a_spilled_key_leaves_no_older_bytes
    an_eviction_takes_both_copies
    an_entry_over_the_memory_budget_goes_below
    a_merge_finds_the_blobs_that_were_spilled
    listings_and_usage_count_each_entry_once
    a_place_is_told_for_each_copy
    a_flush_writes_down_what_memory_alone_has
    a_close_writes_down_what_memory_alone_has
    a_hit_in_memory_asks_nothing_below
    what_cannot_be_taken_is_gone_and_counted
    a_failed_put_leaves_the_older_value
    a_clean_evicts_and_spills_nothing
}

fn value(number: u64, len: usize) -> Bytes {
    vec![u8::try_from(number % 251).unwrap(); len].into()
}

fn name(number: u64) -> Key {
    key(&number.to_string())
}

async fn read(store: &impl Store, key: &Key) -> Option<Bytes> {
    store.get_bytes(key, &BlobName::DATA).await.unwrap()
}

async fn twenty_small_puts_over_a_tiny_memory_are_all_found(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Reference::volatile().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    for number in 0..20 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
        assert!(source.usage(&Namespace::root()).await.unwrap().bytes <= 300);
    }
    for number in 0..20 {
        assert_eq!(read(&store, &name(number)).await, Some(value(number, 100)), "entry {number}");
        assert!(source.usage(&Namespace::root()).await.unwrap().bytes <= 300);
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 20);
    for number in 0..20 {
        store.evict(&name(number)).await.unwrap();
    }
    for tier in [&*source as &dyn Store, &below] {
        assert_eq!(tier.usage(&Namespace::root()).await.unwrap().entries, 0, "an orphan");
    }
}

async fn an_evicted_entry_is_below_and_counted(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = durable().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for number in 0..5 {
        let entry = PutEntry::data(value(number, 60)).with(BlobName::new("log").unwrap(), value(9, 40));
        store.put(&name(number), entry, PutOptions::default().with_created(made)).await.unwrap();
    }
    let metrics = store.metrics();
    assert_eq!((metrics.spills, metrics.spill_errors), (2, 0));
    let (_, memory) = &metrics.tiers[0];
    assert_eq!((memory.evictions, memory.evicted_bytes, memory.spills), (2, 200, 2));
    let spilled: Vec<_> = below.list(ListOptions::default()).try_collect().await.unwrap();
    assert_eq!(spilled.len(), 2);
    for meta in spilled {
        assert_eq!((meta.bytes, meta.blobs.len(), meta.created), (Some(100), 2, Some(made)));
        assert!(!source.contains(&meta.key).await.unwrap());
    }
}

async fn a_read_brings_a_spilled_entry_back_and_others_make_room(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let store = stack(&source, Reference::volatile().store(&limited(1 << 20)).unwrap());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    for _ in 0..3 {
        for number in 0..6 {
            assert_eq!(read(&store, &name(number)).await, Some(value(number, 100)));
            assert!(source.contains(&name(number)).await.unwrap(), "it was not brought back");
            assert_eq!(source.usage(&Namespace::root()).await.unwrap().bytes, 300);
        }
    }
    assert_eq!((store.metrics().misses, store.metrics().promotion_errors), (0, 0));
}

async fn what_is_below_is_not_written_again(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
    let store = stack(&source, below.clone());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    // Two rounds in which everything leaves memory once, at least.
    for _ in 0..2 {
        for number in 0..6 {
            read(&store, &name(number)).await.unwrap();
        }
    }
    let written = below.metrics().puts;
    assert_eq!((written, store.metrics().spills), (6, 6), "each of them once");
    for _ in 0..5 {
        for number in 0..6 {
            read(&store, &name(number)).await.unwrap();
        }
    }
    assert_eq!((below.metrics().puts, store.metrics().spills), (6, 6), "written again");
    assert!(source.metrics().evictions > 30);
}

async fn a_put_over_a_spilled_key_leaves_no_older_bytes(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Reference::volatile().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    let spilled: Vec<_> =
        below.list(ListOptions::default()).map_ok(|meta| meta.key).try_collect().await.unwrap();
    assert_eq!(spilled.len(), 3);
    for key in &spilled {
        store.put_bytes(key, "new".into()).await.unwrap();
        let left = below.get_bytes(key, &BlobName::DATA).await.unwrap();
        assert!(left.is_none_or(|left| left == "new"), "older bytes are left below");
    }
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().bytes, 309);
    for key in &spilled {
        // Also when the newer value is gone from memory.
        source.evict(key).await.unwrap();
        let found = read(&store, key).await;
        assert!(found.is_none_or(|found| found == "new"), "the older value came back");
    }
}

async fn an_eviction_takes_both_copies(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = durable().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    for number in 0..6 {
        read(&store, &name(number)).await.unwrap();
        store.evict(&name(number)).await.unwrap();
        assert!(
            !source.contains(&name(number)).await.unwrap() && !below.contains(&name(number)).await.unwrap()
        );
        assert_eq!(read(&store, &name(number)).await, None);
    }
    store.flush().await.unwrap();
    assert_eq!(below.usage(&Namespace::root()).await.unwrap().entries, 0);
}

async fn an_entry_over_the_memory_budget_goes_below(open: OpenSource) {
    let pieces = |len: usize| stream::iter((0..len / 100).map(|_| Ok(Bytes::from(vec![7_u8; 100])))).boxed();
    let streamed = |len: usize, told: bool| {
        let len_told = told.then_some(len as u64);
        PutEntry::default().with_blob(BlobName::DATA, PutBlob::Stream { len: len_told, stream: pieces(len) })
    };
    let source = open(&limited(1000)).unwrap();
    let below = Reference::volatile().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    let key = key("large");
    for entry in [PutEntry::data(value(7, 5000)), streamed(5000, true), streamed(5000, false)] {
        store.put_bytes(&key, "old".into()).await.unwrap();
        let outcome = store.put(&key, entry, PutOptions::default()).await.unwrap();
        assert!(outcome.is_stored());
        assert_eq!(outcome.tiers[1].1, PutStatus::Stored);
        assert!(!source.contains(&key).await.unwrap(), "an older value is left in memory");
        assert_eq!(read(&store, &key).await.unwrap().len(), 5000);
        store.evict(&key).await.unwrap();
    }
    for told in [true, false] {
        let outcome = store.put(&key, streamed(500, told), PutOptions::default()).await.unwrap();
        assert_eq!(outcome.tiers[0].1, PutStatus::Stored, "a small stream is for memory");
        assert!(!below.contains(&key).await.unwrap());
    }
}

async fn a_merge_finds_the_blobs_that_were_spilled(open: OpenSource) {
    for in_memory_too in [false, true] {
        let source = open(&limited(300)).unwrap();
        let store = stack(&source, durable().store(&limited(1 << 20)).unwrap());
        for number in 0..6 {
            store.put_bytes(&name(number), value(number, 100)).await.unwrap();
        }
        for number in 0..6 {
            if in_memory_too {
                read(&store, &name(number)).await.unwrap();
            }
            for (mode, text) in [(PutMode::Merge, "log"), (PutMode::Fill, "err"), (PutMode::Fill, "log")] {
                let more = PutEntry::default().with(BlobName::new(text).unwrap(), text);
                store.put(&name(number), more, PutOptions::mode(mode)).await.unwrap();
            }
            let entry = store.get_entry(&name(number), GetOptions::default()).await.unwrap().unwrap();
            assert_eq!(entry.meta.bytes, Some(106), "entry {number}");
            assert_eq!(entry.blobs.len(), 3);
        }
        assert!(source.usage(&Namespace::root()).await.unwrap().bytes <= 300);
    }
}

async fn listings_and_usage_count_each_entry_once(open: OpenSource) {
    let source = open(&limited(10_000)).unwrap();
    let store = stack(&source, Reference::volatile().store(&limited(1 << 30)).unwrap());
    // More than a page of what is in memory.
    let mut keys: Vec<_> = (0..3000).map(name).collect();
    for key in &keys {
        store.put_bytes(key, value(1, 5)).await.unwrap();
    }
    for key in keys.iter().step_by(7) {
        read(&store, key).await.unwrap();
    }
    keys.sort();
    let listed: Vec<_> =
        store.list(ListOptions::default()).map_ok(|meta| meta.key).try_collect().await.unwrap();
    assert_eq!(listed, keys);
    let usage = store.usage(&Namespace::root()).await.unwrap();
    assert_eq!((usage.entries, usage.bytes), (3000, 15_000));
    let after = ListOptions::default().with_start_after(keys[1000].clone()).with_limit(1500);
    let listed: Vec<_> = store.list(after).map_ok(|meta| meta.key).try_collect().await.unwrap();
    assert_eq!(listed, keys[1001..2501]);
}

async fn a_place_is_told_for_each_copy(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let store = stack(&source, Reference::volatile().store(&limited(1 << 20)).unwrap());
    for number in 0..4 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    let mut places = Vec::new();
    for number in 0..4 {
        let meta = store.meta(&name(number)).await.unwrap().unwrap();
        places.push(meta.places.iter().map(|place| place.tier.to_string()).collect::<Vec<_>>());
    }
    places.sort();
    assert_eq!(places, [vec!["below"], vec!["memory"], vec!["memory"], vec!["memory"]]);
    let spilled = source.list(ListOptions::default()).map_ok(|meta| meta.key).try_collect::<Vec<_>>();
    let in_memory = spilled.await.unwrap();
    let gone = (0..4).map(name).find(|key| !in_memory.contains(key)).unwrap();
    read(&store, &gone).await.unwrap();
    let meta = store.meta(&gone).await.unwrap().unwrap();
    let tiers: Vec<_> = meta.places.iter().map(|place| &*place.tier).collect();
    assert_eq!(tiers, ["memory", "below"]);
    assert!(meta.last_accessed.is_some());
}

async fn a_flush_writes_down_what_memory_alone_has(open: OpenSource) {
    let source = open(&limited(1000)).unwrap();
    let reference = durable();
    let below = reference.store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    assert!(store.info().powers.durable && !store.info().powers.shared);
    for number in 0..5 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    assert_eq!(below.usage(&Namespace::root()).await.unwrap().entries, 0);
    let recent = |meta: Option<cache_core::EntryMeta>| meta.unwrap().last_accessed;
    let before = recent(store.meta(&name(0)).await.unwrap());
    let report = store.flush().await.unwrap();
    assert!(report.durable);
    assert_eq!(below.usage(&Namespace::root()).await.unwrap().entries, 5);
    assert_eq!(recent(store.meta(&name(0)).await.unwrap()), before, "a flush makes nothing recent");
    assert_eq!((store.metrics().spills, source.metrics().hits), (0, 0), "it is no spill and no read");
    let written = below.metrics().puts;
    store.flush().await.unwrap();
    assert_eq!(below.metrics().puts, written, "nothing is written twice");
    store.close(None).await.unwrap();
    drop(store);
    let again = stack(&open(&limited(1000)).unwrap(), reference.store(&limited(1 << 20)).unwrap());
    for number in 0..5 {
        assert_eq!(read(&again, &name(number)).await, Some(value(number, 100)));
    }
}

async fn a_close_writes_down_what_memory_alone_has(open: OpenSource) {
    let reference = durable();
    let store = stack(&open(&limited(1000)).unwrap(), reference.store(&limited(1 << 20)).unwrap());
    store.put_bytes(&name(1), value(1, 100)).await.unwrap();
    assert_eq!(store.close(None).await.unwrap().left, 0);
    drop(store);
    let again = stack(&open(&limited(1000)).unwrap(), reference.store(&limited(1 << 20)).unwrap());
    assert_eq!(read(&again, &name(1)).await, Some(value(1, 100)));
}

async fn a_hit_in_memory_asks_nothing_below(open: OpenSource) {
    let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
    let store = stack(&open(&limited(1000)).unwrap(), below.clone());
    store.put_bytes(&name(1), value(1, 100)).await.unwrap();
    let before = below.calls();
    assert_eq!(store.get_now(name(1).view(), &BlobName::DATA).as_deref(), Some(&*value(1, 100)));
    read(&store, &name(1)).await.unwrap();
    store.get_entry(&name(1), GetOptions::default()).await.unwrap().unwrap();
    assert!(store.contains(&name(1)).await.unwrap());
    assert_eq!(below.calls(), before);
}

async fn what_cannot_be_taken_is_gone_and_counted(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
    let below = below.with_only(&[Call::Put]).with_kind(ErrorKind::NoSpace);
    let store = stack(&source, below.clone());
    below.arm(When::Every(1));
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
        assert!(
            source.usage(&Namespace::root()).await.unwrap().bytes <= 300,
            "the budget is kept all the same"
        );
    }
    let metrics = store.metrics();
    assert_eq!((metrics.spills, metrics.spill_errors), (0, 3));
    assert_eq!((source.metrics().evictions, source.metrics().spill_errors), (3, 3));
    let mut found = 0;
    for number in 0..6 {
        found += u64::from(read(&store, &name(number)).await.is_some());
    }
    assert_eq!(found, 3);
}

async fn a_failed_put_leaves_the_older_value(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
    let store = stack(&source, below.clone());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    for number in 0..6 {
        below.arm(When::Every(1));
        // One that memory takes, if nothing is below, and one that it cannot.
        let small = store.put_bytes(&name(number), "new".into()).await;
        let large = store.put_bytes(&name(number), value(9, 1000)).await;
        below.arm(When::Never);
        assert_eq!(small.unwrap_err().store(), "layered/below");
        assert_eq!(large.unwrap_err().store(), "layered/below");
        assert_eq!(read(&store, &name(number)).await, Some(value(number, 100)), "entry {number}");
    }
}

async fn a_clean_evicts_and_spills_nothing(open: OpenSource) {
    let source = open(&limited(300)).unwrap();
    let below = Reference::volatile().store(&limited(1 << 20)).unwrap();
    let store = stack(&source, below.clone());
    for number in 0..6 {
        store.put_bytes(&name(number), value(number, 100)).await.unwrap();
    }
    let spills = store.metrics().spills;
    let report = store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(200)).await.unwrap();
    assert_eq!((report.evicted_entries, report.kept_entries), (4, 2));
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 2);
    assert_eq!(store.metrics().spills, spills);
    assert_eq!(read(&store, &name(5)).await, Some(value(5, 100)), "the most recent stays");
    // Another stack over the same source would take what this one is to get.
    let second = builder(source, Arc::new(below)).build();
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn what_a_breaker_passes_over_is_missed_and_counted_and_found_when_it_closes() {
    let pause = Duration::from_secs(5);
    for open in [super::reference as OpenSource, super::memory] {
        let source = open(&limited(300)).unwrap();
        let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
        let breaker = BreakerOptions::default().with_failures(1).with_pause(pause);
        let role = TierOptions::default().with_write(WritePolicy::Spill).with_breaker(breaker);
        let store = LayeredStore::builder().spilling_tier("memory", source);
        let store = store.tier("below", Arc::new(below.clone())).options(role).build().unwrap();
        store.put_bytes(&name(0), value(0, 200)).await.unwrap();
        store.put_bytes(&name(1), value(1, 200)).await.unwrap();
        let spilled = if store.get_now(name(0).view(), &BlobName::DATA).is_some() { 1 } else { 0 };
        below.arm(When::Every(1));
        store.contains(&name(2)).await.unwrap_err();
        below.arm(When::Never);
        assert_eq!((read(&store, &name(spilled)).await, store.metrics().degraded), (None, 1));
        tokio::time::advance(pause).await;
        assert_eq!(read(&store, &name(spilled)).await, Some(value(spilled, 200)));
        assert_eq!(store.metrics().spill_errors, 0);
    }
}
