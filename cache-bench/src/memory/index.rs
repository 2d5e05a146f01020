use cache_core::{Cache, Digest};
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        slices::{by_slices, median},
        threads::runtime,
        verdict::Bound,
    },
    subject::{Capacity, Subject, hits::fill, lineup::cache},
    workload::keys::{digest, digests, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "index",
    title: "A put beside the ordered index",
    setting: "A budget of 1,000,000 entries that is full, values of 64 B; 100,000 puts of new keys a round on one thread, each of which evicts \
              another. With: after a first `expand`, which is when a store may begin to keep an order.",
    run,
};

const VALUE_BYTES: usize = 64;
const WITHOUT: &str = "without an expand";
const WITH: &str = "after a first expand";

/// Puts in a full cache.
fn contender(name: &str, cache: Cache) -> Result<Contender<Vec<Digest>>> {
    let runtime = runtime()?;
    let run = move |digests: &Vec<Digest>| {
        let slices = runtime.block_on(by_slices(digests, async |slice| {
            for digest in slice {
                Subject::put(&cache, *digest, value(VALUE_BYTES)).await;
            }
        }));
        Ok(vec![median(&slices)])
    };
    Ok(Contender::new(name, Kind::Ours, run))
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(1_000_000, 1000), 1);
    let puts = scale.pick(100_000, 500);
    let capacity = Capacity::entries(digests.len());
    let (without, with) = (cache(capacity)?, cache(capacity)?);
    let one = digests.last().ok_or("no digests")?;
    runtime()?.block_on(async {
        fill(&without, &digests, VALUE_BYTES).await?;
        fill(&with, &digests, VALUE_BYTES).await?;
        with.expand(one.prefix(16)).await?;
        Ok::<(), crate::failure::Failure>(())
    })?;
    let mut contenders = [contender(WITHOUT, without)?, contender(WITH, with)?];
    let mut rng = Rng::with_seed(2);
    let runs =
        interleave(scale, || (0..puts).map(|_| digest(&mut rng)).collect::<Vec<_>>(), &mut contenders)?;
    let measurement = Measurement::of("A put that evicts, 1 M entries", "ns", &runs, 0).ratio(
        "M7, put",
        WITH,
        WITHOUT,
        Bound::AtMost(1.5),
    );
    Ok(vec![measurement])
}
