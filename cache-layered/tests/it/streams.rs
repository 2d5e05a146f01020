//! Large entries: fetched once, and streamed to the reader and to the faster tiers at the same time.

use std::time::Duration;

use bytes::Bytes;
use cache_conformance::{
    Reference, ReferenceStore, Setup,
    fault::{Call, Flaky, Hanging, Slow, When},
};
use cache_core::{
    Blob, BlobName, ByteStream, ErrorKind, GetOptions, KeyManagement, PutEntry, PutOptions, Store, StoreExt,
};
use cache_layered::LayeredStore;
use cache_memory::MemoryOptions;
use futures::{StreamExt, TryStreamExt};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::tiers::{key, layered, memory, unlimited};

const LEN: usize = 9_000_000;

fn large(of: u8) -> Bytes {
    (0..LEN).map(|n| of.wrapping_add(u8::try_from(n % 251).unwrap())).collect::<Vec<_>>().into()
}

/// What streams what is large.
async fn source(value: Bytes) -> ReferenceStore {
    let store = Reference::volatile().store(&Setup::default()).unwrap();
    store.put_bytes(&key("a"), value).await.unwrap();
    store
}

async fn open(store: &LayeredStore) -> Blob {
    store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap()
}

/// As much of the stream as comes before its end, and the error that it ends in.
async fn read(mut stream: ByteStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut read = Vec::new();
    loop {
        match timeout(Duration::from_secs(600), stream.try_next()).await.expect("a stream that goes on") {
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => return (read, None),
            Err(error) => return (read, Some(error.kind())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_entry_reaches_its_reader_while_it_is_promoted() {
    let slow = Slow::new(source(large(1)).await).with_only(&[]).with_slow_pieces();
    slow.set_delay(Duration::from_millis(10));
    let slow = Flaky::new(slow).with_only(&[Call::GetEntry, Call::Get]);
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    let mut stream = open(&store).await.into_stream();
    let first = stream.try_next().await.unwrap().unwrap();
    assert!(!fast.contains(&key("a")).await.unwrap(), "the rest is still on its way");
    let (rest, error) = read(stream).await;
    assert_eq!(error, None);
    assert!([&first[..], &rest].concat() == large(1));
    assert!(fast.contains(&key("a")).await.unwrap());
    assert_eq!((slow.calls(), store.metrics().promotions), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_lags_holds_up_no_promotion_and_goes_on_from_the_copy() {
    let slow = Flaky::new(source(large(1)).await).with_only(&[Call::GetEntry, Call::Get]);
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    let mut stream = open(&store).await.into_stream();
    let first = stream.try_next().await.unwrap().unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(fast.contains(&key("a")).await.unwrap(), "the promotion waits for the reader");
    let (rest, error) = read(stream).await;
    assert_eq!(error, None);
    assert!([&first[..], &rest].concat() == large(1));
    assert_eq!(slow.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_lags_behind_a_write_is_told_and_never_gets_two_versions() {
    for evicts in [false, true] {
        let store = layered(unlimited(), source(large(1)).await);
        let mut stream = open(&store).await.into_stream();
        let first = stream.try_next().await.unwrap().unwrap();
        sleep(Duration::from_secs(1)).await;
        if evicts {
            store.evict(&key("a")).await.unwrap();
        } else {
            store.put_bytes(&key("a"), large(2)).await.unwrap();
        }
        let (rest, error) = read(stream).await;
        assert_eq!(error, Some(ErrorKind::Unavailable));
        assert!(large(1).starts_with(&[&first[..], &rest].concat()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_goes_does_not_stop_the_promotion() {
    let slow = Slow::new(source(large(1)).await).with_only(&[]).with_slow_pieces();
    slow.set_delay(Duration::from_millis(10));
    let fast = unlimited();
    let store = layered(fast.clone(), slow);
    drop(open(&store).await);
    sleep(Duration::from_secs(600)).await;
    assert!(fast.contains(&key("a")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_stops_when_neither_a_tier_nor_the_reader_wants_it() {
    let slow = Hanging::new(source(large(1)).await).with_only(&[Call::Get]);
    slow.hang();
    let store = layered(unlimited(), slow.clone());
    let stream = open(&store).await;
    slow.until_waiting(1).await;
    drop(stream);
    store.put_bytes(&key("a"), "new".into()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn readers_of_a_large_entry_fetch_it_once_and_read_the_copy() {
    let slow = Slow::new(source(large(1)).await).with_only(&[]).with_slow_pieces();
    slow.set_delay(Duration::from_millis(10));
    let slow = Flaky::new(slow).with_only(&[Call::GetEntry, Call::Get]);
    let store = layered(unlimited(), slow.clone());
    let reader = |store: LayeredStore, after: u64| async move {
        sleep(Duration::from_millis(after)).await;
        read(open(&store).await.into_stream()).await
    };
    // Some of them come when it has begun to stream.
    let readers: JoinSet<_> = (0..20).map(|n| reader(store.clone(), n)).collect();
    for (found, error) in readers.join_all().await {
        assert!(error.is_none() && found == large(1));
    }
    assert_eq!((slow.calls(), store.metrics().hits), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn readers_who_want_it_in_hand_get_it_so() {
    let slow = Flaky::new(source(large(1)).await).with_only(&[Call::GetEntry, Call::Get]);
    let store = layered(unlimited(), slow.clone());
    let options = GetOptions::default().with_stream_above(u64::MAX);
    let found = store.get(&key("a"), &BlobName::DATA, options).await.unwrap().unwrap();
    assert!(found.bytes().is_some_and(|bytes| *bytes == large(1)));
    assert_eq!(slow.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_does_not_wait_for_a_download_and_the_reader_gets_the_rest() {
    for evicts in [false, true] {
        let slow = Hanging::new(source(large(1)).await).with_only(&[Call::Get]);
        slow.hang();
        let fast = unlimited();
        let store = layered(fast.clone(), slow.clone());
        let stream = open(&store).await.into_stream();
        slow.until_waiting(1).await;
        let begun = Instant::now();
        if evicts {
            store.evict(&key("a")).await.unwrap();
        } else {
            store.put_bytes(&key("a"), "new".into()).await.unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "it waited {:?}", begun.elapsed());
        assert_eq!(store.metrics().promotion_errors, 1);
        slow.release();
        let (found, error) = read(stream).await;
        assert_eq!(error, None);
        assert!(found == large(1));
        let left = fast.get_bytes(&key("a"), &BlobName::DATA).await.unwrap();
        assert_eq!(left, (!evicts).then(|| Bytes::from_static(b"new")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_takes_no_pieces_loses_its_copy_and_delays_the_reader_by_a_second_at_most() {
    let fast = Hanging::new(unlimited()).with_only(&[Call::PutStream]);
    fast.hang();
    let store = layered(fast, source(large(1)).await);
    let begun = Instant::now();
    let (found, error) = read(open(&store).await.into_stream()).await;
    assert_eq!(error, None);
    assert!(found == large(1));
    assert!(begun.elapsed() <= Duration::from_millis(1200), "{:?}", begun.elapsed());
    assert_eq!(
        (store.metrics().promotions, store.metrics().promotion_errors),
        (0, 1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_is_slow_with_each_piece_delays_the_reader_by_a_second_for_all_of_them() {
    let fast = Slow::new(unlimited()).with_only(&[]).with_slow_pieces();
    fast.set_delay(Duration::from_millis(900));
    let store = layered(fast, source(large(1)).await);
    let begun = Instant::now();
    let (found, error) = read(open(&store).await.into_stream()).await;
    assert!(error.is_none() && found == large(1));
    assert!(begun.elapsed() <= Duration::from_millis(1200), "{:?}", begun.elapsed());
    assert_eq!((store.metrics().promotions, store.metrics().promotion_errors), (0, 1));
}

/// Its reader has long had everything.
#[tokio::test(start_paused = true)]
async fn a_tier_that_takes_long_to_commit_has_its_copy_counted_when_it_ends() {
    for (kind, counted) in [(None, (1, 0)), (Some(ErrorKind::Unavailable), (0, 1))] {
        let fast = Flaky::new(unlimited()).with_only(&[Call::PutStream]);
        if let Some(kind) = kind {
            fast.set_kind(kind);
            fast.arm(When::Every(1));
        }
        let fast = Slow::new(fast).with_only(&[Call::PutStream]).with_delay(Duration::from_secs(3));
        // Few pieces: the tier has been handed all of them before it begins.
        let store = layered(fast, source(vec![1; 1000].into()).await);
        let options = GetOptions::default().with_stream_above(0);
        let mut entry = store.get_entry(&key("a"), options).await.unwrap().unwrap();
        let blob = entry.take(&BlobName::DATA).unwrap();
        assert!(blob.bytes().is_none(), "it streams");
        let (found, error) = read(blob.into_stream()).await;
        assert!(error.is_none() && found == [1; 1000]);
        let metrics = || (store.metrics().promotions, store.metrics().promotion_errors);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(metrics(), (0, 0), "it has not ended");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(metrics(), counted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_entry_that_no_tier_admits_streams_from_where_it_is() {
    let slow = Flaky::new(source(large(1)).await).with_only(&[Call::GetEntry, Call::Get]);
    let store = layered(memory(MemoryOptions::unlimited().with_max_bytes(1000)), slow.clone());
    let (found, error) = read(open(&store).await.into_stream()).await;
    assert!(error.is_none() && found == large(1));
    assert_eq!((slow.calls(), store.metrics().promotion_errors), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn blobs_of_an_entry_are_read_in_any_order() {
    let slow = Reference::volatile().store(&Setup::default()).unwrap();
    let log = BlobName::new("log").unwrap();
    let entry = PutEntry::data(large(1)).with(log.clone(), large(2));
    slow.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    let store = layered(unlimited(), slow);
    let mut entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    for (name, value) in [(log, large(2)), (BlobName::DATA, large(1))] {
        let (found, error) = read(entry.take(&name).unwrap().into_stream().boxed()).await;
        assert!(error.is_none() && found == value);
    }
}

/// Downloads of different keys run side by side.
#[tokio::test(start_paused = true)]
async fn large_entries_do_not_wait_for_each_other() {
    let slow = source(large(1)).await;
    for name in ["b", "c", "d"] {
        slow.put_bytes(&key(name), large(1)).await.unwrap();
    }
    let slow = Slow::new(slow).with_only(&[]).with_slow_pieces();
    slow.set_delay(Duration::from_millis(10));
    let store = layered(unlimited(), slow);
    let one = Instant::now();
    read(open(&store).await.into_stream()).await;
    let one = one.elapsed();
    let all = Instant::now();
    let readers: JoinSet<_> = ["b", "c", "d"]
        .into_iter()
        .map(|name| {
            let store = store.clone();
            async move {
                let blob = store.get(&key(name), &BlobName::DATA, GetOptions::default()).await.unwrap();
                read(blob.unwrap().into_stream()).await.0.len()
            }
        })
        .collect();
    assert_eq!(readers.join_all().await, [LEN; 3]);
    assert!(all.elapsed() <= one.mul_f64(1.2), "{:?} for all, {one:?} for one", all.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_a_large_entry_that_comes_into_a_faster_tier() {
    let fast = Slow::new(unlimited()).with_only(&[Call::PutStream]).with_delay(Duration::from_secs(3));
    let store = layered(fast.clone(), source(vec![1; 1000].into()).await);
    let options = GetOptions::default().with_stream_above(0);
    let entry = store.get_entry(&key("a"), options).await.unwrap().unwrap();
    assert!(entry.blobs.iter().all(|(_, blob)| blob.bytes().is_none()), "it streams");
    drop(entry);
    assert!(!fast.contains(&key("a")).await.unwrap());
    store.flush().await.unwrap();
    assert!(fast.contains(&key("a")).await.unwrap());
    assert_eq!(store.metrics().promotions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_a_source_that_hangs() {
    let slow = Hanging::new(source(large(1)).await).with_only(&[Call::Get]);
    slow.hang();
    let fast = unlimited();
    let store = layered(fast.clone(), slow.clone());
    let stream = open(&store).await.into_stream();
    slow.until_waiting(1).await;
    let begun = Instant::now();
    store.flush().await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    slow.release();
    let (found, error) = read(stream).await;
    assert!(error.is_none() && found == large(1));
    assert!(fast.contains(&key("a")).await.unwrap(), "it went on");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_64_large_entries_are_promoted_at_the_same_time() {
    let slow = Reference::volatile().store(&Setup::default()).unwrap();
    let keys: Vec<_> = (0..100_u8).map(|n| key(&n.to_string())).collect();
    for key in &keys {
        slow.put_bytes(key, vec![1; 1000].into()).await.unwrap();
    }
    let slow = Hanging::new(slow).with_only(&[Call::Get]);
    slow.hang();
    let store = layered(unlimited(), slow.clone());
    let mut entries = Vec::new();
    for key in &keys {
        let options = GetOptions::default().with_stream_above(0);
        entries.push(store.get_entry(key, options).await.unwrap().unwrap());
    }
    assert_eq!((store.metrics().promotions, store.metrics().promotion_errors), (0, 36));
    slow.release();
    for mut entry in entries {
        let (found, error) = read(entry.take(&BlobName::DATA).unwrap().into_stream()).await;
        assert!(error.is_none() && found == [1; 1000]);
    }
    store.flush().await.unwrap();
    assert_eq!((store.metrics().promotions, store.metrics().promotion_errors), (64, 36));
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_a_download_hangs_reads_for_itself() {
    let slow = Hanging::new(source(large(1)).await).with_only(&[Call::Get]);
    slow.hang();
    let store = layered(unlimited(), slow.clone());
    let first = store.get_entry(&key("a"), GetOptions::default()).await.unwrap();
    slow.until_waiting(1).await;
    drop(first);
    let second = timeout(Duration::from_secs(600), store.get_entry(&key("a"), GetOptions::default())).await;
    let mut second = second.expect("it waits for ever").unwrap().unwrap();
    slow.release();
    assert_eq!(second.take(&BlobName::DATA).unwrap().collect(u64::MAX).await.unwrap(), large(1));
}
