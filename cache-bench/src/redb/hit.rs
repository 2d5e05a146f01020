use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::{
        databases::lineup::{HOP, OURS, RAW, STORE, gets},
        files::gets::{Gets, Reads},
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "hit",
    title: "A small blob that is in memory",
    setting: "2,000 keys with values of 1 KiB, written and flushed just before; 20,000 reads a round by one task in slices of 2,000, or 120,000 by 64 tasks in \
              slices of 40,000, on a runtime of 2 threads. The time of a slice by its reads. Raw redb: a transaction for each read, on the thread that asks, \
              and a copy of the value; in one transaction that is there before; or on a blocking thread. Ours verifies what it reads, the others do not.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let digests = digests(scale.pick(2000, 100), 1);
    let mut subjects = Gets::new(&site, &digests, VALUE_BYTES)?;
    gets(&mut subjects)?;
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (tasks, slices, reads, title) in
        [(1, 10, 2000, "A get of 1 KiB, 1 task"), (64, 3, 40_000, "A get of 1 KiB, 64 tasks")]
    {
        let (slices, reads) = (scale.pick(slices, 1), scale.pick(reads, 128));
        let input =
            || Reads { slices: (0..slices).map(|_| any_of(&digests, reads, &mut rng)).collect(), tasks };
        let runs = interleave(scale, input, &mut subjects.contenders)?;
        measurements.push(
            Measurement::of(title, "µs", &runs, 0)
                .ratio("R1", OURS, RAW, Bound::AtMost(1.5))
                .ratio("R1", OURS, HOP, Bound::AtMost(0.1))
                .ratio("R1, bare store", STORE, RAW, Bound::AtMost(1.5)),
        );
    }
    Ok(measurements)
}
