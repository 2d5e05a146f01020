use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::files::{
        gets::{Gets, Reads},
        lineup::{OURS, RAW, STORE, all},
    },
    workload::keys::digests,
};

pub(crate) const BENCH: Bench = Bench {
    name: "large",
    title: "A large blob from the page cache",
    setting: "64 keys with values of 4 MiB, written just before, so that all reads come from the page cache; each is read whole once a round, by one task or by \
              16. Ours and cacache verify what they read, the others do not.",
    run,
};

const VALUE_BYTES: usize = 4 << 20;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let digests = digests(scale.pick(64, 2), 1);
    let mut gets = Gets::new(&site, &digests, VALUE_BYTES)?;
    all(&mut gets)?;
    let mut order = digests.clone();
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (tasks, slices, title) in [(1, 8, "Gets of 4 MiB, 1 task"), (16, 1, "Gets of 4 MiB, 16 tasks")] {
        let slices = scale.pick(slices, 1);
        let input = || {
            // Each once: callers of one value at the same time would share a read.
            rng.shuffle(&mut order);
            Reads { slices: order.chunks(order.len().div_ceil(slices)).map(<[_]>::to_vec).collect(), tasks }
        };
        let mut runs = interleave(scale, input, &mut gets.contenders)?;
        for figure in runs.iter_mut().flat_map(|run| &mut run.rounds).flatten() {
            *figure = VALUE_BYTES as f64 / f64::from(1 << 30) * 1e6 / *figure;
        }
        measurements.push(
            Measurement::of(title, "GiB/s", &runs, 0).ratio("D2", OURS, RAW, Bound::AtLeast(0.75)).ratio(
                "D2, bare store",
                STORE,
                RAW,
                Bound::AtLeast(0.75),
            ),
        );
    }
    Ok(measurements)
}
