use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use cache_core::Digest;
use fastrand::Rng;
use redb::Durability;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        slices::distribution,
        verdict::Bound,
    },
    subject::{
        Subject,
        databases::{
            group::GroupCommit,
            lineup::{DISK, GROUP, OURS, fjall},
            ours,
            raw::RawRedb,
        },
        files::{
            self, Flushes,
            lineup::FlushVisitor,
            puts::{fill, sync},
            service,
        },
    },
    workload::keys::{any_of, digest, digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "beside",
    title: "Gets beside puts",
    setting: "2,000 keys with values of 1 KiB, written and flushed before. One thread that does nothing else gets 20,000 of them a round while nobody puts, and then 50,000 while 64 tasks on a \
              runtime of 2 threads put values of 1 KiB under new keys as fast as they can; each get is timed. Before each turn all that was put is made durable, which is not timed.",
    run,
};

const VALUE_BYTES: usize = 1024;
const TASKS: usize = 64;
const ROUNDS: usize = 7;

type Reads = (Vec<Digest>, Vec<Digest>);

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let digests = digests(scale.pick(2000, 100), 1);
    let mut subjects = Beside { site: &site, digests: &digests, runtime: service()?, contenders: Vec::new() };
    subjects.visit(OURS, Kind::Ours, ours::cache)?;
    subjects.visit(DISK, Kind::Ours, files::ours::cache)?;
    let group = |dir: &_| Ok(GroupCommit::new(RawRedb::open(dir)?, Durability::None));
    subjects.visit(GROUP, Kind::Baseline, group)?;
    fjall(&mut subjects)?;
    let mut rng = Rng::with_seed(2);
    let (idle, busy) = (scale.pick(20_000, 100), scale.pick(50_000, 100));
    let input = || (any_of(&digests, idle, &mut rng), any_of(&digests, busy, &mut rng));
    let runs = interleave(&scale.at_most(ROUNDS), input, &mut subjects.contenders)?;
    Ok(vec![
        Measurement::of("A get while nobody puts, p50", "µs", &runs, 0),
        Measurement::of("A get while nobody puts, p99", "µs", &runs, 1),
        Measurement::of("A get beside 64 tasks that put, p50", "µs", &runs, 2),
        Measurement::of("A get beside 64 tasks that put, p99", "µs", &runs, 3).ratio(
            "raw redb",
            OURS,
            GROUP,
            Bound::AtMost(1.0),
        ),
        Measurement::of("p99 beside puts / p50 without", "", &runs, 4).figure("R5", OURS, Bound::AtMost(5.0)),
        Measurement::of("Puts beside the gets", "per ms", &runs, 5),
    ])
}

struct Beside<'a> {
    site: &'a Site,
    digests: &'a [Digest],
    runtime: Arc<Runtime>,
    contenders: Vec<Contender<Reads>>,
}

impl FlushVisitor for Beside<'_> {
    fn visit<S: Flushes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        let dir = self.site.subdir(name)?;
        let runtime = Arc::clone(&self.runtime);
        let _entered = self.runtime.enter();
        let subject = Arc::new(make(&dir)?);
        runtime.block_on(fill(Arc::clone(&subject), self.digests.to_vec(), VALUE_BYTES))?;
        let mut seed = 0;
        let run = move |(idle, busy): &Reads| {
            if !runtime.block_on(subject.flush()) {
                return Err("what was put before is not durable".into());
            }
            sync(&dir)?;
            let (p50, p99) = runtime.block_on(timed(subject.as_ref(), idle))?;
            let (puts, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let mut putting = JoinSet::new();
            for _ in 0..TASKS {
                seed += 1;
                let (subject, puts, stop) = (Arc::clone(&subject), Arc::clone(&puts), Arc::clone(&stop));
                putting.spawn_on(put_until(subject, seed, puts, stop), runtime.handle());
            }
            let begun = (Instant::now(), puts.load(Ordering::Relaxed));
            let (busy_p50, busy_p99) = runtime.block_on(timed(subject.as_ref(), busy))?;
            let rate =
                (puts.load(Ordering::Relaxed) - begun.1) as f64 / (begun.0.elapsed().as_secs_f64() * 1e3);
            stop.store(true, Ordering::Relaxed);
            runtime.block_on(async {
                while let Some(put) = putting.join_next().await {
                    if !put? {
                        return Err("a put failed".into());
                    }
                }
                Result::Ok(())
            })?;
            Ok(vec![p50, p99, busy_p50, busy_p99, busy_p99 / p50, rate])
        };
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// Median and 99th percentile of the microseconds of a get.
async fn timed<S: Subject>(subject: &S, digests: &[Digest]) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(digests.len());
    for digest in digests {
        let begun = Instant::now();
        let found = subject.get(digest).await;
        times.push(begun.elapsed());
        if found.is_none_or(|value| value.len() != VALUE_BYTES) {
            return Err("a get missed".into());
        }
    }
    match distribution(&times).as_slice() {
        [_, p50, p99, ..] => Ok((*p50, *p99)),
        _ => Err("there are no figures".into()),
    }
}

async fn put_until<S: Subject>(
    subject: Arc<S>,
    seed: u64,
    puts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> bool {
    let mut rng = Rng::with_seed(seed ^ 0xb5);
    while !stop.load(Ordering::Relaxed) {
        let digest = digest(&mut rng);
        if !subject.put(digest, value_of(&digest, VALUE_BYTES)).await {
            return false;
        }
        puts.fetch_add(1, Ordering::Relaxed);
        // Those that never wait let others run.
        tokio::task::yield_now().await;
    }
    true
}
