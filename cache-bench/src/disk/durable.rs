use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::files::{
        lineup::{HOP, OURS, RAW, STORE, durable},
        puts::{DurablePuts, Puts},
    },
    workload::keys::digest,
};

pub(crate) const BENCH: Bench = Bench {
    name: "durable",
    title: "Puts that are durable in the end",
    setting: "1,000 values of 1 KiB under new keys a round, one task, one after the other, and then a flush; the time of all of it. Raw files: one \
              `syncfs`. object_store syncs each file and its directory, opendal each file, and cacache has no way.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let puts = scale.pick(1000, 20);
    let mut subjects = DurablePuts(Puts::new(&site, VALUE_BYTES)?);
    durable(&mut subjects)?;
    let mut rng = Rng::with_seed(2);
    let input = || -> Vec<Vec<Digest>> { vec![(0..puts).map(|_| digest(&mut rng)).collect()] };
    let mut runs = interleave(scale, input, &mut subjects.0.contenders)?;
    for figure in runs.iter_mut().flat_map(|run| &mut run.rounds).flatten() {
        *figure *= puts as f64 / 1e3;
    }
    let measurement = Measurement::of("1,000 puts of 1 KiB and a flush", "ms", &runs, 0)
        .ratio("D4", OURS, RAW, Bound::AtMost(1.3))
        .ratio("D4, bare store", STORE, RAW, Bound::AtMost(1.3))
        .ratio("D4, one hop", OURS, HOP, Bound::AtMost(1.3));
    Ok(vec![measurement])
}
