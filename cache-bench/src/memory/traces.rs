use cache_core::Digest;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        threads::runtime,
        verdict::Bound,
    },
    subject::{
        Capacity, Subject,
        exact_lru::ExactLru,
        lineup::{OURS, Visitor, cache, other_policies, rivals},
    },
    workload::{keys::digest_of, keys::value, trace::TRACES},
};

pub(crate) const BENCH: Bench = Bench {
    name: "traces",
    title: "Hit ratios on traces",
    setting: "A budget of 20,000 entries, counted as entries for all, so that the policies alone are compared; each key is read, and put if it \
              was absent; one pass from an empty cache. `zipf`: Zipf 0.99 over 4 times the capacity. `scan`: the same, and every fifth key \
              belongs to a scan of keys that never come again. `loop`: round and round over 1.2 times the capacity. `loop-then-scan`: 5 rounds \
              over 0.8 times the capacity, then as many keys as fit, once; 6 times. `moving-loop`: the same, and each time the rounds go over \
              other keys. `shifting`: as `zipf`, and 10 times a tenth of all ranks moves on.",
    run,
};

const EXACT_LRU: &str = "exact LRU";

struct Keys {
    numbers: Vec<usize>,
    digests: Vec<Digest>,
}

#[derive(Default)]
struct Replayed(Vec<Contender<Keys>>);

impl Visitor for Replayed {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        let run = move |keys: &Keys| {
            let subject = make()?;
            let hits = runtime()?.block_on(replay(&subject, &keys.digests));
            Ok(vec![ratio(hits, keys.digests.len())])
        };
        self.0.push(Contender::new(name, kind, run));
        Ok(())
    }
}

async fn replay<S: Subject>(subject: &S, digests: &[Digest]) -> usize {
    let mut hits = 0;
    for digest in digests {
        if subject.get(digest).await.is_some() {
            hits += 1;
        } else {
            subject.put(*digest, value(8)).await;
        }
    }
    hits
}

fn ratio(hits: usize, of: usize) -> f64 {
    hits as f64 / of.max(1) as f64
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let entries = scale.pick(20_000, 100);
    let capacity = Capacity::entries(entries);
    let mut replayed = Replayed::default();
    replayed.visit(OURS, Kind::Ours, move || cache(capacity))?;
    other_policies(capacity, &mut replayed)?;
    rivals(capacity, &mut replayed)?;
    replayed.0.push(Contender::new(EXACT_LRU, Kind::Baseline, move |keys: &Keys| {
        let mut lru = ExactLru::new(entries);
        let hits = keys.numbers.iter().filter(|key| lru.touch(**key)).count();
        Ok(vec![ratio(hits, keys.numbers.len())])
    }));
    let mut measurements = Vec::new();
    for trace in TRACES {
        let input = || {
            let numbers = (trace.keys)(entries);
            let digests = numbers.iter().map(|number| digest_of(*number)).collect();
            Keys { numbers, digests }
        };
        let runs = interleave(&scale.once(), input, &mut replayed.0)?;
        let measurement = Measurement::of(format!("Hit ratio, {}", trace.name), "", &runs, 0);
        measurements.push(if trace.name == "loop-then-scan" {
            measurement.ratio("M3, loop-then-scan", OURS, EXACT_LRU, Bound::AtLeast(1.0))
        } else {
            measurement
        });
    }
    Ok(measurements)
}
