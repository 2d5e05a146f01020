//! The share of gets that hit, on traces that always are the same. Figures in ten thousandths.

use super::*;

const KEYS: u64 = 4000;
const CAPACITY: u64 = 1000;

/// Keys with the probabilities of Zipf's law, from a generator with a seed.
struct Zipf {
    below: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(exponent: f64) -> Self {
        let mut sum = 0.0;
        let below = (1..=KEYS).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { below: below.collect(), state: 42 }
    }

    fn random(&mut self) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 32
    }

    fn next(&mut self) -> u64 {
        let point = self.random() as f64 / (1_u64 << 32) as f64 * self.below.last().unwrap();
        self.below.partition_point(|below| *below < point) as u64
    }

    fn take(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Gets each key and puts it on a miss; answers the share of hits in `trace`, after `before`.
fn ratio(order: fn() -> Order, shards: usize, before: &[u64], trace: &[u64]) -> u64 {
    let mut store = Shards::new(order, shards, CAPACITY);
    let mut pass = |trace: &[u64]| {
        let mut hits = 0;
        for key in trace {
            if store.get(*key) {
                hits += 1;
            } else {
                store.put(*key);
            }
        }
        hits
    };
    pass(before);
    pass(trace) * 10_000 / trace.len() as u64
}

/// By policy: at least, at least, exactly.
#[track_caller]
fn check(before: &[u64], trace: &[u64], [tiny_lfu, lfu, lru]: [u64; 3]) {
    for shards in [1, 8] {
        let found = ORDERS.map(|order| ratio(order, shards, before, trace));
        assert!(found[0] >= tiny_lfu && found[1] >= lfu && found[2] == lru, "{found:?} in {shards} shards");
    }
}

#[test]
fn of_zipf() {
    let trace = Zipf::new(0.99).take(60_000);
    check(&trace[..30_000], &trace[30_000..], [8200, 8090, 7718]);
}

/// As a benchmark does that prepares a trace and runs it again and again.
#[test]
fn of_zipf_replayed() {
    let trace = Zipf::new(0.99).take(10_000);
    check(&trace.repeat(3), &trace, [8850, 8350, 7754]);
}

#[test]
fn of_zipf_with_scans() {
    let mut zipf = Zipf::new(0.99);
    let mut strangers = KEYS..;
    let mut trace = Vec::new();
    while trace.len() < 60_000 {
        trace.extend(zipf.take(1500));
        trace.extend(strangers.by_ref().take(500));
    }
    check(&trace[..30_000], &trace[30_000..], [6140, 6040, 5060]);
}

#[test]
fn of_zipf_whose_ranks_move() {
    let mut zipf = Zipf::new(0.99);
    let mut trace = Vec::new();
    for shift in 0..6 {
        trace.extend(zipf.take(10_000).iter().map(|key| (key + shift * KEYS / 2) % KEYS));
    }
    check(&trace[..20_000], &trace[20_000..], [7400, 7450, 7514]);
}

#[test]
fn of_a_loop_over_more_than_the_store_holds() {
    let round: Vec<_> = (0..CAPACITY * 6 / 5).collect();
    check(&round.repeat(3), &round.repeat(3), [7500, 0, 0]);
}

#[test]
fn of_a_loop_after_a_scan() {
    let round: Vec<_> = (0..CAPACITY * 4 / 5).collect();
    for scan in [1, 4, 10] {
        let scan = KEYS..KEYS + scan * CAPACITY;
        let before: Vec<_> = round.repeat(4).into_iter().chain(scan).collect();
        check(&before, &round.repeat(3), [9990, 9940, 6666]);
    }
}
