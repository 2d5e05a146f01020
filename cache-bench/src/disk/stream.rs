use std::{
    fs::{self, File},
    io::{BufReader, Write},
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use futures::TryStreamExt;
use tokio::runtime::Runtime;

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
    heap,
    subject::files::{
        lineup::OURS,
        ours, puts, service,
        streams::{self, Streams},
    },
};

pub(crate) const BENCH: Bench = Bench {
    name: "stream",
    title: "A blob of 4 GiB",
    setting: "A file of 4 GiB is put as a stream in pieces of 1 MiB; then it is got as a stream and written to a file. \
              Beside `cp` of that file. Before each turn what the turn before left is removed, all that was written is synced, and what will be read is read once into the page cache; none of \
              that is timed. Ours verifies what it reads, the others do not. Memory: in a process of its own that puts and gets a stream of that length, \
              its heap beyond what was there before, and all that was resident.",
    run,
};

const BYTES: u64 = 4 << 30;
const QUICK_BYTES: u64 = 512 << 20;
const CP: &str = "cp";
const ROUNDS: usize = 3;

type Turn = (PathBuf, u64);

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = Rc::new(scale.ground()?.fresh()?);
    let bytes = scale.pick(BYTES, QUICK_BYTES);
    let source = site.path().join("source");
    write_source(&source, bytes)?;
    let mut copies = Copies { site: &site, runtime: service()?, puts: Vec::new(), gets: Vec::new() };
    copies.add(OURS, Kind::Ours, ours::cache)?;
    copies.cp()?;
    #[cfg(feature = "rivals")]
    {
        use crate::subject::files::{lineup::OBJECT_STORE, object_store::local, opendal};

        copies.add(OBJECT_STORE, Kind::Rival, |dir| local(dir, false))?;
        copies.add("opendal fs", Kind::Rival, opendal::open)?;
    }
    let scale = if scale.quick { scale.once() } else { scale.at_most(ROUNDS) };
    let put = interleave(&scale, || (source.clone(), bytes), &mut copies.puts)?;
    let got = interleave(&scale, || (source.clone(), bytes), &mut copies.gets)?;
    let mut measurements = vec![
        Measurement::of("A stream put", "GiB/s", &put, 0).ratio("D7, put", OURS, CP, Bound::AtLeast(0.8)),
        Measurement::of("A stream got", "GiB/s", &got, 0).ratio("D7, get", OURS, CP, Bound::AtLeast(0.8)),
    ];
    drop(copies);
    fs::remove_file(&source)?;
    measurements.extend(memory(&scale, &site, bytes)?);
    Ok(measurements)
}

/// Bytes that nobody could store shorter.
fn write_source(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::create(path)?;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut piece = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        rng.fill(&mut piece);
        file.write_all(&piece)?;
    }
    Ok(())
}

struct Copies<'a> {
    site: &'a Rc<Site>,
    runtime: Arc<Runtime>,
    puts: Vec<Contender<Turn>>,
    gets: Vec<Contender<Turn>>,
}

impl Copies<'_> {
    fn add<S: Streams>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        let dir = self.site.subdir(name)?;
        let subject = {
            let _entered = self.runtime.enter();
            Arc::new(make(&dir)?)
        };
        let digest = cache_core::Digest::of(name.as_bytes());
        let (putting, runtime, target) = (Arc::clone(&subject), Arc::clone(&self.runtime), self.target());
        let put = move |(source, bytes): &Turn| {
            runtime.block_on(putting.remove(digest))?;
            clear(&target)?;
            warm(source)?;
            let (putting, source, bytes) = (Arc::clone(&putting), source.clone(), *bytes);
            let begun = Instant::now();
            runtime.block_on(runtime.spawn(async move {
                let stream = streams::of_file(&source).await?;
                putting.put_stream(digest, bytes, stream).await
            }))??;
            Ok(vec![gib_per_second(bytes, begun)])
        };
        self.puts.push(Contender::new(name, kind, put));
        let (runtime, target) = (Arc::clone(&self.runtime), self.target());
        let get = move |(_, bytes): &Turn| {
            clear(&target)?;
            let warming = Arc::clone(&subject);
            runtime.block_on(runtime.spawn(async move {
                let mut stream = warming.get_stream(digest).await?;
                while stream.try_next().await?.is_some() {}
                Result::Ok(())
            }))??;
            let (getting, to, bytes) = (Arc::clone(&subject), target.clone(), *bytes);
            let begun = Instant::now();
            let got = runtime.block_on(runtime.spawn(async move {
                let stream = getting.get_stream(digest).await?;
                streams::to_file(stream, &to).await
            }))??;
            if got != bytes {
                return Err(format!("{got} bytes came of {bytes}").into());
            }
            Ok(vec![gib_per_second(bytes, begun)])
        };
        self.gets.push(Contender::new(name, kind, get));
        Ok(())
    }

    /// The one file that is written outside of stores: there is no room for several.
    fn target(&self) -> PathBuf {
        self.site.path().join("got")
    }

    fn cp(&mut self) -> Result<()> {
        let target = self.target();
        let copy = move |(source, bytes): &Turn| {
            clear(&target)?;
            warm(source)?;
            let begun = Instant::now();
            if !Command::new("cp").arg(source).arg(&target).status()?.success() {
                return Err("cp failed".into());
            }
            Ok(vec![gib_per_second(*bytes, begun)])
        };
        self.puts.push(Contender::new(CP, Kind::Baseline, copy.clone()));
        self.gets.push(Contender::new(CP, Kind::Baseline, copy));
        Ok(())
    }
}

/// Removes what the turn before left, and syncs.
fn clear(target: &Path) -> Result<()> {
    if target.exists() {
        fs::remove_file(target)?;
    }
    puts::sync(target.parent().ok_or("a file is in no directory")?)
}

/// Reads what is going to be read: there is more here than the page cache holds.
fn warm(source: &Path) -> Result<()> {
    std::io::copy(&mut BufReader::with_capacity(streams::PIECE, File::open(source)?), &mut std::io::sink())?;
    Ok(())
}

fn gib_per_second(bytes: u64, begun: Instant) -> f64 {
    bytes as f64 / f64::from(1 << 30) / begun.elapsed().as_secs_f64()
}

fn memory(scale: &Scale, site: &Rc<Site>, bytes: u64) -> Result<Vec<Measurement>> {
    let program = scale.heap()?;
    let mut contenders = ["put", "get"].map(|what| {
        let (program, quick) = (program.clone(), scale.quick);
        let (dir, bytes) = (site.path().join("counted").to_string_lossy().into_owned(), bytes.to_string());
        // The first puts what the second gets.
        Contender::new(format!("{OURS}, {what}"), Kind::Ours, move |()| {
            heap::ask(&program, &["stream", what, &dir, &bytes], "", quick)
        })
    });
    let runs = interleave(&scale.once(), || (), &mut contenders)?;
    let [put, get] = ["Cache, put", "Cache, get"];
    let bound = Bound::AtMost(32.0);
    Ok(vec![
        Measurement::of("Peak heap of a stream", "MiB", &runs, 0)
            .figure("D7, heap", put, bound)
            .figure("D7, heap", get, bound),
        Measurement::of("Most memory resident while streaming", "MiB", &runs, 1)
            .figure("D7, resident", put, bound)
            .figure("D7, resident", get, bound),
    ])
}
