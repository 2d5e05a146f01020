use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::{
        Capacity,
        hits::Hits,
        lineup::{BARE, MOKA_FUTURE, OURS, QUICK_CACHE, floors, more_rivals, ours, rivals},
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "hit",
    title: "A hit, hot keys",
    setting: "2,000 keys with values of 1 KiB, each as likely as any other; 400,000 reads a round on each thread, all of which hit. \
              Of two \
              threads only the slices count during which the other one did about as much.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(2000, 100), 1);
    let reads = scale.pick(400_000, 2000);
    let capacity = Capacity::for_all(digests.len(), VALUE_BYTES);
    let mut hits = Hits::new(&digests, VALUE_BYTES);
    ours(capacity, &mut hits)?;
    floors(&mut hits)?;
    rivals(capacity, &mut hits)?;
    more_rivals(capacity, &mut hits)?;
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (threads, title) in [(1, "A hit, 1 thread"), (2, "A hit, 2 threads")] {
        let input = || (0..threads).map(|_| any_of(&digests, reads, &mut rng)).collect();
        let runs = interleave(scale, input, &mut hits.contenders)?;
        measurements.push(
            Measurement::of(title, "ns", &runs, 0)
                .ratio("M1", OURS, QUICK_CACHE, Bound::AtMost(1.25))
                .ratio("M1", OURS, MOKA_FUTURE, Bound::AtMost(0.25))
                .ratio("M1, bare store", BARE, QUICK_CACHE, Bound::AtMost(1.25)),
        );
    }
    Ok(measurements)
}
