use std::rc::Rc;

use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::buckets::{
        lineup::{OURS, RAW, STORE, all},
        served::Served,
        turns::Turns,
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "get",
    title: "A get from a server",
    setting: "200 keys with values of 4, 64 or 256 KiB; 600 gets a round by one task in slices of 100, or 1,600 of 4 KiB by 16 tasks in slices of 400, on a \
              runtime of 2 threads. The time of a slice by its gets. Raw object_store asks for the same last bytes of an object of the same value. Ours verifies what it reads, the \
              others do not.",
    run,
};

const KIB: usize = 1 << 10;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(200, 8), 1);
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (kib, tasks, slices, gets, title) in [
        (4, 1, 6, 100, "A get of 4 KiB, 1 task"),
        (64, 1, 6, 100, "A get of 64 KiB, 1 task"),
        (256, 1, 6, 100, "A get of 256 KiB, 1 task"),
        (4, 16, 4, 400, "A get of 4 KiB, 16 tasks"),
    ] {
        let server = Rc::new(Served::start()?);
        let mut turns = Turns::new(&server, &digests, kib * KIB)?;
        turns.tasks = tasks;
        all(server.endpoint(), &mut turns)?;
        let (slices, gets) = (scale.pick(slices, 1), scale.pick(gets, 16));
        let input = || (0..slices).map(|_| any_of(&digests, gets, &mut rng)).collect();
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
