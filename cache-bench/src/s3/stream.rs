use std::{rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use cache_core::{ByteStream, Digest};
use futures::{StreamExt, TryStreamExt, stream};
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
    heap,
    subject::{
        buckets::{
            lineup::{OURS, RAW},
            ours,
            served::Served,
        },
        files::{
            service,
            streams::{PIECE, Streams},
        },
    },
};

pub(crate) const BENCH: Bench = Bench {
    name: "stream",
    title: "A blob of 1 GiB",
    setting: "1 GiB is put as a stream in pieces of 1 MiB that are in memory already, then got as a stream and counted, then removed. Uploads are in parts of 8 MiB, 4 at a time. Raw object_store and ours get it by one \
              request (ours after one for its index), opendal by requests of 8 MiB. Ours verifies what it reads, the others do not. Memory: in a process of its own that puts and gets a stream of \
              that length, its heap beyond what was there before, and all that was resident.",
    run,
};

const BYTES: u64 = 1 << 30;
const QUICK_BYTES: u64 = 32 << 20;
const ROUNDS: usize = 5;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let bytes = scale.pick(BYTES, QUICK_BYTES);
    let server = Rc::new(Served::start()?);
    let mut streamed = Streamed { server: &server, runtime: service()?, contenders: Vec::new() };
    streamed.add(OURS, Kind::Ours, ours::cache)?;
    #[cfg(feature = "rivals")]
    {
        use crate::subject::buckets::{object_store::Raw, opendal::OpendalS3};

        streamed.add(RAW, Kind::Baseline, Raw::open)?;
        streamed.add("opendal s3", Kind::Rival, OpendalS3::open)?;
    }
    let scale = if scale.quick { scale.once() } else { scale.at_most(ROUNDS) };
    let runs = interleave(&scale, || bytes, &mut streamed.contenders)?;
    drop(streamed);
    let mut measurements = vec![
        Measurement::of("A stream put", "GiB/s", &runs, 0).ratio("O3, up", OURS, RAW, Bound::AtLeast(0.9)),
        Measurement::of("A stream got", "GiB/s", &runs, 1).ratio("O3, down", OURS, RAW, Bound::AtLeast(0.9)),
    ];
    measurements.extend(memory(&scale, &server, bytes)?);
    Ok(measurements)
}

struct Streamed<'a> {
    server: &'a Served,
    runtime: Arc<Runtime>,
    contenders: Vec<Contender<u64>>,
}

impl Streamed<'_> {
    fn add<S: Streams>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&str) -> Result<S>,
    ) -> Result<()> {
        let runtime = Arc::clone(&self.runtime);
        let subject = {
            let _entered = runtime.enter();
            Arc::new(make(self.server.endpoint())?)
        };
        let run = move |bytes: &u64| {
            let turn = turn(Arc::clone(&subject), *bytes);
            runtime.block_on(runtime.spawn(turn))?
        };
        self.contenders.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// How many GiB go up in a second, and how many come down.
async fn turn<S: Streams>(subject: Arc<S>, bytes: u64) -> Result<Vec<f64>> {
    let digest = Digest::of(b"stream");
    let per_second = |begun: Instant| bytes as f64 / f64::from(1 << 30) / begun.elapsed().as_secs_f64();
    let pieces = pieces(bytes);
    let begun = Instant::now();
    subject.put_stream(digest, bytes, pieces).await?;
    let up = per_second(begun);
    let begun = Instant::now();
    let mut stream = subject.get_stream(digest).await?;
    let mut got = 0;
    while let Some(piece) = stream.try_next().await? {
        got += piece.len() as u64;
    }
    let down = per_second(begun);
    drop(stream);
    subject.remove(digest).await?;
    if got == bytes { Ok(vec![up, down]) } else { Err(format!("{got} bytes came of {bytes}").into()) }
}

/// The same piece again and again: nobody stores it shorter.
fn pieces(bytes: u64) -> ByteStream {
    let mut piece = vec![0; PIECE];
    fastrand::Rng::with_seed(1).fill(&mut piece);
    let piece = Bytes::from(piece);
    stream::iter(0..bytes / PIECE as u64).map(move |_| Ok(piece.clone())).boxed()
}

fn memory(scale: &Scale, server: &Rc<Served>, bytes: u64) -> Result<Vec<Measurement>> {
    let program = scale.heap()?;
    let mut contenders = ["put", "get"].map(|what| {
        let (program, server, quick, bytes) =
            (program.clone(), Rc::clone(server), scale.quick, bytes.to_string());
        // The first puts what the second gets.
        Contender::new(format!("{OURS}, {what}"), Kind::Ours, move |()| {
            heap::ask(&program, &["bucket", what, server.endpoint(), &bytes], "", quick)
        })
    });
    let runs = interleave(&scale.once(), || (), &mut contenders)?;
    let [put, get] = ["Cache, put", "Cache, get"];
    let bound = Bound::AtMost(64.0);
    Ok(vec![
        Measurement::of("Peak heap of a stream", "MiB", &runs, 0)
            .figure("O3, heap", put, bound)
            .figure("O3, heap", get, bound),
        Measurement::of("Most memory resident while streaming", "MiB", &runs, 1)
            .figure("O3, resident", put, bound)
            .figure("O3, resident", get, bound),
    ])
}
