//! Operations on the entries of a bucket, one after the other or several at a time.

use std::{rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use cache_core::Digest;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    failure::Result,
    harness::{
        rounds::{Contender, Kind},
        slices::median,
    },
    subject::{
        buckets::{Entries, lineup::Visitor, served::Served},
        files::{puts::fill, service},
    },
    workload::keys::value_of,
};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    /// Of a new key.
    Put,
    /// Into an entry that is there.
    Merge,
    Contains,
    /// Of an entry that is there.
    Evict,
    /// All entries that there are.
    List,
}

/// The keys of one round in slices, of which the median counts.
pub(crate) type Slices = Vec<Vec<Digest>>;

/// Makes contenders whose figure is the microseconds of an operation.
pub(crate) struct Turns<'a> {
    pub(crate) operation: Operation,
    /// What is there from the beginning.
    pub(crate) filled: &'a [Digest],
    pub(crate) value_bytes: usize,
    /// How many ask at the same time.
    pub(crate) tasks: usize,
    server: Rc<Served>,
    runtime: Arc<Runtime>,
    pub(crate) contenders: Vec<Contender<Slices>>,
}

impl<'a> Turns<'a> {
    /// Gets by one task of what is there.
    pub(crate) fn new(server: &Rc<Served>, filled: &'a [Digest], value_bytes: usize) -> Result<Self> {
        Ok(Self {
            operation: Operation::Get,
            filled,
            value_bytes,
            tasks: 1,
            server: Rc::clone(server),
            runtime: service()?,
            contenders: Vec::new(),
        })
    }
}

impl Visitor for Turns<'_> {
    fn visit<S: Entries>(&mut self, name: &str, kind: Kind, make: impl FnOnce() -> Result<S>) -> Result<()> {
        let (operation, bytes, tasks) = (self.operation, self.value_bytes, self.tasks);
        let (runtime, server) = (Arc::clone(&self.runtime), Rc::clone(&self.server));
        let subject = {
            let _entered = runtime.enter();
            Arc::new(make()?)
        };
        let filling = fill(Arc::clone(&subject), self.filled.to_vec(), bytes);
        self.runtime.block_on(filling).map_err(|failure| format!("{name}: {failure}"))?;
        let run = move |slices: &Slices| {
            let _served = &server;
            let micros: Result<Vec<f64>> = slices
                .iter()
                .map(|digests| {
                    let slice = slice(Arc::clone(&subject), operation, digests.clone(), bytes, tasks);
                    runtime.block_on(runtime.spawn(slice))?
                })
                .collect();
            Ok(vec![median(&micros?)])
        };
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// The microseconds of an operation: all the time by all the operations. What they need is put before, and what
/// they leave is evicted after, in no time that counts.
async fn slice<S: Entries>(
    subject: Arc<S>,
    operation: Operation,
    digests: Vec<Digest>,
    bytes: usize,
    tasks: usize,
) -> Result<f64> {
    if operation == Operation::Evict {
        fill(Arc::clone(&subject), digests.clone(), bytes).await?;
    }
    let valued = |digest: &Digest| {
        let writes = matches!(operation, Operation::Put | Operation::Merge);
        (*digest, if writes { value_of(digest, bytes) } else { Bytes::new() })
    };
    let shares = digests.chunks(digests.len().div_ceil(tasks.max(1)).max(1));
    let shares: Vec<Vec<(Digest, Bytes)>> = shares.map(|share| share.iter().map(valued).collect()).collect();
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for share in shares {
        let subject = Arc::clone(&subject);
        asking.spawn(async move {
            let mut done = 0;
            for (digest, value) in share {
                done += usize::from(ask(subject.as_ref(), operation, digest, value, bytes).await);
            }
            done
        });
    }
    let mut done = 0;
    while let Some(share) = asking.join_next().await {
        done += share?;
    }
    let time = begun.elapsed();
    if done < digests.len() {
        return Err(format!("{} of {} failed", digests.len() - done, digests.len()).into());
    }
    if operation == Operation::Put {
        for digest in &digests {
            subject.evict(*digest).await;
        }
    }
    Ok(time.as_secs_f64() * 1e6 / digests.len() as f64)
}

/// Does it, and answers whether the answer is right as far as can be seen at a glance.
async fn ask<S: Entries>(
    subject: &S,
    operation: Operation,
    digest: Digest,
    value: Bytes,
    bytes: usize,
) -> bool {
    match operation {
        Operation::Get => subject.get(&digest).await.is_some_and(|value| value.len() == bytes),
        Operation::Put => subject.put(digest, value).await,
        Operation::Merge => subject.merge(digest, value).await,
        Operation::Contains => subject.contains(digest).await,
        Operation::Evict => subject.evict(digest).await,
        Operation::List => subject.list().await > 0,
    }
}
