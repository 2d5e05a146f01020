//! Puts of new keys.

use std::{path::Path, sync::Arc, time::Instant};

use cache_core::Digest;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    failure::Result,
    harness::{
        ground::Site,
        rounds::{Contender, Kind},
        slices::median,
    },
    subject::{
        Subject,
        files::{
            Flushes,
            lineup::{FlushVisitor, Visitor},
            service,
        },
    },
    workload::keys::value_of,
};

/// Tasks that fill.
const FILLING: usize = 4;

/// What is put in one round; of several slices the median counts.
pub(crate) type Slices = Vec<Vec<Digest>>;

/// Makes contenders whose figure is the microseconds of a put.
pub(crate) struct Puts<'a> {
    site: &'a Site,
    value_bytes: usize,
    runtime: Arc<Runtime>,
    pub(crate) contenders: Vec<Contender<Slices>>,
}

impl<'a> Puts<'a> {
    pub(crate) fn new(site: &'a Site, value_bytes: usize) -> Result<Self> {
        Ok(Self { site, value_bytes, runtime: service()?, contenders: Vec::new() })
    }

    /// Has `slice` timed for each slice of a round, after all that was written before is on the disk.
    fn add<S: Subject, F>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
        slice: impl Fn(Arc<S>, Vec<Digest>, usize) -> F + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Result<f64>> + Send + 'static,
    {
        let dir = self.site.subdir(&format!("{name}, {}", self.value_bytes))?;
        let (runtime, bytes) = (Arc::clone(&self.runtime), self.value_bytes);
        let _entered = self.runtime.enter();
        let subject = Arc::new(make(&dir)?);
        let run = move |slices: &Slices| {
            sync(&dir)?;
            let micros: Result<Vec<f64>> = slices
                .iter()
                .map(|digests| {
                    let putting = slice(Arc::clone(&subject), digests.clone(), bytes);
                    runtime.block_on(runtime.spawn(putting))?
                })
                .collect();
            Ok(vec![median(&micros?)])
        };
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

impl Visitor for Puts<'_> {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        self.add(name, kind, make, |subject, digests, bytes| async move {
            put(subject.as_ref(), &digests, bytes, async |_| true).await
        })
    }
}

/// The same with a flush after each slice, in the time of its puts.
pub(crate) struct DurablePuts<'a>(pub(crate) Puts<'a>);

impl FlushVisitor for DurablePuts<'_> {
    fn visit<S: Flushes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        self.0.add(name, kind, make, |subject, digests, bytes| async move {
            put(subject.as_ref(), &digests, bytes, S::flush).await
        })
    }
}

/// Puts values that are there before, and then does what comes `after`; answers the microseconds of a put.
async fn put<S: Subject>(
    subject: &S,
    digests: &[Digest],
    value_bytes: usize,
    after: impl AsyncFnOnce(&S) -> bool,
) -> Result<f64> {
    let values: Vec<_> = digests.iter().map(|digest| (*digest, value_of(digest, value_bytes))).collect();
    let begun = Instant::now();
    let mut stored = 0;
    for (digest, value) in values {
        stored += usize::from(subject.put(digest, value).await);
    }
    let done = after(subject).await;
    let time = begun.elapsed();
    if !done || stored < digests.len() {
        return Err(format!("{} puts failed, or the flush", digests.len() - stored).into());
    }
    Ok(time.as_secs_f64() * 1e6 / digests.len() as f64)
}

/// Puts so many values by several tasks, as fast as that goes.
pub(crate) async fn fill<S: Subject>(
    subject: Arc<S>,
    digests: Vec<Digest>,
    value_bytes: usize,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    for share in digests.chunks(digests.len().div_ceil(FILLING).max(1)) {
        let (subject, share) = (Arc::clone(&subject), share.to_vec());
        tasks.spawn(async move {
            let mut stored = true;
            for digest in share {
                stored &= subject.put(digest, value_of(&digest, value_bytes)).await;
            }
            stored
        });
    }
    while let Some(stored) = tasks.join_next().await {
        if !stored? {
            return Err("a put failed".into());
        }
    }
    Ok(())
}

/// Writes to the disk all that is on the way.
pub(crate) fn sync(dir: &Path) -> Result<()> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, rustix::fs::Mode::empty())?;
    Ok(rustix::fs::syncfs(dir)?)
}
