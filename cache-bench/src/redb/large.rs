use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Kind, Run, interleave},
        scale::Scale,
        verdict::Bound,
    },
    subject::{
        databases::{
            chunked::Chunked,
            lineup::{DISK, OURS, STORE, fjall},
            ours,
        },
        files::{
            self,
            gets::{Gets, Reads},
            lineup::FlushVisitor,
            puts::{Puts, Slices},
        },
    },
    workload::keys::{digest, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "large",
    title: "A large blob",
    setting: "32 values of 4 MiB, flushed before; each is read whole once a round, by one task in slices of 8 or by 8 tasks. 16 values of 4 MiB under new keys are put a round, by one \
              task in slices of 4, and are visible then; before each turn all that was put is made durable, which is not timed. Raw redb: on a blocking thread, in pieces of \
              256 KiB less 256 bytes, or whole. Ours verifies what it reads, the others do not.",
    run,
};

const VALUE_BYTES: usize = 4 << 20;
const PIECE: usize = (256 << 10) - 256;
const CHUNKED: &str = "raw redb, in pieces";
const ROUNDS: usize = 7;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let scale = scale.at_most(ROUNDS);
    let digests = digests(scale.pick(32, 2), 1);
    let mut gets = Gets::new(&site, &digests, VALUE_BYTES)?;
    lineup(&mut gets)?;
    let mut order = digests.clone();
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (tasks, slices, title) in [(1, 4, "Gets of 4 MiB, 1 task"), (8, 1, "Gets of 4 MiB, 8 tasks")] {
        let slices = scale.pick(slices, 1);
        let input = || {
            // Each once: callers of one value at the same time would share a read.
            rng.shuffle(&mut order);
            Reads { slices: order.chunks(order.len().div_ceil(slices)).map(<[_]>::to_vec).collect(), tasks }
        };
        let mut runs = interleave(&scale, input, &mut gets.contenders)?;
        measurements.push(compared(title, &mut runs));
    }
    drop(gets);
    let mut puts = Puts::new(&site, VALUE_BYTES)?;
    lineup(&mut puts)?;
    let (slices, each) = (scale.pick(4, 1), scale.pick(4, 1));
    let input = || -> Slices {
        (0..slices).map(|_| (0..each).map(|_| digest(&mut rng)).collect::<Vec<Digest>>()).collect()
    };
    let mut runs = interleave(&scale, input, &mut puts.contenders)?;
    measurements.push(compared("Puts of 4 MiB", &mut runs));
    Ok(measurements)
}

fn lineup(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, ours::cache)?;
    visitor.visit(STORE, Kind::Ours, ours::store)?;
    visitor.visit(DISK, Kind::Ours, files::ours::cache)?;
    visitor.visit(CHUNKED, Kind::Baseline, |dir| Chunked::open(dir, PIECE))?;
    visitor.visit("raw redb, whole", Kind::Baseline, |dir| Chunked::open(dir, usize::MAX))?;
    fjall(visitor)
}

/// Bandwidths instead of the microseconds of a value.
fn compared(title: &str, runs: &mut [Run]) -> Measurement {
    for figure in runs.iter_mut().flat_map(|run| &mut run.rounds).flatten() {
        *figure = VALUE_BYTES as f64 / f64::from(1 << 30) * 1e6 / *figure;
    }
    Measurement::of(title, "GiB/s", runs, 0).ratio("in pieces", OURS, CHUNKED, Bound::AtLeast(0.75))
}
