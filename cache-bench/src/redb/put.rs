use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::{
        databases::lineup::{
            DURABLE, DURABLE_GROUP, EACH, GROUP, OURS, STORE, durable_puts, each_durable, puts,
        },
        files::puts::{Puts, Slices},
    },
    workload::keys::digest,
};

pub(crate) const BENCH: Bench = Bench {
    name: "put",
    title: "Puts by many tasks",
    setting: "64 tasks put values of 1 KiB under new keys, 12,800 a round in slices of 6,400; the time of a slice by its puts. Before each turn all that was put is made durable, \
              which is not timed. Raw redb: one thread puts all that waits for it into one transaction, and answers when that is committed; or each put is a \
              durable transaction of its own, of a tenth of these puts. Then 3,200 puts in slices of 1,600 of which each is durable when it returns. One task: 1,000 puts in slices of 250.",
    run,
};

const VALUE_BYTES: usize = 1024;
const TASKS: usize = 64;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let mut rng = Rng::with_seed(2);
    let mut many = Puts::new(&site, VALUE_BYTES)?.by_tasks(TASKS);
    puts(&mut many)?;
    each_durable(&mut many)?;
    if let Some(each) = many.contenders.pop() {
        many.contenders.push(each.with(a_tenth));
    }
    let runs = interleave(scale, || slices(&mut rng, 2, scale.pick(6400, 2 * TASKS)), &mut many.contenders)?;
    let visible = Measurement::of("A put of 1 KiB, 64 tasks", "µs", &runs, 0)
        .ratio("R2", OURS, GROUP, Bound::AtMost(1.3))
        .ratio("R2", OURS, EACH, Bound::AtMost(0.1))
        .ratio("R2, bare store", STORE, GROUP, Bound::AtMost(1.3));
    drop(many);
    let mut durable = Puts::new(&site, VALUE_BYTES)?.by_tasks(TASKS);
    durable_puts(&mut durable)?;
    let runs =
        interleave(scale, || slices(&mut rng, 2, scale.pick(1600, 2 * TASKS)), &mut durable.contenders)?;
    let durable = Measurement::of("A durable put of 1 KiB, 64 tasks", "µs", &runs, 0).ratio(
        "durable",
        DURABLE,
        DURABLE_GROUP,
        Bound::AtMost(1.3),
    );
    let mut one = Puts::new(&site, VALUE_BYTES)?;
    puts(&mut one)?;
    let runs = interleave(scale, || slices(&mut rng, 4, scale.pick(250, 10)), &mut one.contenders)?;
    let one = Measurement::of("A put of 1 KiB, 1 task", "µs", &runs, 0).ratio(
        "one task",
        OURS,
        GROUP,
        Bound::AtMost(1.3),
    );
    Ok(vec![visible, durable, one])
}

fn slices(rng: &mut Rng, slices: usize, puts: usize) -> Slices {
    (0..slices).map(|_| (0..puts).map(|_| digest(rng)).collect()).collect()
}

fn a_tenth(slices: &Slices) -> Slices {
    let tenth = |slice: &Vec<Digest>| slice.iter().take(slice.len() / 10).copied().collect();
    slices.iter().map(tenth).collect()
}
