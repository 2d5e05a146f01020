//! Orders of keys that tell eviction policies apart. Keys are numbers; each is read, and put if it was absent.

use fastrand::Rng;

use crate::workload::zipf::Zipf;

/// A named order of keys for a cache of `capacity` entries.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) keys: fn(capacity: usize) -> Vec<usize>,
}

/// What each is stands in the setting of the benchmark `traces`.
pub(crate) const TRACES: &[Trace] = &[
    Trace { name: "zipf", keys: zipf },
    Trace { name: "scan", keys: scan },
    Trace { name: "loop", keys: cycle },
    Trace { name: "loop-then-scan", keys: loop_then_scan },
    Trace { name: "moving-loop", keys: moving_loop },
    Trace { name: "shifting", keys: shifting },
];

/// Uses of a trace, in capacities.
const LENGTH: usize = 40;

/// Loops and scans of a trace.
const PHASES: usize = 6;

/// Keys that come only once begin here.
const ONCE: usize = 1 << 40;

const SEED: u64 = 3;

fn zipf(capacity: usize) -> Vec<usize> {
    let zipf = Zipf::new(4 * capacity, 0.99);
    let mut rng = Rng::with_seed(SEED);
    (0..LENGTH * capacity).map(|_| zipf.draw(&mut rng)).collect()
}

fn scan(capacity: usize) -> Vec<usize> {
    // Of each five capacities the last is a scan.
    let hot = zipf(capacity);
    let mut scanned = ONCE..;
    let phases = hot.chunks(4 * capacity.max(1));
    phases
        .flat_map(|phase| {
            phase.iter().copied().chain(scanned.by_ref().take(phase.len() / 4)).collect::<Vec<_>>()
        })
        .collect()
}

fn cycle(capacity: usize) -> Vec<usize> {
    (0..capacity + capacity / 5).cycle().take(LENGTH * capacity).collect()
}

fn loop_then_scan(capacity: usize) -> Vec<usize> {
    loops_and_scans(capacity, 0)
}

fn moving_loop(capacity: usize) -> Vec<usize> {
    loops_and_scans(capacity, 2 * capacity)
}

/// Each phase is some rounds over keys that fit, and then keys that never come again; the next one's keys
/// lie `apart`.
fn loops_and_scans(capacity: usize, apart: usize) -> Vec<usize> {
    let around = capacity - capacity / 5;
    let phases = (0..PHASES).flat_map(|phase| {
        let rounds = (phase * apart..phase * apart + around).cycle().take(5 * around);
        rounds.chain((ONCE + phase * capacity..).take(capacity))
    });
    phases.collect()
}

fn shifting(capacity: usize) -> Vec<usize> {
    let ranks = 4 * capacity;
    let keys = zipf(capacity);
    let part = keys.len().div_ceil(10).max(1);
    let phases = keys.chunks(part).enumerate();
    phases
        .flat_map(|(phase, part)| part.iter().map(move |rank| (rank + phase * ranks / 10) % ranks))
        .collect()
}

#[cfg(test)]
mod tests;
