use cache_core::Cache;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Kind, interleave},
        scale::Scale,
        verdict::Bound,
    },
    subject::{
        Capacity,
        hits::Hits,
        lineup::{OURS, cache},
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "namespace",
    title: "A hit in a namespace",
    setting: "As `hit` on one thread: through the root, and through views of namespaces of one and of three parts.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(2000, 100), 1);
    let reads = scale.pick(400_000, 2000);
    let mut hits = Hits::new(&digests, VALUE_BYTES);
    // A store for each, or the three would share one with three times the entries.
    let capacity = Capacity::for_all(digests.len(), VALUE_BYTES);
    let view = |parts: &[&str]| -> Result<Cache> {
        parts.iter().try_fold(cache(capacity)?, |cache, part| Ok(cache.namespace(part)?))
    };
    hits.add(OURS, Kind::Ours, view(&[])?)?;
    hits.add("in compile", Kind::Ours, view(&["compile"])?)?;
    hits.add("in team/project/compile", Kind::Ours, view(&["team", "project", "compile"])?)?;
    let mut rng = Rng::with_seed(2);
    let runs = interleave(scale, || vec![any_of(&digests, reads, &mut rng)], &mut hits.contenders)?;
    let measurement = Measurement::of("A hit in a namespace", "ns", &runs, 0)
        .ratio("namespace", "in compile", OURS, Bound::AtMost(1.05))
        .ratio("namespace", "in team/project/compile", OURS, Bound::AtMost(1.05));
    Ok(vec![measurement])
}
