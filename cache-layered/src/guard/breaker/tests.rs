use cache_core::{Error, ErrorKind};
use tokio::time::advance;

use super::*;

const PAUSE: Duration = Duration::from_secs(5);

fn breaker() -> Breaker {
    let limits = BreakerOptions::default().with_failures(3).with_pause(PAUSE);
    Breaker::new(Some(limits), Some(Duration::from_secs(2)), Arc::default())
}

fn fails() -> Result<()> {
    Err(Error::new(ErrorKind::Unavailable, "", ""))
}

fn fail(breaker: &Breaker) {
    breaker.admit().unwrap().end(&fails());
}

fn open(breaker: &Breaker) {
    (0..3).for_each(|_| fail(breaker));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_a_row_of_failures() {
    let breaker = breaker();
    for _ in 0..10 {
        fail(&breaker);
        fail(&breaker);
        breaker.admit().unwrap().end(&Ok(()));
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    open(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_an_old_call_does_not_close() {
    let breaker = breaker();
    let old = breaker.admit().unwrap();
    open(&breaker);
    old.end(&Ok(()));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn late_failures_of_old_calls_do_not_open_again() {
    let breaker = breaker();
    let old: Vec<_> = (0..10).map(|_| breaker.admit().unwrap()).collect();
    open(&breaker);
    advance(PAUSE).await;
    breaker.admit().unwrap().end(&Ok(()));
    old.into_iter().for_each(|old| old.end(&fails()));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!((breaker.tally.snapshot().opened, breaker.tally.snapshot().failures), (1, 13));
}

#[tokio::test(start_paused = true)]
async fn failures_of_streams_while_it_is_open_do_not_count_once_it_is_closed() {
    let breaker = breaker();
    open(&breaker);
    let row = breaker.row();
    breaker.count(row, &fails());
    breaker.count(row, &fails());
    advance(PAUSE).await;
    breaker.admit().unwrap().end(&Ok(()));
    fail(&breaker);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_replaced_has_no_say() {
    let breaker = breaker();
    open(&breaker);
    advance(PAUSE).await;
    let lost = breaker.admit().unwrap();
    assert!(breaker.admit().is_err());
    advance(PAUSE + Duration::from_secs(2)).await;
    let probe = breaker.admit().unwrap();
    lost.end(&Ok(()));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.end(&fails());
    assert_eq!((breaker.state(), breaker.tally.snapshot().opened), (BreakerState::Open, 2));
}

#[tokio::test(start_paused = true)]
async fn the_longest_pause_is_no_overflow() {
    let limits = BreakerOptions::default().with_failures(1).with_pause(Duration::MAX);
    let breaker = Breaker::new(Some(limits), Some(Duration::MAX), Arc::default());
    fail(&breaker);
    advance(Duration::from_secs(1 << 30)).await;
    assert!(breaker.admit().is_err());
}

#[tokio::test(start_paused = true)]
async fn without_limits_it_counts_and_never_opens() {
    let breaker = Breaker::new(None, None, Arc::default());
    (0..100).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.tally.snapshot().failures), (BreakerState::Closed, 100));
}

#[test]
fn rows_are_counted_round() {
    assert_eq!(next_row(7), 1 << 32);
    assert_eq!(next_row(u64::MAX), 0);
}
