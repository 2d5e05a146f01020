use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use cache_core::{Cache, CleanPolicy, Digest};
use fastrand::Rng;
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, Run, interleave},
        scale::Scale,
    },
    subject::{
        databases::ours,
        files::{
            self,
            gets::read,
            puts::{Work, put, sync},
            service,
        },
    },
    workload::keys::digest,
};

pub(crate) const BENCH: Bench = Bench {
    name: "sizes",
    title: "From which size on a directory is faster",
    setting: "Values of 256 B to 4 MiB; 1,000 a round, or 64 MiB of them if those are fewer, under new keys: a quarter is put by one task, one after the other, then all the others by 64 tasks, \
              and then as many again by 64 tasks and a flush. Each of the last is read once by one task and once by 64. Before each turn all that was put is made durable. In the end the room \
              that the files take on the disk, after a sync, by the bytes of the values; and after a `clean` that has nothing to remove.",
    run,
};

const SIZES: [(usize, &str); 8] = [
    (256, "256 B"),
    (1 << 10, "1 KiB"),
    (4 << 10, "4 KiB"),
    (16 << 10, "16 KiB"),
    (64 << 10, "64 KiB"),
    (256 << 10, "256 KiB"),
    (1 << 20, "1 MiB"),
    (4 << 20, "4 MiB"),
];
const MOST_BYTES: usize = 64 << 20;
const TASKS: usize = 64;
const ROUNDS: usize = 5;
const TIMES: [&str; 5] = [
    "A put, 1 task",
    "A put, 64 tasks",
    "A put with its part of a flush, 64 tasks",
    "A get, 1 task",
    "A get, 64 tasks",
];
const ROOMS: [&str; 2] = ["Room / data", "Room / data, after a clean"];

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let (mut timed, mut rooms) = (Vec::new(), Vec::new());
    for (bytes, size) in SIZES {
        let (runs, room) = of_size(scale, &site, bytes, size)?;
        timed.extend(runs);
        rooms.extend(room);
    }
    let (faster, smaller) = (ratios(&timed), ratios(&rooms));
    let mut measurements = Vec::new();
    for (metric, title) in TIMES.into_iter().enumerate() {
        measurements.push(Measurement::of(title, "µs", &timed, metric));
        measurements.push(Measurement::of(format!("{title}: redb / disk"), "", &faster, metric));
    }
    for (metric, title) in ROOMS.into_iter().enumerate() {
        measurements.push(Measurement::of(title, "", &rooms, metric));
        measurements.push(Measurement::of(format!("{title}: redb / disk"), "", &smaller, metric));
    }
    Ok(measurements)
}

/// Of each size the figures of the database by those of the directory, round by round.
fn ratios(runs: &[Run]) -> Vec<Run> {
    let of = |name: &String| runs.iter().find(|run| run.name == *name);
    let ratio = |(_, size): (usize, &str)| {
        let [redb, disk] = names(size);
        let rounds = of(&redb)?.rounds.iter().zip(&of(&disk)?.rounds);
        let rounds =
            rounds.map(|(redb, disk)| redb.iter().zip(disk).map(|(redb, disk)| redb / disk).collect());
        Some(Run { name: size.to_owned(), kind: Kind::Ours, rounds: rounds.collect() })
    };
    SIZES.into_iter().filter_map(ratio).collect()
}

fn names(size: &str) -> [String; 2] {
    [format!("redb, {size}"), format!("disk, {size}")]
}

/// What both take in time and room for values of one size.
fn of_size(scale: &Scale, site: &Site, bytes: usize, size: &str) -> Result<(Vec<Run>, Vec<Run>)> {
    let runtime = service()?;
    let [redb, disk] = names(size);
    let (redb_dir, disk_dir) = (site.subdir(&redb)?, site.subdir(&disk)?);
    let caches = {
        let _entered = runtime.enter();
        [
            (redb, redb_dir.clone(), ours::cache(&redb_dir)?),
            (disk, disk_dir.clone(), files::ours::cache(&disk_dir)?),
        ]
    };
    let mut contenders: Vec<Contender<[Vec<Digest>; 3]>> = Vec::new();
    for (name, dir, cache) in &caches {
        let (runtime, dir, cache) = (Arc::clone(&runtime), dir.clone(), Arc::new(cache.clone()));
        let run = move |digests: &[Vec<Digest>; 3]| {
            runtime.block_on(cache.flush())?;
            sync(&dir)?;
            let turn = turn(Arc::clone(&cache), digests.clone(), bytes);
            runtime.block_on(runtime.spawn(turn))?
        };
        contenders.push(Contender::new(name.clone(), Kind::Ours, run));
    }
    let count = (MOST_BYTES / bytes).min(1000);
    let count = scale.pick(count, count.min(16));
    let mut rng = Rng::with_seed(2);
    let input =
        || [count.div_ceil(4), count, count].map(|count| (0..count).map(|_| digest(&mut rng)).collect());
    let scale = if scale.quick { scale.once() } else { scale.at_most(ROUNDS) };
    let runs = interleave(&scale, input, &mut contenders)?;
    drop(contenders);
    let rooms: Result<Vec<Run>> = caches
        .into_iter()
        .map(|(name, dir, cache)| {
            let rounds = vec![rooms(&runtime, &dir, &cache)?];
            fs::remove_dir_all(&dir)?;
            Ok(Run { name, kind: Kind::Ours, rounds })
        })
        .collect();
    Ok((runs, rooms?))
}

/// The microseconds of a put and of a get in each way.
async fn turn(cache: Arc<Cache>, [alone, many, durable]: [Vec<Digest>; 3], bytes: usize) -> Result<Vec<f64>> {
    let work = |digests: &[Digest], tasks| Work::of(digests, bytes, tasks);
    let one = put(&cache, work(&alone, 1), async |_| true).await?;
    let all = put(&cache, work(&many, TASKS), async |_| true).await?;
    let flushed =
        put(&cache, work(&durable, TASKS), async |cache: &Cache| cache.flush().await.is_ok()).await?;
    let read_alone = read(Arc::clone(&cache), durable.clone(), 1, bytes).await?;
    let read_all = read(cache, durable, TASKS, bytes).await?;
    Ok(vec![one, all, flushed, read_alone, read_all])
}

/// What the files take for each byte of the values, before and after a clean.
fn rooms(runtime: &Runtime, dir: &Path, cache: &Cache) -> Result<Vec<f64>> {
    let bytes = runtime.block_on(cache.usage())?.bytes as f64;
    runtime.block_on(cache.flush())?;
    sync(dir)?;
    let before = room(dir)? as f64 / bytes;
    runtime.block_on(cache.clean(&CleanPolicy::default()))?;
    runtime.block_on(cache.flush())?;
    sync(dir)?;
    let after = room(dir)? as f64 / bytes;
    runtime.block_on(cache.close(None))?;
    Ok(vec![before, after])
}

/// The bytes that a directory and all in it take on the disk.
pub(crate) fn room(dir: &Path) -> Result<u64> {
    let mut bytes = fs::metadata(dir)?.blocks() * 512;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => room(&entry.path())?,
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_that_of_all_files_below() {
        let dir = tempfile::tempdir().unwrap();
        let alone = room(dir.path()).unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        let file = fs::File::create(dir.path().join("below/file")).unwrap();
        std::io::Write::write_all(&mut &file, &vec![1; 100_000]).unwrap();
        file.sync_all().unwrap();
        assert!(room(dir.path()).unwrap() >= alone + 100_000);
    }
}
