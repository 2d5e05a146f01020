//! Puts of new keys.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
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
    /// How many put at the same time.
    tasks: usize,
    runtime: Arc<Runtime>,
    pub(crate) contenders: Vec<Contender<Slices>>,
}

impl<'a> Puts<'a> {
    pub(crate) fn new(site: &'a Site, value_bytes: usize) -> Result<Self> {
        Ok(Self { site, value_bytes, tasks: 1, runtime: service()?, contenders: Vec::new() })
    }

    /// The same by so many tasks at a time.
    pub(crate) fn by_tasks(self, tasks: usize) -> Self {
        Self { tasks, ..self }
    }

    /// Has `slice` timed for each slice of a round, after what comes `before` was done and all that was written is
    /// on the disk.
    fn add<S: Subject, F>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
        before: impl AsyncFn(&S) -> bool + 'static,
        slice: impl Fn(Arc<S>, Work) -> F + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Result<f64>> + Send + 'static,
    {
        let dir = self.site.subdir(&format!("{name}, {}, {}", self.value_bytes, self.tasks))?;
        let (runtime, bytes, tasks) = (Arc::clone(&self.runtime), self.value_bytes, self.tasks);
        let _entered = self.runtime.enter();
        let subject = Arc::new(make(&dir)?);
        let run = move |slices: &Slices| {
            if !runtime.block_on(before(&subject)) {
                return Err("what was put before is not durable".into());
            }
            sync(&dir)?;
            let micros: Result<Vec<f64>> = slices
                .iter()
                .map(|digests| {
                    let putting = slice(Arc::clone(&subject), Work::of(digests, bytes, tasks));
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
        self.add(
            name,
            kind,
            make,
            async |_| true,
            |subject, work| async move { put(&subject, work, async |_| true).await },
        )
    }
}

/// Those that can make puts durable do so before each turn.
impl FlushVisitor for Puts<'_> {
    fn visit<S: Flushes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        self.add(name, kind, make, S::flush, |subject, work| async move {
            put(&subject, work, async |_| true).await
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
        self.0.add(
            name,
            kind,
            make,
            async |_| true,
            |subject, work| async move { put(&subject, work, S::flush).await },
        )
    }
}

/// What the tasks of one slice put; the values are there before.
pub(crate) struct Work(Vec<Vec<(Digest, Bytes)>>);

impl Work {
    pub(crate) fn of(digests: &[Digest], value_bytes: usize, tasks: usize) -> Self {
        let valued = |digest: &Digest| (*digest, value_of(digest, value_bytes));
        let shares = digests.chunks(digests.len().div_ceil(tasks.max(1)).max(1));
        Self(shares.map(|share| share.iter().map(valued).collect()).collect())
    }
}

/// Puts values, and then does what comes `after`; answers the microseconds of a put: all the time by all the puts.
pub(crate) async fn put<S: Subject>(
    subject: &Arc<S>,
    Work(mut shares): Work,
    after: impl AsyncFnOnce(&S) -> bool,
) -> Result<f64> {
    let puts = shares.iter().map(Vec::len).sum::<usize>();
    let begun = Instant::now();
    let mut stored = 0;
    if shares.len() == 1 {
        stored = put_all(subject.as_ref(), shares.pop().unwrap_or_default()).await;
    } else {
        let mut putting = JoinSet::new();
        for share in shares {
            let subject = Arc::clone(subject);
            putting.spawn(async move { put_all(subject.as_ref(), share).await });
        }
        while let Some(done) = putting.join_next().await {
            stored += done?;
        }
    }
    let done = after(subject).await;
    let time = begun.elapsed();
    if !done || stored < puts {
        return Err(format!("{} puts failed, or the flush", puts - stored).into());
    }
    Ok(time.as_secs_f64() * 1e6 / puts as f64)
}

/// Puts one after the other; answers how many were stored.
async fn put_all<S: Subject>(subject: &S, values: Vec<(Digest, Bytes)>) -> usize {
    let mut stored = 0;
    for (digest, value) in values {
        stored += usize::from(subject.put(digest, value).await);
    }
    stored
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
