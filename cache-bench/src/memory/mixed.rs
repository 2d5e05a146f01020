use std::rc::Rc;

use cache_core::Digest;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        slices::{by_slices, median},
        threads::runtime,
        verdict::Bound,
    },
    subject::{
        Capacity, Subject,
        lineup::{AS_MANY, OURS, QUICK_CACHE, Visitor, as_many, other_policies, ours, rivals},
    },
    workload::{
        keys::{digests, value},
        zipf::Zipf,
    },
};

pub(crate) const BENCH: Bench = Bench {
    name: "mixed",
    title: "Reads and writes in a quarter of the room",
    setting: "1,000,000 keys with values of 1 KiB by Zipf 0.99, a budget of a quarter of the bytes of all values; 9 of 10 operations get, and \
              put what they miss, 1 of 10 puts. Every put makes bytes of its own. One thread, 7 passes over the same 2,000,000 operations from an \
              empty cache, the first of which is not timed. Ours charges its bookkeeping to the budget, the others count the bytes of values \
              alone, which are as many entries as one of ours is given. The hit ratio is that of all gets of all passes.",
    run,
};

const VALUE_BYTES: usize = 1024;

/// One operation: the digest, and whether it is a put.
type Operations = Vec<(Digest, bool)>;

/// Passes that are timed.
const PASSES: usize = 6;

#[derive(Default)]
struct Mixed(Vec<Contender<Rc<Operations>>>);

/// What a cache answered since it was empty.
#[derive(Clone, Copy, Default)]
struct Answered {
    gets: u32,
    hits: u32,
}

impl Visitor for Mixed {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        let (subject, runtime) = (make()?, runtime()?);
        let mut answered = Answered::default();
        let run = move |operations: &Rc<Operations>| {
            let slices = runtime.block_on(by_slices(operations, async |slice| {
                mixed(&subject, slice, &mut answered).await;
            }));
            let hit_ratio = f64::from(answered.hits) / f64::from(answered.gets.max(1));
            Ok(vec![median(&slices), hit_ratio])
        };
        self.0.push(Contender::new(name, kind, run));
        Ok(())
    }
}

/// Does what it is told, and counts.
async fn mixed<S: Subject>(subject: &S, operations: &[(Digest, bool)], answered: &mut Answered) {
    for (digest, put) in operations {
        let hit = !put && subject.get(digest).await.is_some();
        answered.gets += u32::from(!put);
        answered.hits += u32::from(hit);
        if !hit {
            subject.put(*digest, value(VALUE_BYTES)).await;
        }
    }
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(1_000_000, 1000), 1);
    let count = scale.pick(2_000_000, 4000);
    let zipf = Zipf::new(digests.len(), 0.99);
    let mut rng = Rng::with_seed(2);
    let puts: Vec<bool> = (0..count).map(|_| rng.u8(0..10) == 0).collect();
    let operations: Rc<Operations> =
        Rc::new(zipf.pick(&digests, count, &mut rng).into_iter().zip(puts).collect());
    let mut contenders = Mixed::default();
    let capacity = Capacity::bytes_of(digests.len() / 4, VALUE_BYTES);
    ours(capacity, &mut contenders)?;
    as_many(capacity, &mut contenders)?;
    other_policies(capacity, &mut contenders)?;
    rivals(capacity, &mut contenders)?;
    // The hit ratio depends on their number.
    let scale = Scale { warm_up: 1, rounds: PASSES, ..scale.clone() };
    let runs = interleave(&scale, || Rc::clone(&operations), &mut contenders.0)?;
    Ok(vec![
        Measurement::of("An operation, 9 gets to 1 put", "ns", &runs, 0).ratio(
            "M3, time",
            OURS,
            QUICK_CACHE,
            Bound::AtMost(1.0),
        ),
        Measurement::at_the_end("Hit ratio, 9 gets to 1 put", "", &runs, 1)
            .figure("M3, hit ratio", AS_MANY, Bound::AtLeast(0.923))
            .figure("M3, hit ratio with bookkeeping in the budget", OURS, Bound::AtLeast(0.923)),
    ])
}
