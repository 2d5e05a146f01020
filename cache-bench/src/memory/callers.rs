use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cache_core::Digest;
use fastrand::Rng;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        summary::Summary,
        verdict::Bound,
    },
    subject::{
        Capacity, Computes,
        lineup::{ComputeVisitor, OURS, QUICK_CACHE, computing},
    },
    workload::keys::{digest, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "callers",
    title: "1,000 callers of one missing key",
    setting: "1,000 tasks on a runtime of 2 threads ask for one missing key; from before the first of them is spawned until the last has its \
              answer, without the time of the computation itself; 50 times a round, of which the median counts. Once the computation \
              takes no time, so that most callers find its value; once it sleeps 3 ms, so that nearly all of them wait for it.",
    run,
};

const VALUE_BYTES: usize = 64;

/// The missing digests of one round.
type Missing = Vec<Digest>;

struct Gathered {
    runtime: Arc<Runtime>,
    callers: usize,
    sleep: Duration,
    contenders: Vec<Contender<Missing>>,
}

impl Gathered {
    fn add<F: Future<Output = Result<Duration>> + Send + 'static>(
        &mut self,
        name: &str,
        kind: Kind,
        gather: impl Fn(Digest) -> F + 'static,
    ) {
        let runtime = Arc::clone(&self.runtime);
        let run = move |missing: &Missing| {
            let micros: Result<Vec<f64>> = missing
                .iter()
                // On a worker: what it spawns goes to its own queue, as in a service.
                .map(|digest| Ok(runtime.block_on(runtime.spawn(gather(*digest)))??.as_secs_f64() * 1e6))
                .collect();
            Ok(vec![Summary::of(&micros?).ok_or("no repetition")?.median])
        };
        self.contenders.push(Contender::new(name, kind, run));
    }
}

impl ComputeVisitor for Gathered {
    fn visit<S: Computes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        let (subject, callers, sleep) = (Arc::new(make()?), self.callers, self.sleep);
        self.add(name, kind, move |digest| gather(Arc::clone(&subject), digest, callers, sleep));
        Ok(())
    }
}

/// The time that all callers together take beyond the computation.
async fn gather<S: Computes>(
    subject: Arc<S>,
    digest: Digest,
    callers: usize,
    sleep: Duration,
) -> Result<Duration> {
    let computing = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (subject, computing) = (Arc::clone(&subject), Arc::clone(&computing));
            let call = async move { subject.get_or_compute(digest, move || compute(sleep, computing)).await };
            Handle::current().spawn(call)
        })
        .collect();
    for task in tasks {
        task.await?.ok_or("a caller got no value")?;
    }
    let all = begun.elapsed();
    Ok(all.saturating_sub(Duration::from_nanos(computing.load(Ordering::Relaxed))))
}

async fn compute(sleep: Duration, computing: Arc<AtomicU64>) -> Bytes {
    if !sleep.is_zero() {
        let begun = Instant::now();
        tokio::time::sleep(sleep).await;
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        computing.fetch_add(nanos, Ordering::Relaxed);
    }
    value(VALUE_BYTES)
}

/// As many tasks that have their answer already.
async fn spawn_only(callers: usize) -> Result<Duration> {
    let begun = Instant::now();
    let answer = value(VALUE_BYTES);
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let answer = answer.clone();
            Handle::current().spawn(async move { answer })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(begun.elapsed())
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let callers = scale.pick(1000, 50);
    let repetitions = scale.pick(50, 3);
    let capacity = Capacity::for_all(100_000, VALUE_BYTES);
    let runtime = Arc::new(Builder::new_multi_thread().worker_threads(2).enable_all().build()?);
    let mut measurements = Vec::new();
    for (sleep, title, target) in [
        (Duration::ZERO, "1,000 callers, computed at once", "M8, callers"),
        (Duration::from_millis(3), "1,000 callers who wait", "M8, callers who wait"),
    ] {
        let runtime = Arc::clone(&runtime);
        let mut gathered = Gathered { runtime, callers, sleep, contenders: Vec::new() };
        computing(capacity, &mut gathered)?;
        gathered.add("spawn only", Kind::Baseline, move |_| spawn_only(callers));
        let mut rng = Rng::with_seed(2);
        let input = || (0..repetitions).map(|_| digest(&mut rng)).collect();
        let runs = interleave(scale, input, &mut gathered.contenders)?;
        measurements.push(Measurement::of(title, "µs", &runs, 0).ratio(
            target,
            OURS,
            QUICK_CACHE,
            Bound::AtMost(1.0),
        ));
    }
    Ok(measurements)
}
