//! Reads that all hit.

use cache_core::Digest;

use crate::{
    failure::Result,
    harness::{
        rounds::{Contender, Kind},
        slices::{Progress, SLICE, in_company, median},
        threads::{on_threads, runtime},
    },
    subject::{Subject, lineup::Visitor},
    workload::keys::value,
};

/// What each thread reads in one round.
pub(crate) type Shares = Vec<Vec<Digest>>;

/// Fills those that it visits, and makes contenders of them whose figure is the nanoseconds of a hit.
pub(crate) struct Hits<'a> {
    pub(crate) digests: &'a [Digest],
    pub(crate) value_bytes: usize,
    pub(crate) contenders: Vec<Contender<Shares>>,
}

impl<'a> Hits<'a> {
    pub(crate) fn new(digests: &'a [Digest], value_bytes: usize) -> Self {
        Self { digests, value_bytes, contenders: Vec::new() }
    }

    /// Fills `subject` with all digests and lets it take part.
    pub(crate) fn add<S: Subject>(&mut self, name: &str, kind: Kind, subject: S) -> Result<()> {
        runtime()?.block_on(fill(&subject, self.digests, self.value_bytes))?;
        self.add_filled(name, kind, subject);
        Ok(())
    }

    /// Lets a subject take part that has all digests already.
    pub(crate) fn add_filled<S: Subject>(&mut self, name: &str, kind: Kind, subject: S) {
        let run = move |shares: &Shares| read(&subject, shares).map(|nanos| vec![nanos]);
        self.contenders.push(Contender::new(name, kind, run));
    }
}

impl Visitor for Hits<'_> {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        self.add(name, kind, make()?)
    }
}

/// Puts a value of its own under each digest.
pub(crate) async fn fill<S: Subject>(subject: &S, digests: &[Digest], value_bytes: usize) -> Result<()> {
    for digest in digests {
        if !subject.put(*digest, value(value_bytes)).await {
            return Err("a put was refused".into());
        }
    }
    Ok(())
}

/// How often threads may try to be at it at the same time, which they are not where others keep the cores busy.
const TRIES: usize = 20;

/// The nanoseconds of a hit on each thread, all threads being at it at the same time.
fn read<S: Subject>(subject: &S, shares: &[Vec<Digest>]) -> Result<f64> {
    let enough = shares.iter().map(Vec::len).sum::<usize>() / SLICE / 8;
    let mut slices = Vec::new();
    for _ in 0..TRIES {
        let progress = Progress::of(shares.len());
        let threads = on_threads(shares, async |thread, digests: &Vec<Digest>| {
            let mut missed = 0;
            let count = async |slice: &[Digest]| missed += slice.len() - hits(subject, slice).await;
            (in_company(digests, thread, &progress, count).await, missed)
        })?;
        for (nanos, missed) in threads {
            if missed > 0 {
                return Err(format!("{missed} reads missed").into());
            }
            slices.extend(nanos);
        }
        if slices.len() > enough || shares.len() < 2 {
            break;
        }
    }
    match shares {
        // One core, say. A figure is wanted all the same.
        [first, _, ..] if slices.is_empty() => read(subject, std::slice::from_ref(first)),
        _ => Ok(median(&slices)),
    }
}

/// How many of these are there.
async fn hits<S: Subject>(subject: &S, digests: &[Digest]) -> usize {
    let mut hits = 0;
    for digest in digests {
        if let Some(value) = subject.get(digest).await {
            hits += usize::from(!value.is_empty());
        }
    }
    hits
}
