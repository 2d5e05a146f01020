use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::files::{
        gets::{Gets, Reads},
        lineup::{CACACHE, OBJECT_STORE, OURS, RAW, STORE, all},
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "hit",
    title: "A small blob from the page cache",
    setting: "2,000 keys with values of 1 KiB, written just before, so that all reads come from the page cache; 4,000 reads a round by one task in \
              slices of 500, or 8,000 by 64 tasks in slices of 4,000, on a runtime of 2 threads. The time of a slice by its reads.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let digests = digests(scale.pick(2000, 100), 1);
    let mut gets = Gets::new(&site, &digests, VALUE_BYTES)?;
    all(&mut gets)?;
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (tasks, slices, reads, title) in
        [(1, 8, 500, "A get of 1 KiB, 1 task"), (64, 2, 4000, "A get of 1 KiB, 64 tasks")]
    {
        let (slices, reads) = (scale.pick(slices, 1), scale.pick(reads, 128));
        let input =
            || Reads { slices: (0..slices).map(|_| any_of(&digests, reads, &mut rng)).collect(), tasks };
        let runs = interleave(scale, input, &mut gets.contenders)?;
        measurements.push(
            Measurement::of(title, "µs", &runs, 0)
                .ratio("D1", OURS, RAW, Bound::AtMost(1.5))
                .ratio("D1", OURS, OBJECT_STORE, Bound::AtMost(0.15))
                .ratio("D1", OURS, CACACHE, Bound::AtMost(0.1))
                .ratio("D1, bare store", STORE, RAW, Bound::AtMost(1.5)),
        );
    }
    Ok(measurements)
}
