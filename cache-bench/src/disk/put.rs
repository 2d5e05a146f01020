use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::files::{
        lineup::{CACACHE, HOP, OBJECT_STORE, OURS, RAW, STORE, all},
        puts::Puts,
    },
    workload::keys::digest,
};

pub(crate) const BENCH: Bench = Bench {
    name: "put",
    title: "A put that is not synced",
    setting: "New keys, one task, one after the other: 2,000 values of 1 KiB a round in slices of 250, or 100 of 256 KiB in slices of 25. Before each \
              turn all that was written is synced, which is not timed. opendal syncs each file that it writes and cannot be told otherwise.",
    run,
};

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (bytes, slices, puts, title) in
        [(1024, 8, 250, "A put of 1 KiB"), (256 << 10, 4, 25, "A put of 256 KiB")]
    {
        let (slices, puts) = (scale.pick(slices, 1), scale.pick(puts, 10));
        let mut subjects = Puts::new(&site, bytes)?;
        all(&mut subjects)?;
        let input = || -> Vec<Vec<Digest>> {
            (0..slices).map(|_| (0..puts).map(|_| digest(&mut rng)).collect()).collect()
        };
        let runs = interleave(scale, input, &mut subjects.contenders)?;
        measurements.push(
            Measurement::of(title, "µs", &runs, 0)
                .ratio("D3", OURS, RAW, Bound::AtMost(1.3))
                .ratio("D3", OURS, OBJECT_STORE, Bound::AtMost(1.0))
                .ratio("D3", OURS, CACACHE, Bound::AtMost(0.25))
                .ratio("D3, bare store", STORE, RAW, Bound::AtMost(1.3))
                .ratio("D3, one hop", OURS, HOP, Bound::AtMost(1.3)),
        );
    }
    Ok(measurements)
}
