use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::{
        Capacity,
        hits::Hits,
        lineup::{BARE, OURS, QUICK_CACHE, floors, ours, rivals},
    },
    workload::{keys::digests, zipf::Zipf},
};

pub(crate) const BENCH: Bench = Bench {
    name: "zipf",
    title: "A hit, a million keys",
    setting: "1,000,000 keys with values of 64 B, all of them held, read by Zipf 0.99 on one thread; 500,000 reads a round, all of which \
              hit. Most of the time goes to cache misses of the processor. The digests that are read lie in the order of their reads.",
    run,
};

const VALUE_BYTES: usize = 64;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(1_000_000, 1000), 1);
    let reads = scale.pick(500_000, 2000);
    let capacity = Capacity::for_all(digests.len(), VALUE_BYTES);
    let mut hits = Hits::new(&digests, VALUE_BYTES);
    ours(capacity, &mut hits)?;
    floors(&mut hits)?;
    rivals(capacity, &mut hits)?;
    let zipf = Zipf::new(digests.len(), 0.99);
    let mut rng = Rng::with_seed(2);
    let runs = interleave(scale, || vec![zipf.pick(&digests, reads, &mut rng)], &mut hits.contenders)?;
    let measurement = Measurement::of("A hit, Zipf over 1 M keys", "ns", &runs, 0)
        .ratio("M2", OURS, QUICK_CACHE, Bound::AtMost(1.0))
        .ratio("M2, bare store", BARE, QUICK_CACHE, Bound::AtMost(1.0));
    Ok(vec![measurement])
}
