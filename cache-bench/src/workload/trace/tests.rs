use std::collections::HashSet;

use super::*;
use crate::subject::exact_lru::ExactLru;

fn keys(name: &str, capacity: usize) -> Vec<usize> {
    let trace = TRACES.iter().find(|trace| trace.name == name).unwrap();
    (trace.keys)(capacity)
}

fn lru_hit_ratio(name: &str, capacity: usize) -> f64 {
    let mut lru = ExactLru::new(capacity);
    let keys = keys(name, capacity);
    keys.iter().filter(|key| lru.touch(**key)).count() as f64 / keys.len() as f64
}

#[test]
fn traces_are_the_same_every_time() {
    for trace in TRACES {
        assert_eq!((trace.keys)(50), (trace.keys)(50), "{}", trace.name);
    }
}

#[test]
fn a_fifth_of_a_scan_comes_only_once() {
    let keys = keys("scan", 100);
    let scanned: Vec<usize> = keys.iter().copied().filter(|key| *key >= ONCE).collect();
    assert_eq!(scanned.len() * 5, keys.len());
    assert_eq!(scanned.iter().collect::<HashSet<_>>().len(), scanned.len());
}

#[test]
fn loop_over_more_than_fits_never_hits_in_an_exact_lru() {
    assert_eq!(lru_hit_ratio("loop", 100), 0.0);
}

#[test]
fn loops_that_fit_hit_in_an_exact_lru_but_for_first_rounds_and_scans() {
    // Each phase: 5 rounds over 80, the first of which misses after a scan, and 100 that come once.
    assert_eq!(lru_hit_ratio("loop-then-scan", 100), 320.0 / 500.0);
    assert_eq!(lru_hit_ratio("moving-loop", 100), 320.0 / 500.0);
}

#[test]
fn only_a_moving_loop_moves() {
    let again = |name| keys(name, 100)[500] == keys(name, 100)[0];
    assert!(again("loop-then-scan") && !again("moving-loop"));
}

#[test]
fn popularity_shifts_by_a_tenth_at_a_time() {
    let (still, shifted) = (keys("zipf", 100), keys("shifting", 100));
    let moved = |at: usize| (shifted[at] + 400 - still[at]) % 400;
    assert_eq!((moved(0), moved(400), moved(3999)), (0, 40, 360));
}
