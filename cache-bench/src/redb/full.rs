use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use cache_core::{Cache, Digest};
use cache_redb::RedbOptions;
use fastrand::Rng;
use redb::Durability;
use tokio::runtime::Runtime;

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
    output::figures::grouped,
    redb::open::{self, Opened},
    subject::{
        databases::{ours, raw::RawRedb},
        files::{
            puts::{Work, fill, put, sync},
            service,
        },
    },
    workload::keys::{digest, digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "full",
    title: "A store that is full, and how it opens",
    setting: "Two stores, with budgets of so many values of 1 KiB as their names say, filled to the last one by plain puts before; then 20,000 puts of new keys a round by one task, one after \
              the other, and 20,000 by 64 tasks: as much has to go as comes in. Before each turn all that was put is made durable, which is not timed. Raw redb puts \
              and removes the oldest in one transaction for each put, inline, none of them durable. Then the large ones are closed, their file \
              system is mounted anew, so that nothing of them is in memory, and each is opened and one entry read that was put at the end; once more with all of it in the page cache; and once more what a crash would \
              have left: a copy that was taken while the database was open, after a flush.",
    run,
};

const VALUE_BYTES: usize = 1024;
const ROUNDS: usize = 3;
const TASKS: usize = 64;
const SMALL: usize = 10_000;

/// What one task puts, and what many do.
type Turn = (Vec<Digest>, Vec<Digest>);

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = Rc::new(scale.ground()?.fresh()?);
    let large = scale.entries.unwrap_or(scale.pick(1_000_000, 5000));
    let small = scale.pick(SMALL, 500);
    let puts = scale.pick(20_000, 128);
    let mut last = Vec::new();
    let (mut measurements, opened) = {
        let runtime = service()?;
        let mut full =
            Full { site: &site, runtime, stores: Vec::new(), raws: Vec::new(), contenders: Vec::new() };
        for entries in [large, small] {
            full.store(entries)?;
            full.raw(entries)?;
        }
        let mut rng = Rng::with_seed(2);
        let mut some = |count| (0..count).map(|_| digest(&mut rng)).collect::<Vec<_>>();
        let input = || {
            let (one, many) = (some(puts), some(puts));
            // Raw redb has no others.
            last.clone_from(&one);
            (one, many)
        };
        let runs = interleave(&scale.at_most(ROUNDS), input, &mut full.contenders)?;
        let [ours, ours_small, raw, raw_small] =
            [store_name(large), store_name(small), raw_name(large), raw_name(small)];
        let flat = |title, metric| {
            Measurement::of(title, "µs", &runs, metric)
                .ratio("flat", &ours, &ours_small, Bound::AtMost(1.5))
                .ratio("flat, raw redb", &raw, &raw_small, Bound::AtMost(1.5))
        };
        let measurements = vec![
            flat("A put into a full store, mean", 0),
            flat("A put into a full store, p50", 1),
            Measurement::of("A put into a full store, p99", "µs", &runs, 2),
            Measurement::of("A put into a full store, the longest", "ms", &runs, 4),
            flat("A put into a full store, 64 tasks", 5),
            Measurement::of("Entries evicted for each put", "", &runs, 6),
        ];
        (measurements, full.close(large)?)
    };
    measurements.extend(open::measure(scale, &site, opened, large, &last)?);
    Ok(measurements)
}

fn store_name(entries: usize) -> String {
    format!("Cache, {} entries", grouped(entries))
}

fn raw_name(entries: usize) -> String {
    format!("raw redb, {} entries", grouped(entries))
}

/// The store that has room for so many entries.
pub(super) fn options(dir: &Path, entries: usize) -> RedbOptions {
    ours::options(dir).with_max_bytes((entries * VALUE_BYTES) as u64)
}

struct Full<'a> {
    site: &'a Site,
    runtime: Arc<Runtime>,
    stores: Vec<(PathBuf, Cache)>,
    raws: Vec<(PathBuf, Arc<RawRedb>)>,
    contenders: Vec<Contender<Turn>>,
}

impl Full<'_> {
    fn store(&mut self, entries: usize) -> Result<()> {
        let dir = self.site.subdir(&store_name(entries))?;
        let (_entered, runtime) = (self.runtime.enter(), Arc::clone(&self.runtime));
        let cache = Arc::new(Cache::new(ours::open(options(&dir, entries))?));
        runtime.block_on(fill(Arc::clone(&cache), digests(entries, 1), VALUE_BYTES))?;
        self.stores.push((dir.clone(), cache.as_ref().clone()));
        let run = move |(one, many): &Turn| {
            runtime.block_on(cache.flush())?;
            sync(&dir)?;
            let (putting, values, work) =
                (Arc::clone(&cache), values(one), Work::of(many, VALUE_BYTES, TASKS));
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
                let mut turn = distribution(&times);
                turn.push(put(&putting, work, async |_| true).await?);
                Result::Ok(turn)
            }))??;
            let evicted = cache.store().metrics().since(&before).evictions;
            turn.push(evicted as f64 / (one.len() + many.len()) as f64);
            Ok(turn)
        };
        self.contenders.push(Contender::new(store_name(entries), Kind::Ours, run));
        Ok(())
    }

    fn raw(&mut self, entries: usize) -> Result<()> {
        let dir = self.site.subdir(&raw_name(entries))?;
        let raw = RawRedb::open(&dir)?;
        let mut there: VecDeque<Digest> = digests(entries, 1).into();
        for batch in digests(entries, 1).chunks(1024) {
            raw.insert_all(&values(batch), Durability::Immediate)?;
        }
        self.raws.push((dir.clone(), Arc::clone(&raw)));
        let run = move |(one, _): &Turn| {
            raw.flush()?;
            sync(&dir)?;
            let mut times = Vec::with_capacity(one.len());
            for put in values(one) {
                let begun = Instant::now();
                let oldest: Vec<Digest> = there.pop_front().into_iter().collect();
                there.push_back(put.0);
                raw.replace_all(&[put], &oldest, Durability::None)?;
                times.push(begun.elapsed());
            }
            Ok(distribution(&times))
        };
        self.contenders.push(Contender::new(raw_name(entries), Kind::Baseline, run));
        Ok(())
    }

    /// Copies the large ones as they are while they are open, and closes all.
    fn close(self, large: usize) -> Result<Opened> {
        for (_, cache) in &self.stores {
            self.runtime.block_on(cache.flush())?;
        }
        for (_, raw) in &self.raws {
            raw.flush()?;
        }
        let crashed = self.site.subdir("crashed")?;
        let opened = Opened {
            ours: self.site.path().join(store_name(large)),
            raw: self.site.path().join(raw_name(large)),
            crashed,
        };
        for (from, to) in [
            (ours::options(&opened.ours).path, ours::options(&opened.crashed).path),
            (RawRedb::file(&opened.raw), RawRedb::file(&opened.crashed)),
        ] {
            fs::copy(from, to)?;
        }
        for (_, cache) in &self.stores {
            self.runtime.block_on(cache.close(None))?;
        }
        Ok(opened)
    }
}

fn values(digests: &[Digest]) -> Vec<(Digest, Bytes)> {
    digests.iter().map(|digest| (*digest, value_of(digest, VALUE_BYTES))).collect()
}
