use std::error::Error as _;

use ErrorKind::{Corrupt, Denied, Locked, Timeout, Unavailable};
use futures::{FutureExt, TryStreamExt};

use super::*;
use crate::{
    Digest, PutMode, StoreExt,
    toy::{Fault, Toy},
    wrap::{Deadline, probe::Probe},
};

fn key(text: &str) -> Key {
    Key::from(Digest::of(text))
}

fn around(probe: Probe) -> (Retrying<Probe>, Probe) {
    probe.plant(&key("k"), BlobName::DATA, "0123456789");
    (Retrying::with_seed(probe.clone(), RetryOptions::default(), 1), probe)
}

fn flaky(kinds: impl IntoIterator<Item = ErrorKind>) -> (Retrying<Probe>, Probe) {
    let (store, probe) = around(Probe::default());
    probe.fail_next(kinds);
    (store, probe)
}

#[tokio::test(start_paused = true)]
async fn every_operation_that_may_be_repeated_is() {
    let (store, probe) = flaky([]);
    let two = || probe.fail_next([Unavailable, Timeout]);
    two();
    assert!(store.contains(&key("k")).await.unwrap());
    assert_eq!(probe.calls(), ["contains"; 3]);
    two();
    store.get(&key("k"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(probe.calls(), ["get"; 3]);
    two();
    store.get_entry(&key("k"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(probe.calls(), ["get_entry"; 3]);
    two();
    store.meta(&key("k")).await.unwrap().unwrap();
    assert_eq!(probe.calls(), ["meta"; 3]);
    two();
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    assert_eq!(probe.calls(), ["usage"; 3]);
    two();
    let entry = PutEntry::data("new").with(BlobName::new("log").unwrap(), "text");
    store.put(&key("k"), entry, PutOptions::mode(PutMode::Merge)).await.unwrap();
    assert_eq!(probe.calls(), ["put"; 3]);
    assert_eq!(probe.holds(&key("k"), &BlobName::new("log").unwrap()).unwrap(), "text");
    two();
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
    assert_eq!((listed.len(), probe.calls()), (1, vec!["list"; 3]));
    two();
    store.evict(&key("k")).await.unwrap();
    assert_eq!(probe.calls(), ["evict"; 3]);
    assert!(probe.holds(&key("k"), &BlobName::DATA).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_last_error_keeps_its_kind_and_tells_the_attempts() {
    let (store, probe) = flaky([Unavailable, Unavailable, Timeout]);
    let error = store.contains(&key("k")).await.unwrap_err();
    assert_eq!((error.kind(), error.store(), error.operation()), (Timeout, "probe", "call"));
    assert_eq!(error.detail(), Some("on demand; gave up after 3 attempts"));
    assert_eq!(probe.calls(), ["contains"; 3]);
    let tried_once = RetryOptions::default().with_attempts(0);
    let store = Retrying::new(probe.clone(), tried_once);
    probe.fail_next([Unavailable]);
    let error = store.contains(&key("k")).await.unwrap_err();
    assert_eq!(error.detail(), Some("on demand; gave up after 1 attempt"));
    let error = Error::new(Timeout, "s3", "get").with_key(&key("k")).with_source(Error::invalid("cause"));
    let told = tell(error, 4);
    assert_eq!((told.key(), told.detail()), (Some(&key("k")), Some("gave up after 4 attempts")));
    assert!(told.source().is_some());
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_answered_at_once_and_as_they_are() {
    for kind in [Corrupt, Denied, Locked, ErrorKind::Closed, ErrorKind::NoSpace, ErrorKind::Invalid] {
        let (store, probe) = flaky([kind]);
        let error = store.contains(&key("k")).await.unwrap_err();
        assert_eq!((error.kind(), error.detail()), (kind, Some("on demand")));
        assert_eq!(probe.calls(), ["contains"]);
    }
    let (store, probe) = flaky([Unavailable, Denied]);
    assert_eq!(store.contains(&key("k")).await.unwrap_err().kind(), Denied);
    assert_eq!(probe.calls(), ["contains"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_streams_is_tried_once() {
    let (store, probe) = flaky([Unavailable]);
    let stream = stream::iter([Ok(Bytes::from("new"))]).boxed();
    let entry = PutEntry::data("text").with_stream(BlobName::new("log").unwrap(), Some(3), stream);
    let error = store.put(&key("k"), entry, PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Unavailable, Some("on demand")));
    assert_eq!(probe.calls(), ["put"]);
    assert_eq!(probe.holds(&key("k"), &BlobName::DATA).unwrap(), "0123456789");
}

#[tokio::test(start_paused = true)]
async fn clean_flush_and_close_are_tried_once() {
    let (store, probe) = flaky([Unavailable, Unavailable, Unavailable]);
    store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap_err();
    store.flush().await.unwrap_err();
    store.close(None).await.unwrap_err();
    assert_eq!(probe.calls(), ["clean", "flush", "close"]);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_off_midway_stays_broken() {
    let (store, probe) = around(Probe { broken: Some(Unavailable), ..Probe::default() });
    let streamed = GetOptions::default().with_stream_above(0);
    let blob = store.get(&key("k"), &BlobName::DATA, streamed).await.unwrap().unwrap();
    let error = blob.collect(100).await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Unavailable, None));
    assert_eq!(probe.calls(), ["get"]);
    let mut listing = store.list(ListOptions::default());
    assert!(listing.next().await.unwrap().is_ok());
    assert_eq!(listing.next().await.unwrap().unwrap_err().detail(), None);
    assert!(listing.next().await.is_none());
    assert_eq!(probe.calls(), ["list"]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_never_begins_ends_after_all_attempts() {
    let (store, probe) = flaky([Unavailable, Unavailable, Unavailable]);
    let mut listing = store.list(ListOptions::default());
    let error = listing.next().await.unwrap().unwrap_err();
    assert_eq!(error.detail(), Some("on demand; gave up after 3 attempts"));
    assert!(listing.next().await.is_none());
    assert_eq!(probe.calls(), ["list"; 3]);
    let absent = ListOptions::of(&Namespace::root().child("absent").unwrap());
    assert!(store.list(absent).next().await.is_none());
    assert_eq!(probe.calls(), ["list"]);
}

async fn time_of(options: RetryOptions, seed: u64, failures: usize) -> (Duration, usize) {
    let probe = Probe::default();
    probe.fail_next(vec![Unavailable; failures]);
    let store = Retrying::with_seed(probe.clone(), options, seed);
    let begun = Instant::now();
    _ = store.contains(&key("k")).await;
    (begun.elapsed(), probe.calls().len())
}

#[tokio::test(start_paused = true)]
async fn pauses_are_drawn_from_zero_to_a_doubled_bound() {
    let options = RetryOptions::default()
        .with_attempts(6)
        .with_first_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_millis(400));
    // 100, 200, 400, 400 and 400 ms, and a timer that rounds up to 1 ms each.
    let bound = Duration::from_millis(1505);
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for seed in 0..200 {
        let (took, calls) = time_of(options, seed, 100).await;
        assert_eq!(calls, 6);
        assert!(took <= bound, "seed {seed} took {took:?}");
        assert_eq!(time_of(options, seed, 100).await, (took, calls), "seed {seed} differs");
        (shortest, longest) = (shortest.min(took), longest.max(took));
    }
    assert!(shortest < bound / 3 && longest > bound * 2 / 3, "from {shortest:?} to {longest:?}");
}

#[test]
fn longest_pause_doubles_up_to_the_limit_without_overflow() {
    let options = RetryOptions::default();
    let millis = |attempts| options.longest_pause(attempts).as_millis();
    assert_eq!([1, 2, 3, 6, 7, 33, u32::MAX].map(millis), [50, 100, 200, 1600, 2000, 2000, 2000]);
    let unbounded = options.with_first_delay(Duration::MAX).with_max_delay(Duration::MAX);
    assert_eq!(unbounded.longest_pause(9), Duration::MAX);
    assert_eq!(options.with_first_delay(Duration::ZERO).longest_pause(9), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_begun_after_the_time_is_up() {
    let options = RetryOptions::default().with_attempts(1000).with_max_time(Duration::from_secs(5));
    for seed in 0..20 {
        let (took, calls) = time_of(options, seed, 1000).await;
        // The timer rounds each pause up to 1 ms.
        assert!(took <= Duration::from_millis(5020), "seed {seed} took {took:?}");
        assert!((4..100).contains(&calls), "seed {seed}: {calls} attempts");
    }
    let (took, calls) = time_of(options.with_max_time(Duration::ZERO), 1, 5).await;
    assert_eq!((took, calls), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_uses_up_the_time() {
    let probe = Probe { delay: Duration::from_secs(11), ..Probe::default() };
    probe.fail_next([Timeout, Timeout]);
    let store = Retrying::new(probe.clone(), RetryOptions::default());
    let error = store.contains(&key("k")).await.unwrap_err();
    assert_eq!(error.detail(), Some("on demand; gave up after 1 attempt"));
    assert_eq!(probe.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_the_deadline_that_is_inside() {
    let hanging = Deadline::new(Toy::default().with_fault(Fault::Hang), Duration::from_secs(2));
    let begun = Instant::now();
    let store = Retrying::new(hanging, RetryOptions::default().with_first_delay(Duration::ZERO));
    let error = store.contains(&key("k")).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (Timeout, Duration::from_secs(6)));
    assert!(error.detail().unwrap().ends_with("gave up after 3 attempts"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_a_pause_asks_no_more() {
    let options = RetryOptions::default().with_first_delay(Duration::from_secs(1));
    let probe = Probe::default();
    probe.fail_next([Unavailable]);
    let store = Retrying::with_seed(probe.clone(), options, 3);
    assert!(store.put_bytes(&key("k"), "v".into()).now_or_never().is_none());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(probe.calls(), ["put"]);
    assert_eq!(probe.holds(&key("k"), &BlobName::DATA), None);
}

#[test]
fn outside_a_runtime_the_first_failure_is_the_answer() {
    let (store, probe) = flaky([Unavailable]);
    let error = store.contains(&key("k")).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert_eq!(probe.calls(), ["contains"]);
    let listed = store.list(ListOptions::default()).try_collect::<Vec<_>>().now_or_never();
    assert_eq!(listed.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn hits_and_what_the_store_is_pass_through() {
    let (store, probe) = flaky([]);
    assert_eq!(store.get_now(key("k").view(), &BlobName::DATA).unwrap(), "0123456789");
    assert_eq!((store.info(), store.metrics()), (probe.info(), probe.metrics()));
    assert!(format!("{store:?}").contains("attempts: 3"), "{store:?}");
}
