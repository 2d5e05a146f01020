use futures::{FutureExt, StreamExt, stream};

use super::*;
use crate::{
    ByteRange, Digest, Error, ErrorKind, PutMode, RetryOptions, Retrying, StoreExt, wrap::probe::Probe,
};

fn key(text: &str) -> Key {
    Key::from(Digest::of(text))
}

fn holding(text: &'static str) -> Metered<Probe> {
    let probe = Probe::default();
    probe.plant(&key("k"), BlobName::DATA, text);
    Metered::new(probe)
}

fn streamed() -> GetOptions {
    GetOptions::default().with_stream_above(0)
}

#[tokio::test]
async fn every_outcome_of_a_read_is_counted_although_the_store_counts_nothing() {
    let store = holding("0123456789");
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    let part = GetOptions::default().with_range(ByteRange::new(2, Some(5)).unwrap());
    store.get(&key("k"), &BlobName::DATA, part).await.unwrap().unwrap();
    store.get_entry(&key("k"), GetOptions::default()).await.unwrap().unwrap();
    store.get_now(key("k").view(), &BlobName::DATA).unwrap();
    assert_eq!(store.get_now(key("absent").view(), &BlobName::DATA), None);
    assert!(store.get(&key("absent"), &BlobName::DATA, GetOptions::default()).await.unwrap().is_none());
    store.inner().fail_next([ErrorKind::Corrupt, ErrorKind::Unavailable, ErrorKind::Unavailable]);
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    store.get_entry(&key("k"), GetOptions::default()).await.unwrap_err();
    let metrics = store.metrics();
    assert_eq!((metrics.hits, metrics.bytes_out), (4, 33));
    assert_eq!((metrics.misses, metrics.corrupt, metrics.errors), (2, 1, 2));
}

#[tokio::test]
async fn a_stream_that_ends_in_damage_is_counted_when_it_does() {
    let probe = Probe { broken: Some(ErrorKind::Corrupt), ..Probe::default() };
    probe.plant(&key("k"), BlobName::DATA, "0123456789");
    probe.plant(&key("k"), BlobName::new("log").unwrap(), "0123456789");
    let store = Metered::new(probe);
    let blob = store.get(&key("k"), &BlobName::DATA, streamed()).await.unwrap().unwrap();
    assert_eq!((store.metrics().hits, store.metrics().corrupt), (1, 0));
    blob.collect(100).await.unwrap_err();
    assert_eq!((store.metrics().hits, store.metrics().corrupt), (1, 1));
    let entry = store.get_entry(&key("k"), streamed()).await.unwrap().unwrap();
    for (_, blob) in entry.blobs {
        blob.collect(100).await.unwrap_err();
    }
    assert_eq!((store.metrics().hits, store.metrics().corrupt), (2, 3));
}

#[tokio::test]
async fn a_stream_that_breaks_otherwise_is_no_damage() {
    let probe = Probe { broken: Some(ErrorKind::Unavailable), ..Probe::default() };
    probe.plant(&key("k"), BlobName::DATA, "0123456789");
    let store = Metered::new(probe);
    let blob = store.get(&key("k"), &BlobName::DATA, streamed()).await.unwrap().unwrap();
    blob.collect(100).await.unwrap_err();
    assert_eq!(store.metrics().corrupt, 0);
}

#[tokio::test]
async fn puts_are_counted_with_the_bytes_that_were_read() {
    let store = holding("");
    let pieces = || stream::iter(["abc", "de"].map(|piece| Ok(Bytes::from(piece)))).boxed();
    let entry = PutEntry::data("1234").with_stream(BlobName::new("log").unwrap(), None, pieces());
    store.put(&key("k"), entry, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let broken = pieces().chain(stream::iter([Err(Error::invalid("broke off"))])).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken);
    store.put(&key("k"), entry, PutOptions::default()).await.unwrap_err();
    let metrics = store.metrics();
    assert_eq!((metrics.puts, metrics.put_errors, metrics.bytes_in), (1, 1, 9));

    let store = Metered::new(Probe { refusing: true, ..Probe::default() });
    store.put_bytes(&key("k"), "1234".into()).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.puts, metrics.refused_puts, metrics.bytes_in), (0, 1, 0));
}

#[tokio::test]
async fn questions_and_removals_are_counted() {
    let store = holding("v");
    assert!(store.contains(&key("k")).await.unwrap());
    assert!(!store.contains(&key("absent")).await.unwrap());
    store.inner().fail_next([ErrorKind::Unavailable, ErrorKind::Unavailable]);
    store.contains(&key("k")).await.unwrap_err();
    store.evict(&key("k")).await.unwrap_err();
    store.evict(&key("k")).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.contains_hits, metrics.contains_misses, metrics.errors), (1, 1, 1));
    assert_eq!(metrics.removals, 1);
    assert_eq!(metrics.lookups(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_and_puts_are_timed_apart() {
    let store = Metered::new(Probe { delay: Duration::from_millis(20), ..Probe::default() });
    store.put_bytes(&key("k"), "v".into()).await.unwrap();
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    store.get_entry(&key("k"), GetOptions::default()).await.unwrap().unwrap();
    store.get(&key("absent"), &BlobName::DATA, GetOptions::default()).await.unwrap();
    store.inner().fail_next([ErrorKind::Unavailable]);
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    store.contains(&key("k")).await.unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.get_latency.count(), metrics.put_latency.count()), (4, 1));
    for latency in [metrics.get_latency, metrics.put_latency] {
        let mean = latency.mean().unwrap();
        assert!((Duration::from_millis(20)..Duration::from_millis(25)).contains(&mean), "{mean:?}");
    }
}

#[tokio::test]
async fn inline_hits_are_sampled_whatever_their_rhythm() {
    for period in [1, 2, 4, 64, 65] {
        let store = holding("0123456789");
        for call in 0..period * 6400 {
            let asked = if call % period == 0 { "k" } else { "absent" };
            store.get_now(key(asked).view(), &BlobName::DATA);
        }
        let count = store.metrics().get_latency.count();
        assert!((5000..8000).contains(&count), "{count} of 6400 hits, one call in {period}");
    }
}

#[tokio::test]
async fn get_now_reads_the_clock_once_in_64_calls() {
    let store = holding("v");
    for _ in 0..63 {
        store.get_now(key("k").view(), &BlobName::DATA).unwrap();
    }
    assert_eq!(store.metrics().get_latency.count(), 0);
    store.get_now(key("k").view(), &BlobName::DATA).unwrap();
    assert_eq!(store.metrics().get_latency.count(), 64);
    // A miss is timed by the `get` that follows it.
    for _ in 0..64 {
        assert_eq!(store.get_now(key("absent").view(), &BlobName::DATA), None);
    }
    assert_eq!((store.metrics().get_latency.count(), store.metrics().hits), (64, 64));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_counts_nothing() {
    let store = Metered::new(Probe { delay: Duration::from_secs(1), ..Probe::default() });
    assert!(store.put_bytes(&key("k"), "v".into()).now_or_never().is_none());
    assert!(store.get(&key("k"), &BlobName::DATA, GetOptions::default()).now_or_never().is_none());
    assert_eq!(store.metrics(), Metrics::default());
}

fn below() -> Metrics {
    Metrics {
        hits: 100,
        removals: 100,
        evictions: 1,
        evicted_bytes: 2,
        spills: 3,
        spill_errors: 30,
        promotions: 4,
        promotion_errors: 5,
        degraded: 6,
        flushes: 7,
        flush_errors: 8,
        computes: 9,
        compute_errors: 10,
        coalesced: 11,
        resident_bytes: Some(12),
        entries: Some(13),
        tiers: vec![("disk".into(), Metrics { hits: 14, ..Metrics::default() })],
        ..Metrics::default()
    }
}

#[tokio::test]
async fn what_only_the_inner_store_knows_is_passed_on() {
    let store = Metered::new(Probe { metrics: below(), ..Probe::default() });
    assert_eq!(store.metrics(), Metrics { hits: 0, removals: 0, ..below() });
    assert_eq!(store.inner().metrics(), below());
}

#[tokio::test]
async fn reset_starts_this_view_again_and_leaves_the_one_below() {
    let store = Metered::new(Probe { metrics: below(), ..Probe::default() });
    let clone = store.clone();
    store.put_bytes(&key("k"), "value".into()).await.unwrap();
    clone.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!((store.metrics().hits, store.metrics().get_latency.count()), (1, 1));
    store.reset();
    let expected =
        Metrics { resident_bytes: Some(12), entries: Some(13), tiers: below().tiers, ..Metrics::default() };
    assert_eq!(store.metrics(), expected);
    assert_eq!(clone.metrics(), expected);
    assert_eq!(store.inner().metrics(), below());
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    let metrics = store.metrics();
    assert_eq!((metrics.hits, metrics.puts, metrics.bytes_out), (1, 0, 5));
}

#[tokio::test]
async fn concurrent_calls_are_all_counted() {
    let store = holding("v");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1024).for_each(|_| _ = store.get_now(key("k").view(), &BlobName::DATA)));
        }
    });
    let metrics = store.metrics();
    assert_eq!((metrics.hits, metrics.bytes_out, metrics.get_latency.count()), (4096, 4096, 4096));
}

#[tokio::test]
async fn outside_of_retries_a_call_is_counted_once_and_inside_each_attempt() {
    let probe = Probe::default();
    probe.plant(&key("k"), BlobName::DATA, "v");
    let attempts = Metered::new(probe.clone());
    let options = RetryOptions::default().with_first_delay(Duration::ZERO);
    let store = Metered::new(Retrying::new(attempts.clone(), options));
    probe.fail_next([ErrorKind::Unavailable, ErrorKind::Timeout]);
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    let (outer, inner) = (store.metrics(), attempts.metrics());
    assert_eq!((outer.hits, outer.errors, outer.get_latency.count()), (1, 0, 1));
    assert_eq!((inner.hits, inner.errors, inner.get_latency.count()), (1, 2, 3));
}

#[tokio::test]
async fn quiet_reads_are_not_counted_and_what_a_verify_finds_is() {
    let toy = crate::toy::Toy::damaged(key("k").digest);
    let store = Metered::new(toy);
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.damaged, store.metrics().corrupt), (1, 1));
    let store = holding("0123456789");
    let quiet = GetOptions::default().quietly();
    store.get(&key("k"), &BlobName::DATA, quiet.clone()).await.unwrap().unwrap();
    store.get_entry(&key("k"), quiet.clone()).await.unwrap().unwrap();
    assert!(store.get(&key("absent"), &BlobName::DATA, quiet.clone()).await.unwrap().is_none());
    store.inner().fail_next([ErrorKind::Corrupt, ErrorKind::Unavailable]);
    store.get(&key("k"), &BlobName::DATA, quiet.clone()).await.unwrap_err();
    store.get(&key("k"), &BlobName::DATA, quiet).await.unwrap_err();
    let metrics = store.metrics();
    assert_eq!((metrics.lookups(), metrics.bytes_out, metrics.corrupt, metrics.errors), (0, 0, 1, 1));
    assert_eq!(metrics.get_latency.count(), 0);
}
