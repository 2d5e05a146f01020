use std::sync::Arc;

use cache_core::Digest;
use cache_s3_server::{Log, Server, ServerOptions};
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        verdict::Bound,
    },
    subject::{
        buckets::{
            Entries,
            lineup::{OURS, STORE, Visitor, all},
            served::BUCKET,
        },
        files::{puts::fill, service},
    },
    workload::keys::{digest_of, digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "requests",
    title: "Requests of an operation",
    setting: "Counted by the server, which is in this process for once; nothing is timed. A blob of 256 KiB is put under a new key; one as large is merged into it; one is got; the key is asked for, found by the first 12 of its \
              digits, and evicted. 10,000 entries of 100 bytes are listed.",
    run,
};

const VALUE_BYTES: usize = 256 << 10;
const SMALL_BYTES: usize = 100;

/// An operation, and the requests that it may take.
const OPERATIONS: [(&str, f64); 7] = [
    ("A put", 1.0),
    ("A merge", 2.0),
    ("A get", 1.0),
    ("Whether a key is there", 1.0),
    ("A short digest", 1.0),
    ("An eviction", 1.0),
    ("A listing of 10,000 entries", 10.0),
];

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let server = Server::start(ServerOptions::new().with_bucket(BUCKET))?;
    let mut counts = Counts {
        log: server.log().clone(),
        runtime: service()?,
        listed: digests(scale.pick(10_000, 1000), 5),
        contenders: Vec::new(),
    };
    all(&server.endpoint(), &mut counts)?;
    let runs = interleave(&scale.once(), || (), &mut counts.contenders)?;
    let measured = OPERATIONS.iter().enumerate().map(|(at, (title, most))| {
        Measurement::of(*title, "requests", &runs, at).figure("O1", OURS, Bound::AtMost(*most)).figure(
            "O1, bare store",
            STORE,
            Bound::AtMost(*most),
        )
    });
    Ok(measured.collect())
}

struct Counts {
    log: Log,
    runtime: Arc<Runtime>,
    listed: Vec<Digest>,
    contenders: Vec<Contender<()>>,
}

impl Visitor for Counts {
    fn visit<S: Entries>(&mut self, name: &str, kind: Kind, make: impl FnOnce() -> Result<S>) -> Result<()> {
        let (runtime, log, listed) = (Arc::clone(&self.runtime), self.log.clone(), self.listed.clone());
        let subject = {
            let _entered = runtime.enter();
            Arc::new(make()?)
        };
        let run = move |(): &()| runtime.block_on(count(Arc::clone(&subject), log.clone(), listed.clone()));
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// The requests of each operation, in the order of their list.
async fn count<S: Entries>(subject: Arc<S>, log: Log, listed: Vec<Digest>) -> Result<Vec<f64>> {
    let digest = digest_of(1);
    let value = value_of(&digest, VALUE_BYTES);
    let (digits, entries) = (digest.prefix(12), listed.len());
    let mut counts = Vec::new();
    let mut counted = |what: &str, done: bool| {
        counts.push(log.clear().len() as f64);
        if done { Ok(()) } else { Err(format!("{what} failed")) }
    };
    log.clear();
    counted("put", subject.put(digest, value.clone()).await)?;
    counted("merge", subject.merge(digest, value.clone()).await)?;
    counted("get", subject.get(&digest).await.is_some())?;
    counted("contains", subject.contains(digest).await)?;
    counted("expand", subject.expand(digits).await)?;
    counted("evict", subject.evict(digest).await)?;
    fill(Arc::clone(&subject), listed, SMALL_BYTES).await?;
    log.clear();
    counted("list", subject.list().await == entries)?;
    Ok(counts)
}
