use std::rc::Rc;

use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{bench::Bench, measurement::Measurement, rounds::interleave, scale::Scale, verdict::Bound},
    subject::buckets::{
        lineup::{OURS, RAW, all},
        served::Served,
        turns::{Operation, Turns},
    },
    workload::keys::{any_of, digest, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "keys",
    title: "Other operations on one key",
    setting: "200 keys with values of 4 KiB; 600 operations a round by one task in slices of 100. The time of a slice by its operations. A merge adds a blob of 4 KiB; raw object_store reads the object and puts it \
              with the bytes of both, on the condition that it has not changed. To know that a key is there, ours and raw object_store read its last 64 bytes, opendal asks for its metadata. What is evicted is put before, \
              which is not timed.",
    run,
};

const VALUE_BYTES: usize = 4 << 10;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(200, 8), 1);
    let mut rng = Rng::with_seed(4);
    let mut measurements = Vec::new();
    for (operation, title) in [
        (Operation::Merge, "A merge into an entry"),
        (Operation::Contains, "Whether a key is there"),
        (Operation::Evict, "An eviction"),
    ] {
        let server = Rc::new(Served::start()?);
        let mut turns = Turns::new(&server, &digests, VALUE_BYTES)?;
        turns.operation = operation;
        all(server.endpoint(), &mut turns)?;
        let (slices, each) = (scale.pick(6, 1), scale.pick(100, 8));
        let mut slice = || match operation {
            Operation::Evict => (0..each).map(|_| digest(&mut rng)).collect(),
            _ => any_of(&digests, each, &mut rng),
        };
        let input = || (0..slices).map(|_| slice()).collect();
        let runs = interleave(scale, input, &mut turns.contenders)?;
        let measured = Measurement::of(title, "µs", &runs, 0);
        measurements.push(measured.ratio("one key", OURS, RAW, Bound::AtMost(1.05)));
    }
    Ok(measurements)
}
