use std::time::Instant;

use cache_core::Digest;
use fastrand::Rng;
use redb::Durability;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        verdict::Bound,
    },
    subject::{
        databases::{
            lineup::{OURS, STORE, puts},
            raw::RawRedb,
        },
        files::puts::{DurablePuts, Puts, Slices, sync},
    },
    workload::keys::{digest, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "durable",
    title: "Puts that are durable in the end",
    setting: "10,000 values of 1 KiB under new keys a round, by 64 tasks or by one, and then a flush; the time of all of it. Raw redb: one task inserts all of them, in batches of \
              1,024, each of them a durable transaction; nobody waits for a single one.",
    run,
};

const VALUE_BYTES: usize = 1024;
const BATCH: usize = 1024;
const BATCHES: &str = "raw redb, batches";
const ROUNDS: usize = 7;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let count = scale.pick(10_000, 128);
    let mut rng = Rng::with_seed(2);
    let mut measurements = Vec::new();
    for (tasks, title, target) in [
        (64, "10,000 puts of 1 KiB by 64 tasks, and a flush", "R3"),
        (1, "10,000 puts of 1 KiB by one task, and a flush", "R3, one task"),
    ] {
        let mut subjects = DurablePuts(Puts::new(&site, VALUE_BYTES)?.by_tasks(tasks));
        puts(&mut subjects)?;
        let mut contenders = subjects.0.contenders;
        contenders.push(batches(&site, tasks)?);
        let input = || -> Slices { vec![(0..count).map(|_| digest(&mut rng)).collect()] };
        let mut runs = interleave(&scale.at_most(ROUNDS), input, &mut contenders)?;
        for figure in runs.iter_mut().flat_map(|run| &mut run.rounds).flatten() {
            *figure *= count as f64 / 1e3;
        }
        measurements.push(
            Measurement::of(title, "ms", &runs, 0).ratio(target, OURS, BATCHES, Bound::AtMost(1.3)).ratio(
                "bare store",
                STORE,
                BATCHES,
                Bound::AtMost(1.3),
            ),
        );
    }
    Ok(measurements)
}

/// The microseconds of a put in batches that are durable one by one.
fn batches(site: &Site, tasks: usize) -> Result<Contender<Slices>> {
    let dir = site.subdir(&format!("{BATCHES}, {tasks}"))?;
    let raw = RawRedb::open(&dir)?;
    let run = move |slices: &Slices| {
        sync(&dir)?;
        let valued = |digest: &Digest| (*digest, value_of(digest, VALUE_BYTES));
        let values: Vec<_> = slices.iter().flatten().map(valued).collect();
        let begun = Instant::now();
        for batch in values.chunks(BATCH) {
            raw.insert_all(batch, Durability::Immediate)?;
        }
        Ok(vec![begun.elapsed().as_secs_f64() * 1e6 / values.len() as f64])
    };
    Ok(Contender::new(BATCHES, Kind::Baseline, run))
}
