use std::collections::BTreeSet;

use cache_core::{Digest, DigestPrefix, Namespace, StoreExt};
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
    subject::{Capacity, hits::fill, lineup::cache},
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "expand",
    title: "A short digest made whole",
    setting: "1,000,000 keys with values of 64 B; 50,000 prefixes of 8 digits a round, each of a key that is there, on one thread.",
    run,
};

const VALUE_BYTES: usize = 64;
const CACHE: &str = "Cache::expand";

type Prefixes = Vec<DigestPrefix>;

/// Microseconds of one answer. One in ten thousand prefixes has a twin and is ambiguous: an answer, too.
fn expanding(
    name: &str,
    kind: Kind,
    expand: impl AsyncFn(DigestPrefix) -> bool + 'static,
) -> Result<Contender<Prefixes>> {
    let runtime = runtime()?;
    let run = move |prefixes: &Prefixes| {
        let mut found = 0;
        let slices = runtime.block_on(by_slices(prefixes, async |slice| {
            for prefix in slice {
                found += usize::from(expand(*prefix).await);
            }
        }));
        if found * 100 < prefixes.len() * 99 {
            return Err(format!("only {found} of {} were found", prefixes.len()).into());
        }
        Ok(vec![median(&slices) / 1000.0])
    };
    Ok(Contender::new(name, kind, run))
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(1_000_000, 1000), 1);
    let asked = scale.pick(50_000, 200);
    let cache = cache(Capacity::for_all(digests.len(), VALUE_BYTES))?;
    runtime()?.block_on(fill(&cache, &digests, VALUE_BYTES))?;
    let store = cache.store().clone();
    let tree: BTreeSet<Digest> = digests.iter().copied().collect();
    let mut contenders = [
        expanding(CACHE, Kind::Ours, async move |prefix| cache.expand(prefix).await.is_ok())?,
        expanding("StoreExt::expand", Kind::Ours, async move |prefix: DigestPrefix| {
            store.expand(&Namespace::root(), prefix.into()).await.is_ok()
        })?,
        expanding("BTreeSet range", Kind::Baseline, async move |prefix: DigestPrefix| {
            let mut found = tree.range(prefix.first()..).take_while(|digest| prefix.matches(digest));
            found.next().is_some() && found.next().is_none()
        })?,
    ];
    let mut rng = Rng::with_seed(2);
    let input = || any_of(&digests, asked, &mut rng).iter().map(|digest| digest.prefix(8)).collect();
    let runs = interleave(scale, input, &mut contenders)?;
    let measurement = Measurement::of("expand of 8 digits, 1 M keys", "µs", &runs, 0).figure(
        "M7, expand",
        CACHE,
        Bound::AtMost(5.0),
    );
    Ok(vec![measurement])
}
