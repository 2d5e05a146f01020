//! What the writer owes when something goes wrong, and what it leaves behind.

use std::{thread::sleep, time::Duration};

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, Key, KeyManagement, ListOptions, Namespace, PutEntry,
    PutOptions, Store, StoreExt,
};
use futures::{FutureExt, StreamExt};
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use tokio::{runtime::Builder, time::timeout};

use super::{block_on, bytes, entry, key, open, open_as, options, read, rows};
use crate::{
    RedbStore,
    chunks::{CHUNKS, LOOSE},
    medium::Medium,
    memory_medium::MemoryMedium,
    rows::{BLOBS, ENTRIES, RECENCY, RowKey, TOTALS},
};

/// Changes rows behind the store's back, when its writer has nothing to do.
fn tamper<T>(store: &RedbStore, change: impl FnOnce(&WriteTransaction) -> T) -> T {
    let engine = store.engine();
    loop {
        if let Some(writer) = engine.unpark() {
            let answer = writer.tamper(engine, change);
            engine.park(writer);
            return answer.unwrap();
        }
        sleep(Duration::from_millis(1));
    }
}

/// Waits until the writer has nothing to do.
fn rest(store: &RedbStore) {
    tamper(store, |_| ());
}

async fn put(store: &RedbStore, key: &Key, len: usize) -> cache_core::Result<()> {
    let outcome = store.put_bytes(key, bytes(1, len)).await?;
    assert!(outcome.is_stored());
    Ok(())
}

/// So many entries that not all of them are in pages that are always in memory.
async fn fill(store: &RedbStore) {
    for number in 0..300 {
        put(store, &key("filling", number), 100).await.unwrap();
    }
    store.flush().await.unwrap();
}

async fn held(store: &RedbStore) -> (u64, u64) {
    let usage = store.usage(&Namespace::root()).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.entries, metrics.resident_bytes), (Some(usage.entries), Some(usage.bytes)));
    (usage.entries, usage.bytes)
}

async fn closed(store: RedbStore, medium: &MemoryMedium) {
    store.close(None).await.unwrap();
    drop(store);
    rows::check(&medium.open().unwrap()).unwrap();
}

#[test]
fn a_fill_of_what_is_there_leaves_no_upload_behind() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        let key = key("", 1);
        put(&store, &key, 10).await.unwrap();
        let contents = [(BlobName::DATA, bytes(2, 3 << 20))].into();
        let fill = PutOptions::mode(cache_core::PutMode::Fill);
        assert!(store.put(&key, entry(&contents), fill).await.unwrap().is_stored());
        store.flush().await.unwrap();
        rest(&store);
        let left = tamper(&store, |tx| {
            let loose = tx.open_table(LOOSE).unwrap().len().unwrap();
            (loose, tx.open_table(CHUNKS).unwrap().len().unwrap())
        });
        assert_eq!(left, (0, 0));
        closed(store, &medium).await;
    });
}

#[test]
fn a_writer_that_its_runtime_never_began_holds_up_nobody() {
    let medium = MemoryMedium::new();
    let store = block_on(open(&medium)).unwrap();
    rest(&store);
    let going = Builder::new_current_thread().build().unwrap();
    let gone = going.handle().clone();
    drop(going);
    {
        let _within = gone.enter();
        _ = put(&store, &key("", 1), 10).now_or_never();
    }
    block_on(async {
        let second = key("", 2);
        let put = timeout(Duration::from_secs(20), put(&store, &second, 10));
        put.await.expect("nobody works").unwrap();
        closed(store, &medium).await;
    });
}

#[test]
fn every_put_that_was_lost_is_told_once() {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(0);
        let store = open(&medium).await.unwrap();
        store.flush().await.unwrap();
        let mut number = 0;
        for puts in [3, 2] {
            for _ in 0..puts {
                number += 1;
                put(&store, &key("", number), 10).await.unwrap();
            }
            medium.fail(1);
            put(&store, &key("", 100), 10).await.unwrap_err();
            medium.fail(0);
        }
        let told = store.flush().await.unwrap_err();
        assert!(told.detail().unwrap().starts_with("5 puts"), "{}", told.to_line());
        put(&store, &key("", 200), 10).await.unwrap();
        assert_eq!(store.flush().await.unwrap().entries, 1);
        // Neither are they told again if the database could not be opened at once, nor counted as flushed.
        put(&store, &key("", 201), 10).await.unwrap();
        medium.fail_from(1);
        put(&store, &key("", 202), 10).await.unwrap_err();
        put(&store, &key("", 202), 10).await.unwrap_err();
        let told = store.flush().await.unwrap_err();
        assert!(told.detail().unwrap().starts_with("1 puts"), "{}", told.to_line());
        medium.fail(0);
        assert_eq!(store.flush().await.unwrap().entries, 0);
        closed(store, &medium).await;
    });
}

#[test]
fn a_failure_that_cost_nothing_fails_no_flush() {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(0);
        let store = open(&medium).await.unwrap();
        put(&store, &key("", 1), 1000).await.unwrap();
        fill(&store).await;
        medium.fail(1);
        store.get_bytes(&key("", 1), &BlobName::DATA).await.unwrap_err();
        medium.fail(0);
        store.flush().await.unwrap();
        // A removal that is taken back is no put, but is told.
        store.evict(&key("", 1)).await.unwrap();
        medium.fail(1);
        put(&store, &key("", 2), 10).await.unwrap_err();
        medium.fail(0);
        store.flush().await.unwrap_err();
        store.flush().await.unwrap();
        closed(store, &medium).await;
    });
}

#[test]
fn damaged_totals_are_put_right_by_the_next_write() {
    block_on(async {
        for removes in [false, true] {
            let medium = MemoryMedium::new();
            let store = open(&medium).await.unwrap();
            for number in 0..5 {
                put(&store, &key("a", number), 100).await.unwrap();
            }
            tamper(&store, |tx| {
                let mut totals = tx.open_table(TOTALS).unwrap();
                let rows: Vec<_> =
                    totals.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).collect();
                rows.iter().for_each(|row| drop(totals.insert(row.as_slice(), [7_u8; 32].as_slice())));
            });
            assert_eq!(held(&store).await, (5, 500));
            if removes {
                store.evict(&key("a", 0)).await.unwrap();
                assert_eq!(held(&store).await, (4, 400));
            } else {
                put(&store, &key("a", 5), 100).await.unwrap();
                assert_eq!(held(&store).await, (6, 600));
            }
            closed(store, &medium).await;
        }
    });
}

#[test]
fn stamps_that_lead_nowhere_stop_no_eviction() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open_as(&medium, options().with_max_entries(10)).await.unwrap();
        // The first stamps are those of entries that are there no more.
        tamper(&store, |tx| {
            let mut recency = tx.open_table(RECENCY).unwrap();
            for number in 0..300_u64 {
                let gone = key("gone", number);
                recency.insert(number, RowKey::entry(gone.view()).as_bytes()).unwrap();
            }
        });
        store.engine().go_on_after(1_000);
        for number in 0..10 {
            put(&store, &key("", number), 10).await.unwrap();
        }
        rest(&store);
        for number in 10..12 {
            put(&store, &key("", number), 10).await.unwrap();
        }
        store.flush().await.unwrap();
        assert_eq!(held(&store).await.0, 10);
        assert!(store.contains(&key("", 2)).await.unwrap());
    });
}

#[test]
fn a_damaged_blob_of_no_entry_is_found_once() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        let key = key("", 1);
        put(&store, &key, 100).await.unwrap();
        tamper(&store, |tx| {
            tx.open_table(ENTRIES).unwrap().remove(RowKey::entry(key.view()).as_bytes()).unwrap();
            let blob = RowKey::blob(key.view(), &BlobName::DATA);
            tx.open_table(BLOBS).unwrap().insert(blob.as_bytes(), [1, 2, 3].as_slice()).unwrap();
        });
        let error = store.get_bytes(&key, &BlobName::DATA).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap(), None);
    });
}

/// Wherever the flush fails, also where it has committed already.
#[test]
fn reads_are_counted_once_wherever_a_flush_fails() {
    block_on(async {
        let mut failed = 0;
        for nth in 1.. {
            let medium = MemoryMedium::new().with_cache_bytes(0);
            let store = open(&medium).await.unwrap();
            let key = key("", 1);
            put(&store, &key, 10).await.unwrap();
            store.flush().await.unwrap();
            put(&store, &self::key("", 2), 10).await.unwrap();
            for _ in 0..3 {
                store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap();
            }
            rest(&store);
            medium.fail(nth);
            let before = medium.operations();
            let flushed = store.flush().await;
            let enough = medium.operations() < before + nth;
            medium.fail(0);
            failed += usize::from(flushed.is_err());
            if flushed.is_err() {
                store.flush().await.unwrap();
            }
            let meta = store.meta(&key).await.unwrap().unwrap();
            assert_eq!(meta.access_count, Some(3), "operation {nth} failed");
            closed(store, &medium).await;
            if enough {
                break;
            }
        }
        assert!(failed > 5, "{failed} flushes failed");
    });
}

#[test]
fn what_cannot_be_swept_is_not_tried_for_ever() {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(0);
        let store = open(&medium).await.unwrap();
        let large = key("", 0);
        let contents = [(BlobName::DATA, bytes(2, 8 << 20))].into();
        store.put(&large, entry(&contents), PutOptions::default()).await.unwrap();
        let streamed = GetOptions::default().with_stream_above(0);
        let open = store.get(&large, &BlobName::DATA, streamed).await.unwrap().unwrap();
        store.evict(&large).await.unwrap();
        store.flush().await.unwrap();
        medium.spoil_large_pages();
        drop(open);
        let (root, policy) = (Namespace::root(), CleanPolicy::default());
        let clean = store.clean(&root, &policy);
        _ = timeout(Duration::from_secs(20), clean).await.expect("it ends");
        let tries = (0..100).take_while(|_| {
            let before = medium.operations();
            sleep(Duration::from_millis(100));
            medium.operations() > before
        });
        assert!(tries.count() < 50, "the writer tries for ever");
    });
}

#[test]
fn a_panic_of_the_writer_ends_nothing() {
    struct Bomb;
    impl AsRef<[u8]> for Bomb {
        fn as_ref(&self) -> &[u8] {
            b"bomb"
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "the bytes of a caller panic when they are dropped");
        }
    }
    let medium = MemoryMedium::new();
    let store = block_on(open(&medium)).unwrap();
    block_on(async {
        put(&store, &key("", 1), 10).await.unwrap();
        let bomb = PutEntry::data(bytes::Bytes::from_owner(Bomb));
        _ = store.put(&key("", 2), bomb, PutOptions::default()).await;
        for number in 3..20 {
            let next = key("", number);
            let put = timeout(Duration::from_secs(20), put(&store, &next, 10));
            match put.await.expect("the writer is gone") {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::Internal, "{}", error.to_line()),
            }
        }
        put(&store, &key("", 20), 10).await.unwrap();
        let flushed = store.flush().await;
        let is_there = store.contains(&key("", 1)).await.unwrap();
        assert!(is_there || flushed.is_err(), "what was put is lost, and nobody tells");
        store.flush().await.unwrap();
        closed(store, &medium).await;
    });
}

#[test]
fn errors_tell_what_failed() {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(0);
        let store = open(&medium).await.unwrap();
        let key = key("", 1);
        put(&store, &key, 1000).await.unwrap();
        fill(&store).await;
        let told = |error: cache_core::Error| {
            let (operation, key) = (error.operation(), error.key().cloned());
            assert!(std::error::Error::source(&error).is_some() || error.kind() == ErrorKind::Corrupt);
            assert_eq!(error.store(), "redb");
            (operation, key)
        };
        let options = GetOptions::default;
        medium.fail(1);
        let error = store.get(&key, &BlobName::DATA, options()).await.unwrap_err();
        assert_eq!(told(error), ("get", Some(key.clone())));
        medium.fail(3);
        let error = store.get_entry(&key, options()).await.unwrap_err();
        assert_eq!(told(error), ("get_entry", Some(key.clone())));
        medium.fail(0);
        tamper(&store, |tx| {
            let blob = RowKey::blob(key.view(), &BlobName::DATA);
            tx.open_table(BLOBS).unwrap().insert(blob.as_bytes(), [1, 2, 3].as_slice()).unwrap();
        });
        let error = store.get_entry(&key, options()).await.unwrap_err();
        assert_eq!(told(error), ("get_entry", Some(key.clone())));
    });
}

#[test]
fn a_dropped_store_that_only_looked_lets_go_of_the_file() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        put(&store, &key("", 1), 10).await.unwrap();
        store.close(None).await.unwrap();
        drop(store);
        let viewer = open_as(&medium, options().with_read_only(true)).await.unwrap();
        let mut listing = viewer.list(ListOptions::default());
        drop(viewer);
        let store = open(&medium).await.unwrap();
        assert_eq!(listing.next().await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
        closed(store, &medium).await;
    });
}

#[test]
fn a_store_that_only_looks_asks_nothing_of_a_writer() {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(0);
        let store = open(&medium).await.unwrap();
        let contents = [(BlobName::DATA, bytes(2, 3 << 20))].into();
        store.put(&key("", 1), entry(&contents), PutOptions::default()).await.unwrap();
        store.close(None).await.unwrap();
        drop(store);
        let viewer = open_as(&medium, options().with_read_only(true)).await.unwrap();
        let streamed = GetOptions::default().with_stream_above(0);
        let blob = viewer.get(&key("", 1), &BlobName::DATA, streamed).await.unwrap().unwrap();
        medium.fail_from(1);
        blob.collect(u64::MAX).await.unwrap_err();
        medium.fail(0);
        assert_eq!(viewer.engine().queue.len(), 0);
        viewer.flush().await.unwrap();
        viewer.close(None).await.unwrap();
        let flushed = timeout(Duration::from_secs(5), viewer.flush()).await.expect("it waits for ever");
        assert_eq!(flushed.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn who_writes_waits_for_no_read() {
    let medium = MemoryMedium::new().with_cache_bytes(0);
    let store = block_on(open(&medium)).unwrap();
    let large = key("", 0);
    block_on(async {
        let contents = [(BlobName::DATA, bytes(2, 3 << 20))].into();
        store.put(&large, entry(&contents), PutOptions::default()).await.unwrap();
        store.flush().await.unwrap();
        rest(&store);
        medium.hold_up_large_pages(true);
        let mut read = Box::pin(store.get_entry(&large, GetOptions::default()));
        assert!(timeout(Duration::from_millis(100), &mut read).await.is_err(), "it is held up");
        let small = key("", 1);
        let put = timeout(Duration::from_secs(20), put(&store, &small, 10)).await;
        // So that a failure is told, and does not hang.
        medium.hold_up_large_pages(false);
        put.expect("it waits for a read").unwrap();
        assert!(read.await.unwrap().is_some());
    });
}

#[test]
fn a_stamp_that_was_never_given_out_is_put_right() {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        let key = key("", 1);
        put(&store, &key, 10).await.unwrap();
        tamper(&store, |tx| {
            let mut recency = tx.open_table(RECENCY).unwrap();
            let stamp = recency.pop_first().unwrap().unwrap().0.value();
            assert_eq!(stamp, 1);
            recency.insert(u64::MAX, RowKey::entry(key.view()).as_bytes()).unwrap();
        });
        store.close(None).await.unwrap();
        drop(store);
        let store = open(&medium).await.unwrap();
        store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap();
        put(&store, &self::key("", 2), 10).await.unwrap();
        assert!(store.engine().last_stamp() < 10);
        assert_eq!(held(&store).await, (2, 20));
        closed(store, &medium).await;
    });
}

#[test]
fn who_opens_waits_for_a_close_that_nobody_waited_for() {
    block_on(async {
        for polled_once in [true, false] {
            let medium = MemoryMedium::new().with_cache_bytes(0);
            let store = open(&medium).await.unwrap();
            let contents = [(BlobName::DATA, bytes(2, 3 << 20))].into();
            store.put(&key("", 0), entry(&contents), PutOptions::default()).await.unwrap();
            store.flush().await.unwrap();
            medium.hold_up_large_pages(true);
            // Its chunks are swept before the store is closed.
            store.evict(&key("", 0)).await.unwrap();
            let close = store.close(Some(Duration::ZERO));
            if polled_once {
                assert!(close.now_or_never().is_none());
            } else {
                assert_eq!(close.await.unwrap().left, 1);
            }
            drop(store);
            let mut opened = Box::pin(open(&medium));
            let early = timeout(Duration::from_millis(100), &mut opened).await;
            medium.hold_up_large_pages(false);
            assert!(early.is_err(), "{early:?}");
            closed(opened.await.unwrap(), &medium).await;
        }
    });
}

#[test]
fn a_put_over_an_entry_whose_row_is_lost_keeps_nothing_of_it() {
    let store = block_on(open(&MemoryMedium::new())).unwrap();
    let (lost, log) = (key("", 0), BlobName::new("log").unwrap());
    block_on(async {
        let both = [(BlobName::DATA, bytes(1, 100)), (log.clone(), bytes(2, 400_000))].into();
        store.put(&lost, entry(&both), PutOptions::default()).await.unwrap();
        let row_key = RowKey::entry(lost.view());
        tamper(&store, |tx| drop(tx.open_table(ENTRIES).unwrap().remove(row_key.as_bytes()).unwrap()));
        let one = [(BlobName::DATA, bytes(3, 100))].into();
        store.put(&lost, entry(&one), PutOptions::default()).await.unwrap();
        assert_eq!(read(&store, &lost).await.unwrap(), Some(one));
        let older = store.get(&lost, &log, GetOptions::default()).await.unwrap();
        assert!(older.is_none(), "a blob of the entry before");
    });
}
