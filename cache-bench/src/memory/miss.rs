use std::time::{Duration, Instant};

use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        slices::median,
        threads::runtime,
        verdict::Bound,
    },
    subject::{
        Capacity, Computes,
        lineup::{ComputeVisitor, OURS, computing},
    },
    workload::keys::{digest, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "miss",
    title: "A miss without company",
    setting: "One caller on one thread has 20,000 missing values of 64 B computed each round. The time of each beyond a look and a put of the \
              same value on the bare store, which take turns with it by the hundred; the median of those.",
    run,
};

const VALUE_BYTES: usize = 64;
const CHUNK: usize = 100;

/// Halves of the same size: digests to compute, and digests to look for and put.
type Missing = (Vec<Digest>, Vec<Digest>);

#[derive(Default)]
struct Alone(Vec<Contender<Missing>>);

impl ComputeVisitor for Alone {
    fn visit<S: Computes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        let runtime = runtime()?;
        let run = move |missing: &Missing| {
            let subject = make()?;
            let (computed, beyond) = runtime.block_on(alone(&subject, missing))?;
            Ok(vec![median(&beyond), median(&computed)])
        };
        self.0.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// The nanoseconds of a computation in each chunk, and how many of them are beyond a look and a put in the same.
async fn alone<S: Computes>(subject: &S, missing: &Missing) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut computed, mut beyond) = (Vec::new(), Vec::new());
    for (to_compute, to_put) in missing.0.chunks(CHUNK).zip(missing.1.chunks(CHUNK)) {
        let begun = Instant::now();
        for digest in to_compute {
            let value = subject.get_or_compute(*digest, || async { value(VALUE_BYTES) }).await;
            value.ok_or("nothing was computed")?;
        }
        let computing = begun.elapsed();
        let begun = Instant::now();
        for digest in to_put {
            if !subject.look_and_put(*digest, value(VALUE_BYTES)).await {
                return Err("a value was there, or was refused".into());
            }
        }
        let putting = begun.elapsed();
        let nanos = |time: Duration| time.as_secs_f64() * 1e9 / CHUNK as f64;
        computed.push(nanos(computing));
        beyond.push(nanos(computing) - nanos(putting));
    }
    Ok((computed, beyond))
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let count = scale.pick(20_000, 200);
    let mut contenders = Alone::default();
    computing(Capacity::for_all(2 * count, VALUE_BYTES), &mut contenders)?;
    let mut rng = Rng::with_seed(2);
    let mut missing = || (0..count).map(|_| digest(&mut rng)).collect::<Vec<_>>();
    let runs = interleave(scale, || (missing(), missing()), &mut contenders.0)?;
    Ok(vec![
        Measurement::of("A miss, beyond a look and a put", "ns", &runs, 0).figure(
            "M8, miss",
            OURS,
            Bound::AtMost(1000.0),
        ),
        Measurement::of("A miss, all of it", "ns", &runs, 1),
    ])
}
