//! How long a large store takes from nothing to its first answer.

use std::{cell::Cell, fs, path::Path, rc::Rc, sync::Arc, time::Instant};

use cache_core::{Cache, Digest};
use cache_disk::{DiskOptions, DiskStore};
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        verdict::Bound,
    },
    subject::files::{lineup::OURS, service},
};

/// Opens a store and reads one of `digests`, again and again.
pub(crate) fn measure(
    scale: &Scale,
    site: &Rc<Site>,
    options: &DiskOptions,
    digests: &[Digest],
) -> Result<Vec<Measurement>> {
    let dir = options.dir.clone();
    let cold = Rc::new(Cell::new(true));
    let forget = {
        let (site, cold) = (Rc::clone(site), Rc::clone(&cold));
        move || site.forget().map(|forgotten| cold.set(cold.get() && forgotten))
    };
    let ours = {
        let options = options.clone();
        let (dir, forget, runtime) = (dir.clone(), forget.clone(), service()?);
        move |(first, second): &(Digest, Digest)| {
            forget()?;
            let read = one_file(&dir, first)?;
            forget()?;
            let opened = first_answer(&runtime, options.clone(), *second)?;
            Ok(vec![opened, opened - read])
        }
    };
    let raw = move |(first, _): &(Digest, Digest)| {
        forget()?;
        Ok(vec![one_file(&dir, first)?])
    };
    let mut contenders =
        [Contender::new(OURS, Kind::Ours, ours), Contender::new("one file read", Kind::Baseline, raw)];
    // Those that were put last are there.
    let mut recent = digests.iter().rev();
    let mut next = || recent.next().copied().unwrap_or_else(|| Digest::of(b""));
    let runs = interleave(scale, || (next(), next()), &mut contenders)?;
    let state = if cold.get() { "" } else { ", in the page cache" };
    Ok(vec![
        Measurement::of(format!("Open and first get{state}"), "ms", &runs, 0),
        Measurement::of(format!("Open and first get, beyond one file read{state}"), "ms", &runs, 1).figure(
            "D6",
            OURS,
            Bound::AtMost(50.0),
        ),
    ])
}

/// The milliseconds that one file takes.
fn one_file(dir: &Path, digest: &Digest) -> Result<f64> {
    let path = dir.join(format!("{}/{digest}/~data", digest.prefix(2)));
    let begun = Instant::now();
    let read = fs::read(path)?;
    let time = begun.elapsed();
    if read.is_empty() { Err("a file is empty".into()) } else { Ok(time.as_secs_f64() * 1e3) }
}

/// The milliseconds from before the store is opened until it has answered.
fn first_answer(runtime: &Arc<Runtime>, options: DiskOptions, digest: Digest) -> Result<f64> {
    runtime.block_on(runtime.spawn(async move {
        let begun = Instant::now();
        let cache = Cache::new(Arc::new(DiskStore::open(options).await?));
        let found = cache.get(digest).await?;
        let time = begun.elapsed();
        cache.close(None).await?;
        if found.is_none() { Err("what was put last is gone".into()) } else { Ok(time.as_secs_f64() * 1e3) }
    }))?
}
