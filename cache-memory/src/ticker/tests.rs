use std::time::Instant;

use super::*;

/// Not the one of the process, which the stores of other tests ask.
static OWN: Ticker = Ticker::new();

/// Asks until it is answered so, for ten seconds.
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "in vain");
        thread::sleep(Duration::from_millis(1));
    }
}

/// As hits do, which have it go on where it stood still before they came.
fn ticks_past(ticks: &Ticks, before: u64) -> bool {
    let last = ticks.last();
    if last.is_none() {
        ticks.start();
    }
    last.is_some_and(|last| last > before)
}

#[test]
fn the_clock_goes_while_it_is_asked_and_ends_with_the_last_store() {
    let clock = SystemClock;
    let (one, other) = (Ticks::of(&OWN), Ticks::of(&OWN));
    let first = one.start();
    wait_until(|| ticks_past(&other, first));
    let off = nanos(clock.now()).abs_diff(other.last().unwrap_or_else(|| other.start()));
    assert!(off < 5_000_000_000, "{off} ns");
    drop(one);
    // It stands still when nobody asks, and goes on when somebody does.
    wait_until(|| OWN.last.load(Relaxed) == 0);
    let before = nanos(clock.now());
    let begun = other.start();
    assert!(begun >= before);
    wait_until(|| ticks_past(&other, begun));
    drop(other);
    wait_until(|| !OWN.state().runs);
}
