use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use cache_core::{BlobName, Digest, GetOptions, Hooked, Key, PutEntry, PutOptions, Store};
use cache_layered::{LayeredStore, TierOptions};
use cache_memory::{MemoryOptions, MemoryStore};
use tokio::task::JoinSet;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        threads::runtime,
        verdict::Bound,
    },
    layered::slow::Wait,
    workload::keys::{digests, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "hung",
    title: "Hits in the first tier while the second hangs",
    setting: "200 values of 1 KiB in memory, above a tier with a deadline of 50 ms and a breaker. One task reads what memory has, 20,000 times a round; another reads what nobody has all the while, every \
              millisecond. The time that 99 of 100 hits stay below.",
    run,
};

const WELL: &str = "second tier well";
const HUNG: &str = "second tier hung";

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let (keys, reads) = (digests(200, 1), scale.pick(20_000, 500));
    let runtime = Rc::new(runtime()?);
    let memory = || MemoryStore::open(MemoryOptions::unlimited());
    let mut contenders = Vec::new();
    for (name, hangs) in [(WELL, false), (HUNG, true)] {
        let wait = Wait::default();
        let slow = Hooked::new(memory()?, Arc::new(wait.clone()));
        let role = TierOptions::default().with_deadline(Duration::from_millis(50));
        let builder = LayeredStore::builder().tier("first", Arc::new(memory()?));
        let store = Arc::new(builder.tier("second", Arc::new(slow)).options(role).build()?);
        runtime.block_on(async {
            for digest in &keys {
                let entry = PutEntry::data(value(1024));
                store.put(&Key::from(*digest), entry, PutOptions::default()).await?;
            }
            Result::Ok(())
        })?;
        wait.hang(hangs);
        let (runtime, keys) = (Rc::clone(&runtime), keys.clone());
        contenders.push(Contender::new(name, Kind::Ours, move |(): &()| {
            runtime.block_on(hits(&store, &keys, reads)).map(|micros| vec![micros])
        }));
    }
    let runs = interleave(scale, || (), &mut contenders)?;
    Ok(vec![Measurement::of("A hit, 99 of 100", "µs", &runs, 0).ratio("L3", HUNG, WELL, Bound::AtMost(1.1))])
}

async fn hits(store: &Arc<LayeredStore>, keys: &[Digest], reads: usize) -> Result<f64> {
    let mut others = JoinSet::new();
    let missing = Arc::clone(store);
    others.spawn(async move {
        let key = Key::from(Digest::of("nobody has it"));
        loop {
            _ = missing.get(&key, &BlobName::DATA, GetOptions::default()).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut took = Vec::with_capacity(reads);
    for digest in keys.iter().cycle().take(reads) {
        let key = Key::from(*digest);
        let begun = Instant::now();
        let read = store.get(&key, &BlobName::DATA, GetOptions::default()).await?;
        took.push(begun.elapsed());
        read.ok_or("a read missed")?;
        tokio::task::yield_now().await;
    }
    others.shutdown().await;
    took.sort_unstable();
    let high = took.get(reads * 99 / 100).ok_or("too few reads")?;
    Ok(high.as_secs_f64() * 1e6)
}
