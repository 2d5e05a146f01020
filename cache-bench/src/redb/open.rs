//! How long a large database takes from nothing to its first answer, and what it keeps in memory.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use cache_core::{Cache, Digest};
use cache_redb::RedbStore;
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
    },
    heap,
    redb::full::options,
    subject::{
        databases::{
            lineup::{OURS, RAW},
            ours,
            raw::RawRedb,
        },
        files::{puts::sync, service},
    },
};

/// Where databases are that were closed, and copies of what they were before.
pub(super) struct Opened {
    pub(super) ours: PathBuf,
    pub(super) raw: PathBuf,
    pub(super) crashed: PathBuf,
}

/// Opens databases and reads one of `digests` from each, again and again.
pub(super) fn measure(
    scale: &Scale,
    site: &Rc<Site>,
    opened: Opened,
    entries: usize,
    digests: &[Digest],
) -> Result<Vec<Measurement>> {
    let opened = Rc::new(opened);
    let cold = Rc::new(Cell::new(true));
    let mut contenders: Vec<Contender<Digest>> = Vec::new();
    for ours in [true, false] {
        let (opened, site, cold) = (Rc::clone(&opened), Rc::clone(site), Rc::clone(&cold));
        let runtime = service()?;
        let run = move |digest: &Digest| {
            let forget = || site.forget().map(|forgotten| cold.set(cold.get() && forgotten));
            let dir = if ours { &opened.ours } else { &opened.raw };
            forget()?;
            let clean = first_answer(&runtime, ours, dir, entries, digest)?;
            let again = first_answer(&runtime, ours, dir, entries, digest)?;
            // What is opened is repaired: the next round needs it as it was.
            let copy = site.subdir("copy")?;
            let of = |dir: &Path| if ours { ours::options(dir).path } else { RawRedb::file(dir) };
            fs::copy(of(&opened.crashed), of(&copy))?;
            sync(&copy)?;
            forget()?;
            let crashed = first_answer(&runtime, ours, &copy, entries, digest)?;
            fs::remove_dir_all(&copy)?;
            Ok(vec![clean, again, crashed])
        };
        let (name, kind) = if ours { (OURS, Kind::Ours) } else { (RAW, Kind::Baseline) };
        contenders.push(Contender::new(name, kind, run));
    }
    // Those that were put last are there.
    let mut recent = digests.iter().rev();
    let next = || recent.next().copied().unwrap_or_else(|| Digest::of(b""));
    let runs = interleave(&scale.at_most(3).cold(), next, &mut contenders)?;
    let state = if cold.get() { "" } else { ", in the page cache" };
    let mut measurements = vec![
        Measurement::of(format!("Open and first get{state}"), "ms", &runs, 0),
        Measurement::of("Open and first get, in the page cache", "ms", &runs, 1),
        Measurement::of(format!("Open and first get after a crash{state}"), "ms", &runs, 2),
    ];
    measurements.extend(memory(scale, &opened.ours)?);
    Ok(measurements)
}

/// The milliseconds from before the database is opened until it has answered.
fn first_answer(runtime: &Runtime, ours: bool, dir: &Path, entries: usize, digest: &Digest) -> Result<f64> {
    let begun = Instant::now();
    if !ours {
        let raw = RawRedb::open(dir)?;
        let found = raw.get(digest)?;
        let time = begun.elapsed();
        return if found.is_none() { gone() } else { Ok(time.as_secs_f64() * 1e3) };
    }
    let (options, digest) = (options(dir, entries), *digest);
    runtime.block_on(runtime.spawn(async move {
        let cache = Cache::new(Arc::new(RedbStore::open(options).await?));
        let found = cache.get(digest).await?;
        let time = begun.elapsed();
        cache.close(None).await?;
        if found.is_none() { gone() } else { Ok(time.as_secs_f64() * 1e3) }
    }))?
}

fn gone() -> Result<f64> {
    Err("what was put last is gone".into())
}

/// What a process has in memory that opens it and reads.
fn memory(scale: &Scale, dir: &Path) -> Result<Vec<Measurement>> {
    let program = scale.heap()?;
    let dir = dir.to_string_lossy().into_owned();
    let gets = scale.pick("100000", "100");
    let run = move |_: &()| heap::ask(&program, &["database", &dir, gets], "", false);
    let mut contenders = [Contender::new(OURS, Kind::Ours, run)];
    let runs = interleave(&scale.once(), || (), &mut contenders)?;
    Ok(vec![
        Measurement::of("Peak heap, open and 100,000 gets", "MiB", &runs, 0),
        Measurement::of("Most memory resident, open and 100,000 gets", "MiB", &runs, 1),
    ])
}
