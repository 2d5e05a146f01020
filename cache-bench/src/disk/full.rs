use std::{collections::VecDeque, rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use cache_core::{Cache, Digest};
use cache_disk::DiskOptions;
use fastrand::Rng;
use tokio::runtime::Runtime;

use crate::{
    disk::open,
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
    output::figures::grouped,
    subject::files::{
        ours,
        puts::{fill, sync},
        raw::RawFiles,
        service,
    },
    workload::keys::{digest, digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "full",
    title: "A store that is full, and how it opens",
    setting: "Two stores, with budgets of so many values of 1 KiB as their names say, filled to the last one by plain puts before; then 50,000 puts of new \
              keys a round, one task, one after the other: as much has to go as comes in. Before each turn all that was written is synced, \
              which is not timed. Raw files remove the oldest after each put, inline. Then the large store is closed and its file system mounted anew, so \
              that nothing of it is in memory, and it is opened and one entry read that was put at the end; beside it one file read from a file \
              system mounted anew.",
    run,
};

const VALUE_BYTES: usize = 1024;
const ROUNDS: usize = 3;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = Rc::new(scale.ground()?.fresh()?);
    let large = scale.entries.unwrap_or(scale.pick(1_000_000, 20_000));
    let puts = scale.pick(50_000, 500);
    let mut last = Vec::new();
    let mut measurements = {
        let runtime = service()?;
        let mut full = Full { site: &site, runtime, stores: Vec::new(), contenders: Vec::new() };
        for entries in [large, SMALL] {
            full.store(entries)?;
            full.raw(entries)?;
        }
        let mut rng = Rng::with_seed(2);
        let input = || {
            last = (0..puts).map(|_| digest(&mut rng)).collect::<Vec<_>>();
            last.clone()
        };
        let runs = interleave(&scale.at_most(ROUNDS), input, &mut full.contenders)?;
        for store in &full.stores {
            full.runtime.block_on(store.close(None))?;
        }
        let [ours, small, raw, raw_small] =
            [store_name(large), store_name(SMALL), raw_name(large), raw_name(SMALL)];
        vec![
            Measurement::of("A put into a full store, mean", "µs", &runs, 0)
                .ratio("D5, mean", &ours, &small, Bound::AtMost(1.5))
                .ratio("raw files, mean", &raw, &raw_small, Bound::AtMost(1.5)),
            Measurement::of("A put into a full store, p50", "µs", &runs, 1)
                .ratio("D5, p50", &ours, &small, Bound::AtMost(1.5))
                .ratio("raw files, p50", &raw, &raw_small, Bound::AtMost(1.5)),
            Measurement::of("A put into a full store, p99", "µs", &runs, 2),
            Measurement::of("A put into a full store, p99 / p50", "", &runs, 3)
                .figure("D5, p99", &ours, Bound::AtMost(5.0))
                .figure("D5, p99", &small, Bound::AtMost(5.0)),
            Measurement::of("A put into a full store, the longest", "ms", &runs, 4),
            Measurement::of("Entries evicted for each put", "", &runs, 5),
        ]
    };
    measurements.extend(open::measure(scale, &site, &options(&site, large)?, &last)?);
    Ok(measurements)
}

/// Entries of the store that the large one is compared with.
const SMALL: usize = 1000;

fn store_name(entries: usize) -> String {
    format!("Cache, {} entries", grouped(entries))
}

fn raw_name(entries: usize) -> String {
    format!("raw files, {} entries", grouped(entries))
}

/// The store that has room for so many entries.
fn options(site: &Site, entries: usize) -> Result<DiskOptions> {
    let budget = u64::try_from(entries * VALUE_BYTES)?;
    Ok(DiskOptions::new(site.path().join(store_name(entries))).with_max_bytes(budget))
}

struct Full<'a> {
    site: &'a Site,
    runtime: Arc<Runtime>,
    stores: Vec<Cache>,
    contenders: Vec<Contender<Vec<Digest>>>,
}

impl Full<'_> {
    fn store(&mut self, entries: usize) -> Result<()> {
        let dir = self.site.subdir(&store_name(entries))?;
        let (_entered, runtime) = (self.runtime.enter(), Arc::clone(&self.runtime));
        let cache = Cache::new(ours::open(options(self.site, entries)?)?);
        runtime.block_on(fill(Arc::new(cache.clone()), digests(entries, 1), VALUE_BYTES))?;
        self.stores.push(cache.clone());
        let run = move |digests: &Vec<Digest>| {
            sync(&dir)?;
            let (putting, values) = (cache.clone(), values(digests));
            let before = cache.store().metrics();
            let mut turn = runtime.block_on(runtime.spawn(async move {
                let mut times = Vec::with_capacity(values.len());
                for (digest, value) in values {
                    let begun = Instant::now();
                    if !putting.put(digest, value).await?.is_stored() {
                        return Err("a put was refused".into());
                    }
                    times.push(begun.elapsed());
                }
                Result::Ok(distribution(&times))
            }))??;
            let evicted = cache.store().metrics().since(&before).evictions;
            turn.push(evicted as f64 / digests.len() as f64);
            Ok(turn)
        };
        self.contenders.push(Contender::new(store_name(entries), Kind::Ours, run));
        Ok(())
    }

    fn raw(&mut self, entries: usize) -> Result<()> {
        let dir = self.site.subdir(&raw_name(entries))?;
        let files = RawFiles::open(&dir)?;
        let mut there: VecDeque<Digest> = digests(entries, 1).into();
        for digest in &there {
            files.replace(digest, &value_of(digest, VALUE_BYTES), None)?;
        }
        let run = move |digests: &Vec<Digest>| {
            sync(&dir)?;
            let mut times = Vec::with_capacity(digests.len());
            for (digest, value) in values(digests) {
                let begun = Instant::now();
                files.replace(&digest, &value, there.pop_front())?;
                times.push(begun.elapsed());
                there.push_back(digest);
            }
            let mut turn = distribution(&times);
            turn.push(1.0);
            Ok(turn)
        };
        self.contenders.push(Contender::new(raw_name(entries), Kind::Baseline, run));
        Ok(())
    }
}

fn values(digests: &[Digest]) -> Vec<(Digest, Bytes)> {
    digests.iter().map(|digest| (*digest, value_of(digest, VALUE_BYTES))).collect()
}
