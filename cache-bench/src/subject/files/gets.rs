//! Reads of what is in the page cache.

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
            puts::fill,
            service,
        },
    },
};

/// What is read in one round, and how.
pub(crate) struct Reads {
    /// Slices; the figure of a round is their median.
    pub(crate) slices: Vec<Vec<Digest>>,
    /// How many ask at the same time.
    pub(crate) tasks: usize,
}

/// Fills those that it visits, and makes contenders of them whose figure is the microseconds of a read: the time of
/// a slice by its reads.
pub(crate) struct Gets<'a> {
    site: &'a Site,
    digests: &'a [Digest],
    value_bytes: usize,
    runtime: Arc<Runtime>,
    pub(crate) contenders: Vec<Contender<Reads>>,
}

impl<'a> Gets<'a> {
    pub(crate) fn new(site: &'a Site, digests: &'a [Digest], value_bytes: usize) -> Result<Self> {
        Ok(Self { site, digests, value_bytes, runtime: service()?, contenders: Vec::new() })
    }

    /// Fills one, and does what comes `after`.
    fn add<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
        after: impl AsyncFnOnce(&S) -> bool,
    ) -> Result<()> {
        let dir = self.site.subdir(name)?;
        let (runtime, bytes) = (Arc::clone(&self.runtime), self.value_bytes);
        let _entered = self.runtime.enter();
        let subject = Arc::new(make(&dir)?);
        let filling = fill(Arc::clone(&subject), self.digests.to_vec(), bytes);
        self.runtime.block_on(filling).map_err(|failure| format!("{name}: {failure}"))?;
        if !self.runtime.block_on(after(&subject)) {
            return Err(format!("{name}: what was put is not durable").into());
        }
        let run = move |reads: &Reads| {
            let micros: Result<Vec<f64>> = reads
                .slices
                .iter()
                .map(|slice| {
                    let reading = read(Arc::clone(&subject), slice.clone(), reads.tasks, bytes);
                    runtime.block_on(runtime.spawn(reading))?
                })
                .collect();
            Ok(vec![median(&micros?)])
        };
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

impl Visitor for Gets<'_> {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        self.add(name, kind, make, async |_| true)
    }
}

impl FlushVisitor for Gets<'_> {
    fn visit<S: Flushes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()> {
        self.add(name, kind, make, S::flush)
    }
}

/// The microseconds of a read, `tasks` asking at the same time.
pub(crate) async fn read<S: Subject>(
    subject: Arc<S>,
    digests: Vec<Digest>,
    tasks: usize,
    value_bytes: usize,
) -> Result<f64> {
    let shares: Vec<Vec<Digest>> =
        digests.chunks(digests.len().div_ceil(tasks.max(1)).max(1)).map(<[_]>::to_vec).collect();
    let begun = Instant::now();
    let mut found = 0;
    match shares.as_slice() {
        [alone] => found = hits(subject.as_ref(), alone, value_bytes).await,
        _ => {
            let mut asking = JoinSet::new();
            for share in shares {
                let subject = Arc::clone(&subject);
                asking.spawn(async move { hits(subject.as_ref(), &share, value_bytes).await });
            }
            while let Some(hits) = asking.join_next().await {
                found += hits?;
            }
        }
    }
    let time = begun.elapsed();
    if found < digests.len() {
        return Err(format!("{} reads missed", digests.len() - found).into());
    }
    Ok(time.as_secs_f64() * 1e6 / digests.len() as f64)
}

/// How many of these are there, whole.
async fn hits<S: Subject>(subject: &S, digests: &[Digest], value_bytes: usize) -> usize {
    let mut hits = 0;
    for digest in digests {
        let value = subject.get(digest).await;
        hits += usize::from(value.is_some_and(|value| value.len() == value_bytes));
    }
    hits
}
