use std::time::Instant;

use super::*;

/// Asks until it is answered so, for ten seconds.
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "in vain");
        thread::sleep(Duration::from_millis(1));
    }
}

/// One test: the clock is the process's own.
#[test]
fn the_clock_goes_while_it_is_asked_and_ends_with_the_last_store() {
    let clock = SystemClock;
    let (one, other) = (Ticks::new(), Ticks::new());
    let first = one.last().unwrap_or_else(|| one.start());
    wait_until(|| other.last().is_some_and(|now| now > first));
    let off = nanos(clock.now()).abs_diff(other.last().unwrap_or_else(|| other.start()));
    assert!(off < 5_000_000_000, "{off} ns");
    drop(one);
    // It stands still when nobody asks, and goes on when somebody does.
    wait_until(|| TICKER.last.load(Relaxed) == 0);
    let before = nanos(clock.now());
    assert!(other.start() >= before);
    wait_until(|| other.last().is_some_and(|now| now > before));
    drop(other);
    // Other tests of this process may have stores of their own.
    wait_until(|| TICKER.state().stores > 0 || !TICKER.state().runs);
}
