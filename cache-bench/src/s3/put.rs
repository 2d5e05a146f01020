use std::rc::Rc;

use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::buckets::{
        lineup::{OURS, RAW, STORE, all},
        served::Served,
        turns::{Operation, Turns},
    },
    workload::keys::digest,
};

pub(crate) const BENCH: Bench = Bench {
    name: "put",
    title: "A put to a server",
    setting: "Values of 4, 64 or 256 KiB under new keys; 600 puts a round by one task in slices of 100, or 1,600 of 4 KiB by 16 tasks in slices of 400. The time of a slice by its \
              puts. What a slice has put is evicted after it, which is not timed. Raw object_store puts the value alone.",
    run,
};

const KIB: usize = 1 << 10;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let mut rng = Rng::with_seed(3);
    let mut measurements = Vec::new();
    for (kib, tasks, slices, puts, title) in [
        (4, 1, 6, 100, "A put of 4 KiB, 1 task"),
        (64, 1, 6, 100, "A put of 64 KiB, 1 task"),
        (256, 1, 6, 100, "A put of 256 KiB, 1 task"),
        (4, 16, 4, 400, "A put of 4 KiB, 16 tasks"),
    ] {
        let server = Rc::new(Served::start()?);
        let mut turns = Turns::new(&server, &[], kib * KIB)?;
        (turns.operation, turns.tasks) = (Operation::Put, tasks);
        all(server.endpoint(), &mut turns)?;
        let (slices, puts) = (scale.pick(slices, 1), scale.pick(puts, 16));
        let input = || (0..slices).map(|_| (0..puts).map(|_| digest(&mut rng)).collect()).collect();
        let runs = interleave(scale, input, &mut turns.contenders)?;
        measurements.push(
            Measurement::of(title, "µs", &runs, 0).ratio("O2", OURS, RAW, Bound::AtMost(1.05)).ratio(
                "O2, bare store",
                STORE,
                RAW,
                Bound::AtMost(1.05),
            ),
        );
    }
    Ok(measurements)
}
