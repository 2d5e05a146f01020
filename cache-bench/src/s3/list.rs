use std::rc::Rc;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::buckets::{
        lineup::{OURS, RAW, all},
        served::Served,
        turns::{Operation, Turns},
    },
    workload::keys::digests,
};

pub(crate) const BENCH: Bench = Bench {
    name: "list",
    title: "A listing of all entries",
    setting: "10,000 keys with values of 100 bytes are listed by one task, 3 times a round; the median. The server answers 1,000 at a time.",
    run,
};

const VALUE_BYTES: usize = 100;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(10_000, 50), 1);
    let server = Rc::new(Served::start()?);
    let mut turns = Turns::new(&server, &digests, VALUE_BYTES)?;
    turns.operation = Operation::List;
    all(server.endpoint(), &mut turns)?;
    let listings: Vec<_> = digests.iter().take(scale.pick(3, 1)).map(|digest| vec![*digest]).collect();
    let runs = interleave(scale, || listings.clone(), &mut turns.contenders)?;
    let measured = Measurement::of("A listing of 10,000 entries", "µs", &runs, 0);
    Ok(vec![measured.ratio("listing", OURS, RAW, Bound::AtMost(1.05))])
}
