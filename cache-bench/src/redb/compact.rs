use std::{path::Path, time::Instant};

use cache_core::{Cache, CleanPolicy, Digest};
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
            lineup::{OURS, RAW},
            ours,
            raw::RawRedb,
        },
        files::{
            puts::{fill, sync},
            service,
        },
    },
    workload::keys::{digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "compact",
    title: "How much room a database takes",
    setting: "200,000 values of 1 KiB are put and made durable, as many as all of them are put once more under other keys and the first ones go, by a clean to half of the \
              bytes; each is a database of its own that begins with nothing. What the file takes on the disk by the bytes of the values that are in it. Raw redb puts and removes in \
              durable batches of 1,024 and is compacted by its own call.",
    run,
};

const VALUE_BYTES: usize = 1024;
const ROUNDS: usize = 3;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let entries = scale.pick(200_000, 500);
    let site = std::rc::Rc::new(site);
    let (here, there) = (std::rc::Rc::clone(&site), site);
    let mut contenders = [
        Contender::new(OURS, Kind::Ours, move |seed: &u64| room_of_ours(&here, entries, *seed)),
        Contender::new(RAW, Kind::Baseline, move |seed: &u64| room_of_raw(&there, entries, *seed)),
    ];
    let mut seed = 0;
    let input = || {
        seed += 1;
        seed
    };
    let scale = if scale.quick { scale.once() } else { scale.at_most(ROUNDS).cold() };
    let runs = interleave(&scale, input, &mut contenders)?;
    Ok(vec![
        Measurement::of("File / data, filled", "", &runs, 0),
        Measurement::of("File / data, cleaned after it was filled", "", &runs, 1).figure(
            "R4, filled",
            OURS,
            Bound::AtMost(1.6),
        ),
        Measurement::of("File / data, filled twice as far", "", &runs, 3),
        Measurement::of("File / data, cleaned down to half", "", &runs, 4).figure(
            "R4",
            OURS,
            Bound::AtMost(1.6),
        ),
        Measurement::of("The clean of what was filled", "ms", &runs, 2),
        Measurement::of("The clean down to half", "ms", &runs, 5),
    ])
}

/// What the files of a directory take on the disk by the bytes of so many values.
fn room(dir: &Path, entries: usize) -> Result<f64> {
    sync(dir)?;
    Ok(super::sizes::room(dir)? as f64 / (entries * VALUE_BYTES) as f64)
}

fn both(entries: usize, seed: u64) -> (Vec<Digest>, Vec<Digest>) {
    let mut first = digests(2 * entries, seed);
    let second = first.split_off(entries);
    (first, second)
}

fn room_of_ours(site: &Site, entries: usize, seed: u64) -> Result<Vec<f64>> {
    let dir = site.subdir(&format!("{OURS} {seed}"))?;
    let (first, second) = both(entries, seed);
    let runtime = service()?;
    let cache = {
        let _entered = runtime.enter();
        ours::cache(&dir)?
    };
    let bytes = (entries * VALUE_BYTES) as u64;
    let mut figures = Vec::new();
    for (digests, factor, policy) in
        [(first, 1, CleanPolicy::default()), (second, 2, CleanPolicy::default().with_max_bytes(bytes))]
    {
        let (filling, cleaned) = (cache.clone(), cache.clone());
        runtime.block_on(async move {
            fill(filling.clone().into(), digests, VALUE_BYTES).await?;
            Result::Ok(filling.flush().await?)
        })?;
        figures.push(room(&dir, factor * entries)?);
        let millis = runtime.block_on(runtime.spawn(clean(cleaned, policy)))??;
        figures.push(room(&dir, entries)?);
        figures.push(millis);
    }
    let usage = runtime.block_on(cache.usage())?;
    if usage.entries != entries as u64 {
        return Err(format!("{} entries are left of {entries}", usage.entries).into());
    }
    runtime.block_on(cache.close(None))?;
    drop(cache);
    std::fs::remove_dir_all(&dir)?;
    Ok(figures)
}

/// The milliseconds of a clean.
async fn clean(cache: Cache, policy: CleanPolicy) -> Result<f64> {
    let begun = Instant::now();
    cache.clean(&policy).await?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn room_of_raw(site: &Site, entries: usize, seed: u64) -> Result<Vec<f64>> {
    let dir = site.subdir(&format!("{RAW} {seed}"))?;
    let (first, second) = both(entries, seed);
    let mut raw = RawRedb::open(&dir)?;
    let mut figures = Vec::new();
    for (digests, removed, factor) in [(&first, &[][..], 1), (&second, first.as_slice(), 2)] {
        for batch in digests.chunks(1024) {
            let values: Vec<_> =
                batch.iter().map(|digest| (*digest, value_of(digest, VALUE_BYTES))).collect();
            raw.insert_all(&values, Durability::Immediate)?;
        }
        figures.push(room(&dir, factor * entries)?);
        let begun = Instant::now();
        for batch in removed.chunks(1024) {
            raw.replace_all(&[], batch, Durability::Immediate)?;
        }
        raw = raw.compact()?;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        figures.push(room(&dir, entries)?);
        figures.push(millis);
    }
    if raw.len()? != entries as u64 {
        return Err("entries are lost".into());
    }
    drop(raw);
    std::fs::remove_dir_all(&dir)?;
    Ok(figures)
}
