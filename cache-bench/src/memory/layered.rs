use std::sync::Arc;

use cache_core::{Cache, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use cache_memory::Policy;
use fastrand::Rng;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Kind, interleave},
        scale::Scale,
        threads::runtime,
        verdict::Bound,
    },
    subject::{
        Capacity,
        hits::{Hits, fill},
        lineup::{OURS, cache},
        ours::{BareStore, memory},
    },
    workload::keys::{any_of, digests},
};

pub(crate) const BENCH: Bench = Bench {
    name: "layered",
    title: "A hit in the first tier",
    setting: "As `hit` on one thread, through a layered store whose first tier is memory and holds everything, against the memory store alone.",
    run,
};

const VALUE_BYTES: usize = 1024;

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let digests = digests(scale.pick(2000, 100), 1);
    let reads = scale.pick(400_000, 2000);
    let capacity = Capacity::for_all(digests.len(), VALUE_BYTES);
    let first = || memory(capacity, Policy::default());
    let layered = |second: Arc<dyn Store>| -> Result<Arc<dyn Store>> {
        Ok(Arc::new(LayeredStore::builder().tier("first", first()?).tier("second", second).build()?))
    };
    let mut hits = Hits::new(&digests, VALUE_BYTES);
    hits.add(OURS, Kind::Ours, cache(capacity)?)?;
    hits.add("Store", Kind::Ours, BareStore(first()?))?;
    hits.add("Cache, memory + memory", Kind::Ours, Cache::new(layered(first()?)?))?;
    hits.add("Store, memory + memory", Kind::Ours, BareStore(layered(first()?)?))?;
    let dir = tempfile::tempdir()?;
    // The disk store lives on this runtime; reads that hit in memory never ask it.
    let disk = runtime()?;
    let second = Arc::new(disk.block_on(DiskStore::open(DiskOptions::new(dir.path())))?);
    let on_disk = Cache::new(layered(second)?);
    disk.block_on(fill(&on_disk, &digests, VALUE_BYTES))?;
    hits.add_filled("Cache, memory + disk", Kind::Ours, on_disk.clone());
    let mut rng = Rng::with_seed(2);
    let runs = interleave(scale, || vec![any_of(&digests, reads, &mut rng)], &mut hits.contenders)?;
    disk.block_on(on_disk.close(None))?;
    let measurement = Measurement::of("A hit in the first tier", "ns", &runs, 0)
        .ratio("M4", "Cache, memory + memory", OURS, Bound::AtMost(1.15))
        .ratio("M4", "Cache, memory + disk", OURS, Bound::AtMost(1.15))
        .ratio("M4, bare store", "Store, memory + memory", "Store", Bound::AtMost(1.15));
    Ok(vec![measurement])
}
